package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

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
// check, on purpose. What can be seen without that is an error at once.
func (a *app) unlock(cfg config) (*unlocking, error) {
	key, err := a.lockedKey(cfg.Sign)
	if err != nil {
		return nil, err
	}
	wallet, err := a.lockedWallet(cfg.Wallet)
	if err != nil {
		return nil, err
	}
	u := &unlocking{room: semaphore.NewWeighted(maxUnlocking)}
	u.opened = sync.OnceValues(func() (k keyring, err error) {
		var both errgroup.Group
		both.Go(func() (err error) { k.wallet, err = wallet.openWithin(u.room); return err })
		both.Go(func() (err error) { k.key, err = key.openWithin(u.room); return err })
		err = both.Wait()
		return k, err
	})
	go u.opened()
	return u, nil
}

// unlocking is the opening of both keys, under way.
type unlocking struct {
	room   *semaphore.Weighted // bytes
	opened func() (keyring, error)
}

// beside runs work that takes memory, too, when the keys leave room for it.
func (u *unlocking) beside(ctx context.Context, work func() error) error {
	if err := u.room.Acquire(ctx, maxUnlocking/2); err != nil {
		return err
	}
	defer u.room.Release(maxUnlocking / 2)
	return work()
}

// maxUnlocking is how much memory checking passwords may take at a time. iExec's
// command line makes wallets that take all of it.
const maxUnlocking = 128 << 20

// locked is a key whose password was not checked yet.
type locked[K any] struct {
	memory int64 // bytes that open takes
	open   func() (K, error)
}

// openWithin waits until there is room.
func (l locked[K]) openWithin(room *semaphore.Weighted) (K, error) {
	memory := max(0, min(l.memory, maxUnlocking)) // a file may state anything
	if err := room.Acquire(context.Background(), memory); err != nil {
		var none K
		return none, err
	}
	defer room.Release(memory)
	defer l.forget()
	return l.open()
}

// forget gives the memory back now: the peak would hold that of the next key too.
func (l locked[K]) forget() {
	if l.memory > maxUnlocking/8 {
		debug.FreeOSMemory()
	}
}

// openWallet decrypts the wallet of the configuration, or takes a raw key from
// the environment where that is allowed.
func (a *app) openWallet(cfg walletConfig) (chain.Wallet, error) {
	l, err := a.lockedWallet(cfg)
	if err != nil {
		return chain.Wallet{}, err
	}
	defer l.forget()
	return l.open()
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
	l, err := a.lockedKey(cfg)
	if err != nil {
		return nil, err
	}
	defer l.forget()
	return l.open()
}

// lockedKey finds the key.
func (a *app) lockedKey(cfg signConfig) (l locked[*registry.Key], err error) {
	pem, err := a.readKey(cfg)
	if err != nil {
		return l, err
	}
	password := a.secret(cosignPassword)
	l.memory = registry.KeyMemory(pem)
	l.open = func() (*registry.Key, error) {
		key, err := registry.LoadKey(pem, []byte(password))
		if err != nil && password == "" { // which may be right: cosign takes no password for one
			err = errors.New(cosignPassword + " is not set")
		}
		if err != nil {
			return nil, &keyError{string(cfg.Key), err}
		}
		return key, nil
	}
	return l, nil
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
