package main

import (
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
	if cfg.AllowRawKey && a.getenv(walletKey) != "" {
		return chain.ParseKey(a.secret(walletKey))
	}
	path := string(cfg.Keystore)
	if path == "" {
		return chain.Wallet{}, &chain.WalletError{Where: "environment " + walletKey, Problem: "it is not set, and wallet.keystore neither"}
	}
	if a.getenv(walletKey) != "" {
		return chain.Wallet{}, &chain.WalletError{Where: "environment " + walletKey, Problem: "a raw key is refused unless wallet.allow-raw-key is true"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return chain.Wallet{}, &chain.WalletError{Where: path, Problem: readProblem(err), Err: err}
	}
	if info.IsDir() {
		if cfg.Address == (common.Address{}) {
			return chain.Wallet{}, &chain.WalletError{Where: path, Problem: "it is a folder: wallet.address must say which file"}
		}
		if path, err = chain.FindKeystore(path, cfg.Address); err != nil {
			return chain.Wallet{}, err
		}
	}
	password := a.secret(walletPassword)
	if password == "" {
		return chain.Wallet{}, &chain.WalletError{Where: path, Problem: walletPassword + " is not set"}
	}
	return chain.OpenKeystore(path, []byte(password))
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
	where := string(cfg.Key)
	var pem []byte
	if variable, ok := strings.CutPrefix(where, "env://"); ok {
		pem = []byte(a.secret(variable))
	} else {
		var err error
		if pem, err = os.ReadFile(where); err != nil {
			return nil, &keyError{where, err}
		}
	}
	key, err := registry.LoadKey(pem, []byte(a.secret(cosignPassword)))
	if err != nil {
		return nil, &keyError{where, err}
	}
	return key, nil
}
