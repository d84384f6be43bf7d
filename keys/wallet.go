package keys

import (
	"context"
	"fmt"
	"os"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/keys/clef"
	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

// OpenWallet decrypts the wallet, takes a raw key from the environment where that is
// allowed, asks Clef whether it has the account, or a cloud's key service for the public
// key; and likewise the wallet that pays, where there is another. A contract has no key. Its
// error is a [*node.WalletError] or a [*node.SignerError].
func (r Ring) OpenWallet(ctx context.Context) (node.Wallet, error) {
	l, err := r.lockedWallet()
	if err != nil {
		return node.Wallet{}, err
	}
	return await(ctx, l.unlock)
}

// OpenOwner is [Ring.OpenWallet] for releases: where a contract owns the apps, it is the
// contract's address, for which nothing can be signed, with the wallet that pays.
func (r Ring) OpenOwner(ctx context.Context) (node.Wallet, error) {
	l, err := r.lockedOwner()
	if err != nil {
		return node.Wallet{}, err
	}
	return await(ctx, l.unlock)
}

// lockedOwner is what OpenOwner opens.
func (r Ring) lockedOwner() (l locked[node.Wallet], err error) {
	if !r.Wallet.IsSafe() {
		return r.lockedWallet()
	}
	payer, is := r.Payer()
	if !is {
		return l, &node.WalletError{Where: "wallet.payer", Problem: "wallet.safe sends no transactions: want the wallet that does"}
	}
	l, err = payer.lockedAccount()
	open := l.open
	l.open = func() (node.Wallet, error) {
		by, err := open()
		if err != nil {
			return node.Wallet{}, err
		}
		return node.Wallet{Address: r.Wallet.Safe}.PaidBy(by), nil
	}
	return l, err
}

// OpenAccount is [Ring.OpenWallet] of the wallet alone, without the one that pays.
func (r Ring) OpenAccount(ctx context.Context) (node.Wallet, error) {
	l, err := r.lockedAccount()
	if err != nil {
		return node.Wallet{}, err
	}
	return await(ctx, l.unlock)
}

// lockedWallet is the wallet with the one that pays.
func (r Ring) lockedWallet() (l locked[node.Wallet], err error) {
	owner, err := r.lockedAccount()
	payer, is := r.Payer()
	if err != nil || !is {
		return owner, err
	}
	paying, err := payer.lockedAccount()
	if err != nil {
		return l, err
	}
	l.memory = max(owner.memory, paying.memory)
	l.open = func() (node.Wallet, error) {
		wallet, err := owner.open()
		if err != nil {
			return node.Wallet{}, err
		}
		by, err := paying.open()
		if err != nil {
			return node.Wallet{}, err
		}
		return wallet.PaidBy(by), nil
	}
	return l, nil
}

func (r Ring) lockedAccount() (l locked[node.Wallet], err error) {
	if r.Wallet.IsSafe() {
		return l, &node.WalletError{Where: "wallet.safe", Problem: "a contract signs nothing here: name a wallet with a key for this command (mrelease request: --keystore)"}
	}
	if r.Wallet.Clef != "" {
		return r.lockedClef()
	}
	if r.Wallet.KMS.IsSet() {
		return r.lockedKMS()
	}
	path, err := r.Keystore()
	if err != nil {
		return l, err
	}
	if path == "" {
		wallet, err := node.ParseKey(r.secret(r.keyVariable()))
		if err == nil {
			err = compare("raw key", wallet.Address, r.At()+".address is", r.Wallet.Address)
		}
		l.open = func() (node.Wallet, error) { return wallet, nil }
		return l, err
	}
	file, err := r.readStated(path)
	if err != nil {
		return l, err
	}
	password := r.secret(r.PasswordVariable())
	if password == "" {
		err := unset(r.PasswordVariable())
		return l, &node.WalletError{Where: path, Problem: err.Problem, Err: err}
	}
	l.memory = file.Memory
	l.open = func() (node.Wallet, error) {
		wallet, err := file.Open([]byte(password))
		if err == nil {
			err = compare(path, wallet.Address, "the file states", file.Address)
		}
		if err == nil {
			err = compare(path, wallet.Address, r.At()+".address is", r.Wallet.Address)
		}
		if err != nil {
			return node.Wallet{}, walletPassword(err, r.PasswordVariable(), password)
		}
		return wallet, nil
	}
	return l, nil
}

// lockedClef is an account of Clef. No context interrupts what Clef is asked when both keys
// are opened at once; it has a bound of its own.
func (r Ring) lockedClef() (l locked[node.Wallet], err error) {
	if err := r.checkAlone("clef"); err != nil {
		return l, err
	}
	if r.Wallet.Address == (common.Address{}) {
		return l, &node.WalletError{Where: r.At() + ".clef", Problem: r.At() + ".address must say which account of Clef signs"}
	}
	l.open = func() (node.Wallet, error) { return r.clef().Open(context.Background()) }
	return l, nil
}

// Payer returns a ring whose wallet is the one that pays, and whether the settings name one
// beside the owner's.
func (r Ring) Payer() (payer Ring, is bool) {
	is = r.Wallet.Payer != settings.Payer{}
	r.Wallet, r.paying = r.Wallet.Payer.Wallet(), true
	return r, is
}

// PayerAddress returns the address of who pays, as [Ring.Owner] does the owner's; the zero
// address when that is the owner.
func (r Ring) PayerAddress(ctx context.Context) (payer common.Address, err error) {
	paying, is := r.Payer()
	if is {
		payer, _, err = paying.Owner(ctx)
	}
	return payer, err
}

// At returns the key of the settings below which the wallet is named.
func (r Ring) At() string {
	if r.paying {
		return "wallet.payer"
	}
	return "wallet"
}

// PasswordVariable names the variable of the environment with the password of the wallet.
func (r Ring) PasswordVariable() string {
	if r.paying {
		return settings.PayerPassword
	}
	return WalletPassword
}

func (r Ring) keyVariable() string {
	if r.paying {
		return settings.PayerKey
	}
	return WalletKey
}

func (r Ring) clef() clef.Signer {
	return clef.Signer{At: string(r.Wallet.Clef), Account: r.Wallet.Address}
}

// lockedKMS is a key of a cloud's key service, likewise.
func (r Ring) lockedKMS() (l locked[node.Wallet], err error) {
	if err := r.checkAlone("kms"); err != nil {
		return l, err
	}
	for _, variable := range r.Wallet.KMS.Variables() {
		r.secret(variable) // which has it masked
	}
	l.open = func() (node.Wallet, error) { return r.kms().Open(context.Background(), r.Wallet.Address) }
	return l, nil
}

// checkAlone refuses a wallet that is named in two ways.
func (r Ring) checkAlone(form string) error {
	key := r.At() + "." + form
	if r.Wallet.Keystore != "" {
		return &node.WalletError{Where: key, Problem: "stands beside " + r.At() + ".keystore (--keystore): want one of them"}
	}
	if r.Wallet.Clef != "" && r.Wallet.KMS.IsSet() {
		return &node.WalletError{Where: key, Problem: r.At() + ".clef stands beside " + r.At() + ".kms: want one of them"}
	}
	if r.Getenv(r.keyVariable()) != "" {
		return &node.WalletError{Where: "environment " + r.keyVariable(), Problem: "a raw key is refused beside " + key}
	}
	return nil
}

func (r Ring) kms() kms.Key {
	if k := r.Wallet.KMS; k.Cloud == settings.AWSKMS {
		return kms.AWS(k.Endpoint, k.Key)
	}
	return kms.Google(r.Wallet.KMS.Key)
}

// External says who signs for the wallet when its key is not here; empty when it is.
func (r Ring) External() string {
	switch {
	case r.Wallet.Clef != "":
		return r.clef().String()
	case r.Wallet.KMS.IsSet():
		return r.kms().String()
	}
	return ""
}

// compare returns a [*node.WalletError] when a key is of another address than the one
// that was said: whoever looked at that would see another owner than the chain does.
func compare(where string, found common.Address, says string, said common.Address) error {
	if said == (common.Address{}) || said == found {
		return nil
	}
	return &node.WalletError{Where: where, Problem: fmt.Sprintf("the key in it is that of %s, but %s %s", found, says, said)}
}

// readStated reads what a keystore file says of itself, which must be of the wallet
// that the settings name.
func (r Ring) readStated(path string) (node.Keystore, error) {
	file, err := node.ReadKeystore(path)
	if named := r.Wallet.Address; err == nil && file.Address != (common.Address{}) && named != (common.Address{}) && named != file.Address {
		return file, &node.WalletError{Where: path, Problem: fmt.Sprintf("the file states %s, but %s.address is %s", file.Address, r.At(), named)}
	}
	return file, err
}

// Keystore returns the file of the wallet; "" when the wallet is a raw key in the
// environment.
func (r Ring) Keystore() (path string, err error) {
	if r.Wallet.AllowRawKey && r.Getenv(r.keyVariable()) != "" {
		return "", nil
	}
	path = string(r.Wallet.Keystore)
	if path == "" {
		return "", &node.WalletError{Where: r.At() + ".keystore", Problem: "no wallet is named (mrelease request: --keystore), and " + r.keyVariable() + " is not set", Err: &UnsetError{r.keyVariable()}}
	}
	if r.Getenv(r.keyVariable()) != "" {
		return "", &node.WalletError{Where: "environment " + r.keyVariable(), Problem: "a raw key is refused unless " + r.At() + ".allow-raw-key is true"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", &node.WalletError{Where: path, Problem: settings.Reason(err), Err: err}
	}
	if !info.IsDir() {
		return path, nil
	}
	if r.Wallet.Address == (common.Address{}) {
		return "", &node.WalletError{Where: path, Problem: "it is a folder: " + r.At() + ".address must say which file"}
	}
	return node.FindKeystore(path, r.Wallet.Address)
}

// Owner returns the wallet's address, without the password where the keystore file
// states it. Then stated says who does: only opening the key shows whether it is so. A
// cloud's key service is asked unless wallet.address says it.
func (r Ring) Owner(ctx context.Context) (owner common.Address, stated string, err error) {
	if r.Wallet.IsSafe() {
		return r.Wallet.Safe, "wallet.safe", nil
	}
	if r.Wallet.Clef != "" {
		_, err := r.lockedClef()
		return r.Wallet.Address, r.At() + ".address, for " + r.External() + ",", err
	}
	if r.Wallet.KMS.IsSet() {
		return r.ownerOfKMS(ctx)
	}
	path, err := r.Keystore()
	if err == nil && path != "" {
		file, err := r.readStated(path)
		if err != nil || file.Address != (common.Address{}) {
			return file.Address, path, err
		}
	}
	if err != nil && r.Wallet.Address != (common.Address{}) {
		return r.Wallet.Address, r.At() + ".address", nil // the file itself is on another machine
	}
	wallet, err := r.OpenAccount(ctx)
	return wallet.Address, "", err
}

func (r Ring) ownerOfKMS(ctx context.Context) (owner common.Address, stated string, err error) {
	locked, err := r.lockedKMS()
	if err != nil || r.Wallet.Address != (common.Address{}) {
		return r.Wallet.Address, r.At() + ".address, for " + r.External() + ",", err
	}
	wallet, err := await(ctx, locked.unlock)
	return wallet.Address, "", err
}
