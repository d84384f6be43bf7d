package keys

import (
	"errors"
	"strings"

	"github.com/mrelease/mrelease/node"
)

// PasswordError says that the password of a key is missing, or of another key.
type PasswordError struct {
	Variable string // of the environment, which has the password
	Problem  string
	Err      error // an [*UnsetError], or nil
}

// Error implements error.
func (e *PasswordError) Error() string { return e.Problem }

// Unwrap returns that the variable is not set, where that is the problem.
func (e *PasswordError) Unwrap() error { return e.Err }

// unset says that a password is missing.
func unset(variable string) *PasswordError {
	err := &UnsetError{variable}
	return &PasswordError{variable, err.Error(), err}
}

// unfit says that a password is another key's. What is easily added to one without being
// seen is told.
func unfit(variable, password string) *PasswordError {
	e := &PasswordError{Variable: variable, Problem: "the password in " + variable + " does not fit the key"}
	if strings.TrimSpace(password) != password {
		e.Problem += " (it begins or ends with white space)"
	}
	return e
}

// signingPassword says of a key that was not decrypted whether its password is at fault.
// The library has no error of its own for that.
func signingPassword(err error, password string) error {
	switch {
	case password == "": // which may be right: cosign takes no password for one
		return unset(CosignPassword)
	case strings.HasSuffix(err.Error(), "encrypted: decryption failed"):
		return unfit(CosignPassword, password)
	}
	return err
}

// walletPassword is likewise for a keystore file, whose password a variable has.
func walletPassword(err error, variable, password string) error {
	var w *node.WalletError
	if !errors.As(err, &w) || w.Problem != "wrong password" {
		return err
	}
	wrong := unfit(variable, password)
	return &node.WalletError{Where: w.Where, Problem: wrong.Problem, Err: wrong}
}
