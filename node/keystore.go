package node

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
)

// OpenKeystore decrypts an Ethereum keystore V3 file, as geth and iExec's CLI
// write it (the latter with the key "Crypto" for "crypto").
func OpenKeystore(path string, password []byte) (Wallet, error) {
	file, err := ReadKeystore(path)
	if err != nil {
		return Wallet{}, err
	}
	return file.Open(password)
}

// Keystore is a keystore file, and what it says to those who have no password.
type Keystore struct {
	Address common.Address // zero when it states none
	Memory  int64          // bytes that opening it takes: scrypt's 128·N·r (RFC 7914)

	path   string
	crypto keystore.CryptoJSON
}

// ReadKeystore reads a keystore file without opening it. What opening it would take
// is judged: geth's function for it takes any numbers, and ends the program for those
// that are none. Its error is a [*WalletError].
func ReadKeystore(path string) (Keystore, error) {
	data, err := bounds.ReadJSON(path, bounds.Key)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return Keystore{}, &WalletError{path, larger.Reason(), err}
	}
	if err != nil {
		problem := "the file cannot be read"
		var failed *fs.PathError // the path stands beside it
		if errors.As(err, &failed) {
			problem += ": " + failed.Err.Error()
		}
		return Keystore{}, &WalletError{path, problem, err}
	}
	var file struct { // the keys in any letter case, as geth takes them
		Address    string               `json:"address"`
		Version    json.RawMessage      `json:"version"`
		Crypto     *keystore.CryptoJSON `json:"crypto"`
		PrivateKey json.RawMessage      `json:"privateKey"`
	}
	if text := bytes.TrimSpace(data); len(text) == 0 {
		return Keystore{}, &WalletError{Where: path, Problem: "the file is no keystore of version 3: it is empty"}
	} else if rawKey.Match(text) {
		return Keystore{}, &WalletError{Where: path, Problem: "the key in it is not encrypted: iexec wallet import makes a keystore file of it"}
	}
	err = json.Unmarshal(data, &file)
	if err == nil && file.Crypto == nil && file.PrivateKey != nil {
		return Keystore{}, &WalletError{Where: path, Problem: "the key in it is not encrypted: iexec wallet import makes a keystore file of it"}
	}
	if err != nil || file.Crypto == nil || string(file.Version) != "3" {
		return Keystore{}, &WalletError{Where: path, Problem: "the file is no keystore of version 3"}
	}
	memory, err := judge(*file.Crypto)
	if err != nil {
		cause := &ParameterError{err}
		return Keystore{}, &WalletError{path, cause.Error(), cause}
	}
	return Keystore{common.HexToAddress(file.Address), memory, path, *file.Crypto}, nil
}

// rawKey matches a private key in hex digits.
var rawKey = regexp.MustCompile(`^(0x)?[0-9a-fA-F]{64}$`)

// ParameterError says why what a keystore file asks for to open it is not done.
type ParameterError struct{ Err error }

// Error implements error.
func (e *ParameterError) Error() string { return "the file's parameters: " + e.Err.Error() }

// Unwrap returns the cause, which may be a [*bounds.Error].
func (e *ParameterError) Unwrap() error { return e.Err }

// Open decrypts the key. Its error is a [*WalletError].
func (k Keystore) Open(password []byte) (Wallet, error) {
	plain, err := keystore.DecryptDataV3(k.crypto, string(password))
	switch {
	case errors.Is(err, keystore.ErrDecrypt):
		return Wallet{}, &WalletError{Where: k.path, Problem: "wrong password"}
	case err != nil:
		return Wallet{}, &WalletError{Where: k.path, Problem: "the file is no keystore of version 3"}
	}
	key, err := crypto.ToECDSA(plain)
	if err != nil { // the cause may tell of the key
		return Wallet{}, &WalletError{Where: k.path, Problem: "the file holds no secp256k1 key"}
	}
	return keyWallet(key), nil
}

// judge returns the bytes that opening a keystore takes, or why it is not opened.
func judge(c keystore.CryptoJSON) (memory int64, err error) {
	if iv, err := hex.DecodeString(c.CipherParams.IV); err != nil || len(iv) != 16 {
		return 0, errors.New("iv: want 32 hex digits")
	}
	if _, isText := c.KDFParams["salt"].(string); !isText {
		return 0, errors.New("salt: want a text")
	}
	length, err := number(c.KDFParams, "dklen", 32, bounds.KeyLength)
	if err != nil {
		return 0, err
	}
	switch c.KDF {
	case "scrypt":
		return judgeScrypt(c.KDFParams)
	case "pbkdf2":
		if _, isText := c.KDFParams["prf"].(string); !isText {
			return 0, errors.New("prf: want a text")
		}
		rounds := bounds.KeyRounds / ((length + 31) / 32) // so many for each block of the key
		_, err := number(c.KDFParams, "c", 1, rounds)
		return 0, err
	}
	return 0, errors.New("kdf: want scrypt or pbkdf2")
}

func judgeScrypt(params map[string]any) (memory int64, err error) {
	var values [3]int64
	for i, name := range []string{"n", "r", "p"} {
		if values[i], err = number(params, name, 1, math.MaxInt32); err != nil {
			return 0, err
		}
	}
	n, r, p := float64(values[0]), float64(values[1]), float64(values[2]) // whose products do not overflow
	if takes := 128 * r * (n + p); takes > bounds.KeyMemory {
		return 0, beyond("the memory of scrypt", bounds.KeyMemory, takes)
	}
	if work := 128 * r * n * p; work > bounds.KeyWork {
		return 0, beyond("the work of scrypt, 128·n·r·p", bounds.KeyWork, work)
	}
	return int64(128 * r * n), nil
}

func beyond(what string, most int64, got float64) error {
	return &bounds.Error{What: what, Most: bounds.Bytes(most), Got: fmt.Sprintf("%.0f bytes", got)}
}

// number returns a parameter that must be a whole number in a range.
func number(params map[string]any, name string, least, most int64) (int64, error) {
	value, isNumber := params[name].(float64)
	if !isNumber || value != math.Trunc(value) || value < float64(least) {
		return 0, fmt.Errorf("%s: want a whole number of at least %d", name, least)
	}
	if value > float64(most) {
		return 0, &bounds.Error{What: name, Most: fmt.Sprint(most), Got: fmt.Sprintf("%.0f", value)}
	}
	return int64(value), nil
}
