package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

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

// openWallet decrypts the wallet of the configuration, or takes a raw key from
// the environment where that is allowed.
func (a *app) openWallet(cfg walletConfig) (chain.Wallet, error) {
	l, err := a.lockedWallet(cfg)
	if err != nil {
		return chain.Wallet{}, err
	}
	return l.unlock()
}

// lockedWallet finds the wallet.
func (a *app) lockedWallet(cfg walletConfig) (l locked[chain.Wallet], err error) {
	path, err := a.keystore(cfg)
	if err != nil {
		return l, err
	}
	if path == "" {
		wallet, err := chain.ParseKey(a.secret(walletKey))
		l.open = func() (chain.Wallet, error) { return wallet, nil }
		return l, err
	}
	file, err := chain.ReadKeystore(path)
	if err != nil {
		return l, err
	}
	password := a.secret(walletPassword)
	if password == "" {
		return l, &chain.WalletError{Where: path, Problem: walletPassword + " is not set"}
	}
	l.memory = file.Memory
	l.open = func() (chain.Wallet, error) { return chain.OpenKeystore(path, []byte(password)) }
	return l, nil
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
		file, err := chain.ReadKeystore(path)
		if err != nil || file.Address != (common.Address{}) {
			return file.Address, err
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
	l, _, err := a.lockedKey(cfg)
	if err != nil {
		return nil, err
	}
	return l.unlock()
}

// lockedKey finds the key and, where cosign.pub is beside it, its public half,
// which must be that.
func (a *app) lockedKey(cfg signConfig) (l locked[*registry.Key], public *registry.PublicKey, err error) {
	pem, err := a.readKey(cfg)
	if err != nil {
		return l, nil, err
	}
	path, public, err := readPublicKey(cfg)
	if err != nil {
		return l, nil, err
	}
	password := a.secret(cosignPassword)
	l.memory = registry.KeyMemory(pem)
	l.open = func() (*registry.Key, error) {
		key, err := registry.LoadKey(pem, []byte(password))
		switch {
		case err != nil && password == "": // which may be right: cosign takes no password for one
			return nil, &keyError{string(cfg.Key), errors.New(cosignPassword + " is not set")}
		case err != nil:
			return nil, &keyError{string(cfg.Key), err}
		case public != nil && !public.Equal(key.PublicKey):
			return nil, &keyError{path, fmt.Errorf("it is not the public half of %s", cfg.Key)}
		}
		return key, nil
	}
	return l, public, nil
}

// readPublicKey reads what cosign generate-key-pair writes beside the key:
// cosign.pub beside cosign.key. The key is nil when there is no such file.
func readPublicKey(cfg signConfig) (path string, key *registry.PublicKey, err error) {
	stem, found := strings.CutSuffix(string(cfg.Key), ".key")
	if !found || strings.HasPrefix(stem, "env://") {
		return "", nil, nil
	}
	path = stem + ".pub"
	pem, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, &keyError{path, errors.New(readProblem(err))}
	}
	public, err := registry.ParsePublicKey(string(pem))
	if err != nil {
		return "", nil, &keyError{path, err}
	}
	return path, &public, nil
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

// keyToCheck returns the key for who looks at what it signed: without the
// password where its public half is a file.
func (a *app) keyToCheck(cfg signConfig) (*registry.Key, error) {
	l, public, err := a.lockedKey(cfg)
	if err != nil {
		return nil, err
	}
	if public == nil {
		return l.unlock()
	}
	return public.Pair(l.unlock), nil
}
