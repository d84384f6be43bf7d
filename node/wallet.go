package node

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// Wallet is the address of an app's owner, and what signs for it. With the address alone
// nothing can be signed.
type Wallet struct {
	Address common.Address
	signer  Signer
	made    *signatures
	payer   *Wallet // nil: itself
}

// PaidBy returns the wallet with another one that sends its transactions: that one's coins
// and nonce are used, and where a contract wants the wallet's word it gets its signature.
func (w Wallet) PaidBy(payer Wallet) Wallet {
	w.payer = nil
	if payer.Address != w.Address {
		w.payer = &payer
	}
	return w
}

// Payer returns the wallet that sends the transactions: itself, or that of [Wallet.PaidBy].
func (w Wallet) Payer() Wallet {
	if w.payer == nil {
		return w
	}
	return *w.payer
}

// NewWallet returns the wallet that a signer signs for.
func NewWallet(address common.Address, s Signer) Wallet {
	return Wallet{Address: address, signer: s, made: &signatures{of: map[common.Hash][]byte{}}}
}

// keyWallet returns the wallet of a key in memory.
func keyWallet(key *ecdsa.PrivateKey) Wallet {
	return NewWallet(crypto.PubkeyToAddress(key.PublicKey), HashSigner(func(_ context.Context, hash common.Hash) ([]byte, error) {
		signature, err := crypto.Sign(hash[:], key)
		if err == nil {
			signature[crypto.RecoveryIDOffset] += 27
		}
		return signature, err
	}))
}

// WalletError says why a wallet cannot be opened. It never holds key material.
type WalletError struct {
	Where   string // a file's path, or "raw key"
	Problem string
	Err     error
}

func (e *WalletError) Error() string { return fmt.Sprintf("opening wallet %s: %s", e.Where, e.Problem) }

// Unwrap returns the cause, if there is one that may be shown.
func (e *WalletError) Unwrap() error { return e.Err }

// Evidence returns where and why.
func (e *WalletError) Evidence() [][2]string {
	return [][2]string{{"where", e.Where}, {"problem", e.Problem}}
}

// FindKeystore returns the keystore file of an address in a folder, as geth and
// iExec's CLI name it: UTC--<time>--<address>. With several, the newest.
func FindKeystore(dir string, address common.Address) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "UTC--*"))
	if err != nil {
		return "", &WalletError{dir, "the folder cannot be listed", err}
	}
	suffix := "--" + hex.EncodeToString(address[:])
	var found string
	for _, f := range files {
		if strings.HasSuffix(strings.ToLower(f), suffix) {
			found = f // the names begin with the time, and Glob sorts them
		}
	}
	if found == "" {
		return "", &WalletError{Where: dir, Problem: fmt.Sprintf("no keystore file of %s among %d", address, len(files))}
	}
	return found, nil
}

// ParseKey reads a raw private key: 64 hex digits, with or without 0x.
func ParseKey(text string) (Wallet, error) {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(strings.TrimSpace(text), "0x"))
	if err != nil { // the cause may quote the text
		return Wallet{}, &WalletError{Where: "raw key", Problem: "want 64 hex digits of a secp256k1 key"}
	}
	return keyWallet(key), nil
}

// RecoverSigner returns whose signature of a hash it is, in the form that a [Signer] returns.
func RecoverSigner(digest common.Hash, sig []byte) (common.Address, error) {
	if len(sig) != crypto.SignatureLength || sig[crypto.RecoveryIDOffset] < 27 {
		return common.Address{}, fmt.Errorf("recovering signer: want 65 bytes with v 27 or 28, got %d bytes", len(sig))
	}
	raw := append([]byte(nil), sig...)
	raw[crypto.RecoveryIDOffset] -= 27
	public, err := crypto.SigToPub(digest[:], raw)
	if err != nil {
		return common.Address{}, fmt.Errorf("recovering signer: %w", err)
	}
	return crypto.PubkeyToAddress(*public), nil
}

// FundsError says that a wallet cannot pay for a transaction.
type FundsError struct {
	Wallet  common.Address
	Balance *big.Int // wei
	Chain   string
	Err     error // the node's words
}

func (e *FundsError) Error() string {
	return fmt.Sprintf("wallet %s cannot pay for the transaction on %s", e.Wallet, e.Chain)
}

// Unwrap returns the node's error.
func (e *FundsError) Unwrap() error { return e.Err }

// Evidence returns the balance and what the node asks for.
func (e *FundsError) Evidence() [][2]string {
	return [][2]string{{"wallet", e.Wallet.Hex()}, {"balance", e.Balance.String() + " wei"}, {"because", e.Err.Error()}}
}
