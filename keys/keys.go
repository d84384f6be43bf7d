// Package keys finds and opens what a release signs with: the key of the image, the
// wallet of the app's owner, and the key of the enclave. Secrets come from the
// environment only, through a function of the caller's, and are masked before
// they are used.
package keys

import (
	"context"
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/settings"
)

// The environment variables that hold secrets.
const (
	WalletPassword = settings.WalletPassword
	WalletKey      = settings.WalletKey
	CosignPassword = settings.CosignPassword
)

// Ring is the keys that settings name.
type Ring struct {
	Sign    settings.Sign
	Wallet  settings.Wallet
	Enclave settings.Path   // of the production key; empty for none
	Secret  settings.Secret // the app's; the zero Secret for none

	// Quiet is for who asks no key service for the key that signs images.
	Quiet bool

	paying bool // the wallet is the one that pays

	Getenv func(variable string) string
	// Mask, unless it is nil, is called with each secret before it is used.
	Mask func(secret string)
	// Token finds an identity token of the job; see ci.Tokens. nil: there is none.
	Token func(ctx context.Context, from, audience string, proposed bool) (string, error)
	// Tell, unless it is nil, is told of each wait for a service that signing by identity
	// needs and that fails.
	Tell func(text string)
}

// secret reads a secret from the environment and has it masked.
func (r Ring) secret(variable string) string {
	value := r.Getenv(variable)
	if value != "" && r.Mask != nil {
		r.Mask(value)
	}
	return value
}

// Error says why a key cannot be used.
type Error struct {
	Where string // file, or env://VARIABLE
	Err   error
}

// Error implements error.
func (e *Error) Error() string { return e.Where + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Evidence returns where the key is.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"where", e.Where}, {"problem", e.Err.Error()}}
}

// UnsetError says that a variable of the environment is not set.
type UnsetError struct{ Variable string }

// Error implements error.
func (e *UnsetError) Error() string { return e.Variable + " is not set, or empty" }

// Unset returns what is not set.
func (e *UnsetError) Unset() []string { return []string{e.Variable} }

// unread says why a file could not be read, without its name, which stands beside it.
type unread struct{ error }

func (e unread) Error() string { return settings.Reason(e.error) }
func (e unread) Unwrap() error { return e.error }

// read returns the content of a key's file, or a variable's for env://VARIABLE.
func (r Ring) read(where string) ([]byte, error) { return r.readUpTo(bounds.Key, where) }

func (r Ring) readUpTo(most int64, where string) ([]byte, error) {
	if variable, ok := strings.CutPrefix(where, "env://"); ok {
		if value := r.secret(variable); value != "" {
			return []byte(value), nil
		}
		return nil, &Error{where, &UnsetError{variable}}
	}
	content, err := bounds.ReadFile(where, most)
	if err != nil {
		return nil, &Error{where, unread{err}}
	}
	return content, nil
}

// AppSecret reads the app's secret, as it is. It is nil when the settings name none. Its
// error is a [*settings.Error].
func (r Ring) AppSecret() ([]byte, error) {
	problem := settings.Problem{Where: "app-secret"}
	switch {
	case r.Secret.Env != "":
		if value := r.secret(r.Secret.Env); value != "" {
			return []byte(value), nil
		}
		problem.Text, problem.Unset = r.Secret.Env+" is not set, or empty", r.Secret.Env
	case r.Secret.File != "":
		value, err := bounds.ReadFile(string(r.Secret.File), bounds.Secret)
		if err == nil {
			if r.Mask != nil && len(value) > 0 {
				r.Mask(string(value))
			}
			return value, nil
		}
		problem.Text = fmt.Sprintf("%s: %s", r.Secret.File, settings.Reason(err))
	default:
		return nil, nil
	}
	return nil, &settings.Error{Problems: []settings.Problem{problem}}
}

// EnclaveKey reads the key that signs the enclave, in PEM, and makes sure that the
// toolchain can sign with it. It is nil when the settings name none. Its error is an
// [*Error] or a [*sgx.KeyError].
func (r Ring) EnclaveKey() ([]byte, error) {
	where := string(r.Enclave)
	if where == "" {
		return nil, nil
	}
	pem, err := r.read(where)
	if err != nil {
		return nil, err
	}
	if _, err := sgx.LoadKey(pem); err != nil {
		return nil, fmt.Errorf("reading enclave key %s: %w", where, err)
	}
	return pem, nil
}
