package main

import (
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/registry"
)

// Where secrets come from: the environment only, never a flag or a file of ours.
const (
	walletPassword = "MRELEASE_WALLET_PASSWORD"
	walletKey      = "MRELEASE_WALLET_KEY"
	cosignPassword = "COSIGN_PASSWORD" // cosign's own name
)

// secret reads a secret from the environment and has it masked.
func (a *app) secret(variable string) string {
	value := a.getenv(variable)
	if value != "" {
		a.story.ci.mask(value)
	}
	return value
}

// keyring is what a release signs with.
type keyring struct {
	key    *registry.Key
	wallet chain.Wallet
}

// unlock opens both keys while other work goes on: the passwords are slow to
// check, on purpose. One after the other, the larger first, as each takes a
// hundred megabytes meanwhile. What can be seen without that is an error at once.
func (a *app) unlock(cfg config) (opened func() (keyring, error), err error) {
	openKey, err := a.lockedKey(cfg.Sign)
	if err != nil {
		return nil, err
	}
	openWallet, err := a.lockedWallet(cfg.Wallet)
	if err != nil {
		return nil, err
	}
	opened = sync.OnceValues(func() (k keyring, err error) {
		if k.wallet, err = openWallet(); err != nil {
			return k, err
		}
		k.key, err = openKey()
		return k, err
	})
	go opened()
	return opened, nil
}

// openWallet decrypts the wallet of the configuration, or takes a raw key from
// the environment where that is allowed.
func (a *app) openWallet(cfg walletConfig) (chain.Wallet, error) {
	open, err := a.lockedWallet(cfg)
	if err != nil {
		return chain.Wallet{}, err
	}
	return open()
}

// lockedWallet finds the wallet; what it returns takes as long as the password.
func (a *app) lockedWallet(cfg walletConfig) (open func() (chain.Wallet, error), err error) {
	path, err := a.keystore(cfg)
	if err != nil {
		return nil, err
	}
	if path == "" {
		wallet, err := chain.ParseKey(a.secret(walletKey))
		return func() (chain.Wallet, error) { return wallet, nil }, err
	}
	if _, err := chain.KeystoreAddress(path); err != nil {
		return nil, err
	}
	password := a.secret(walletPassword)
	if password == "" {
		return nil, &chain.WalletError{Where: path, Problem: walletPassword + " is not set"}
	}
	return func() (chain.Wallet, error) {
		wallet, err := chain.OpenKeystore(path, []byte(password))
		debug.FreeOSMemory() // of scrypt, as with the signing key: the build needs its own
		return wallet, err
	}, nil
}

// keystore returns the file of the configuration's wallet; none when the wallet
// is a raw key in the environment.
func (a *app) keystore(cfg walletConfig) (path string, err error) {
	if cfg.AllowRawKey && a.getenv(walletKey) != "" {
		return "", nil
	}
	path = string(cfg.Keystore)
	if path == "" {
		return "", &chain.WalletError{Where: "environment " + walletKey, Problem: "it is not set, and wallet.keystore neither"}
	}
	if a.getenv(walletKey) != "" {
		return "", &chain.WalletError{Where: "environment " + walletKey, Problem: "a raw key is refused unless wallet.allow-raw-key is true"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", &chain.WalletError{Where: path, Problem: readProblem(err), Err: err}
	}
	if !info.IsDir() {
		return path, nil
	}
	if cfg.Address == (common.Address{}) {
		return "", &chain.WalletError{Where: path, Problem: "it is a folder: wallet.address must say which file"}
	}
	return chain.FindKeystore(path, cfg.Address)
}

// owner returns the address of the configuration's wallet, without the password
// where the keystore file states it.
func (a *app) owner(cfg walletConfig) (common.Address, error) {
	path, err := a.keystore(cfg)
	if err == nil && path != "" {
		address, err := chain.KeystoreAddress(path)
		if err != nil || address != (common.Address{}) {
			return address, err
		}
	}
	if err != nil && cfg.Address != (common.Address{}) {
		return cfg.Address, nil // the file itself is on another machine
	}
	wallet, err := a.openWallet(cfg)
	return wallet.Address, err
}

// keyError says why the signing key cannot be used.
type keyError struct {
	Where string
	Err   error
}

func (e *keyError) Error() string { return e.Err.Error() }
func (e *keyError) Unwrap() error { return e.Err }

// Evidence returns where the key is.
func (e *keyError) Evidence() [][2]string {
	return [][2]string{{"where", e.Where}, {"problem", e.Err.Error()}}
}

// openKey decrypts the cosign key of the configuration: a file, or env://NAME.
func (a *app) openKey(cfg signConfig) (*registry.Key, error) {
	open, err := a.lockedKey(cfg)
	if err != nil {
		return nil, err
	}
	return open()
}

// lockedKey finds the key; what it returns takes as long as the password.
func (a *app) lockedKey(cfg signConfig) (open func() (*registry.Key, error), err error) {
	pem, err := a.readKey(cfg)
	if err != nil {
		return nil, err
	}
	password := a.secret(cosignPassword)
	return func() (*registry.Key, error) {
		key, err := registry.LoadKey(pem, []byte(password))
		// What scrypt used is given back: the wallet's takes twice as much, and the
		// peak would hold both.
		debug.FreeOSMemory()
		if err != nil && password == "" { // which may be right: cosign takes no password for one
			err = errors.New(cosignPassword + " is not set")
		}
		if err != nil {
			return nil, &keyError{string(cfg.Key), err}
		}
		return key, nil
	}, nil
}

// readKey returns the cosign key as it is written, encrypted.
func (a *app) readKey(cfg signConfig) (pem []byte, err error) {
	where := string(cfg.Key)
	variable, inEnvironment := strings.CutPrefix(where, "env://")
	if inEnvironment {
		pem = []byte(a.secret(variable))
	} else if pem, err = os.ReadFile(where); err != nil {
		return nil, &keyError{where, errors.New(readProblem(err))}
	}
	switch {
	case len(pem) == 0 && inEnvironment:
		return nil, &keyError{where, errors.New(variable + " is not set")}
	case !registry.IsKey(pem):
		return nil, &keyError{where, errors.New("it is no key as cosign writes it")}
	}
	return pem, nil
}
