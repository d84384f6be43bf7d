package node

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// Signer holds a wallet's key, or asks who does. It is told what is signed and not only
// its hash, so that a program or a person with the key can judge that. It returns the 65
// bytes r ‖ s ‖ v, with v 27 or 28 and the lower s, as contracts and wallets exchange them.
type Signer interface {
	// SignTransaction signs for a chain and no other (EIP-155). What is called is told as
	// its ABI writes it, createApp(address,string,…).
	SignTransaction(ctx context.Context, tx *types.Transaction, chain *big.Int, call string) (signature []byte, err error)
	// SignTypedData signs by EIP-712.
	SignTypedData(ctx context.Context, data apitypes.TypedData) (signature []byte, err error)
	// SignText signs a personal message (EIP-191, version 0x45).
	SignText(ctx context.Context, text []byte) (signature []byte, err error)
}

// HashSigner is the [Signer] of a key that signs whatever hash it is given.
type HashSigner func(ctx context.Context, hash common.Hash) (signature []byte, err error)

// SignTransaction implements [Signer].
func (s HashSigner) SignTransaction(ctx context.Context, tx *types.Transaction, chain *big.Int, _ string) ([]byte, error) {
	return s(ctx, types.LatestSignerForChainID(chain).Hash(tx))
}

// SignTypedData implements [Signer].
func (s HashSigner) SignTypedData(ctx context.Context, data apitypes.TypedData) ([]byte, error) {
	hash, err := typedDataHash(data)
	if err != nil {
		return nil, err
	}
	return s(ctx, hash)
}

// SignText implements [Signer].
func (s HashSigner) SignText(ctx context.Context, text []byte) ([]byte, error) {
	return s(ctx, common.BytesToHash(accounts.TextHash(text)))
}

func typedDataHash(data apitypes.TypedData) (common.Hash, error) {
	hash, _, err := apitypes.TypedDataAndHash(data)
	if err != nil {
		return common.Hash{}, fmt.Errorf("hashing %s: %w", data.PrimaryType, err)
	}
	return common.BytesToHash(hash), nil
}

// SignTypedData signs by EIP-712. Its error is a [*SignerError], or the signer's.
func (w Wallet) SignTypedData(ctx context.Context, data apitypes.TypedData) ([]byte, error) {
	hash, err := typedDataHash(data)
	if err != nil {
		return nil, err
	}
	return w.sign("typed data "+data.PrimaryType, hash, func() ([]byte, error) { return w.signer.SignTypedData(ctx, data) })
}

// SignText signs a personal message (EIP-191). Errors are those of [Wallet.SignTypedData].
func (w Wallet) SignText(ctx context.Context, text []byte) ([]byte, error) {
	return w.sign("a text", common.BytesToHash(accounts.TextHash(text)), func() ([]byte, error) { return w.signer.SignText(ctx, text) })
}

// SignTransaction signs what would be done on a chain, and nothing else: only the
// signature is taken from the signer. Errors are those of [Wallet.SignTypedData].
func (w Wallet) SignTransaction(ctx context.Context, data types.TxData, chainID uint64, call string) (*types.Transaction, error) {
	tx, chain := types.NewTx(data), new(big.Int).SetUint64(chainID)
	rules := types.LatestSignerForChainID(chain)
	signature, err := w.sign("a call of "+call, rules.Hash(tx), func() ([]byte, error) { return w.signer.SignTransaction(ctx, tx, chain, call) })
	if err != nil {
		return nil, err
	}
	signature[crypto.RecoveryIDOffset] -= 27
	return tx.WithSignature(rules, signature)
}

// signatures are those that a wallet made. A release shows its order and its record several
// times; a person is asked for each once, and one that a signer makes anew each time, with
// other random numbers, stays the same.
type signatures struct {
	mu sync.Mutex
	of map[common.Hash][]byte
}

func (s *signatures) find(hash common.Hash) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.of[hash])
}

func (s *signatures) keep(hash common.Hash, signature []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[hash] = slices.Clone(signature)
}

// sign has something signed, unless it was, and makes sure that the wallet's key did:
// whoever signs may be another program, or another machine.
func (w Wallet) sign(what string, hash common.Hash, ask func() ([]byte, error)) ([]byte, error) {
	if w.signer == nil {
		return nil, fmt.Errorf("signing %s: only the address of wallet %s is known", what, w.Address)
	}
	if made := w.made.find(hash); made != nil {
		return made, nil
	}
	signature, err := ask()
	if err != nil {
		return nil, fmt.Errorf("signing %s as %s: %w", what, w.Address, err)
	}
	if err := w.keep(what, hash, signature); err != nil {
		return nil, err
	}
	return signature, nil
}

// keep makes sure that a signature of a hash is the wallet's, in the one form that contracts
// take, and keeps it.
func (w Wallet) keep(what string, hash common.Hash, signature []byte) error {
	wrong := func(problem string) error {
		return &SignerError{Wallet: w.Address, What: what, Problem: problem, Advice: "find out why before you use it again"}
	}
	found, err := RecoverSigner(hash, signature)
	switch {
	case err != nil:
		return wrong("what came back is no signature: " + err.Error())
	case found != w.Address:
		return wrong(fmt.Sprintf("what came back is a signature of %s, or of something else", found))
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	if !crypto.ValidateSignatureValues(signature[crypto.RecoveryIDOffset]-27, r, s, true) {
		return wrong("the signature has the higher s, which contracts refuse")
	}
	if w.made != nil { // nothing is signed with the address alone
		w.made.keep(hash, signature)
	}
	return nil
}

// RecallTypedData has the wallet give a signature again that it made before, in another run
// perhaps, rather than make another one of the same. Its error says that it did not make it,
// or made it in another form.
func (w Wallet) RecallTypedData(data apitypes.TypedData, signature []byte) error {
	hash, err := typedDataHash(data)
	if err != nil {
		return err
	}
	return w.keep("typed data "+data.PrimaryType, hash, signature)
}

// RecallText is RecallTypedData of a personal message.
func (w Wallet) RecallText(text, signature []byte) error {
	return w.keep("a text", common.BytesToHash(accounts.TextHash(text)), signature)
}

// SignerError says that who signs for a wallet did not, or signed something else. Nothing
// of it was sent.
type SignerError struct {
	Wallet  common.Address // zero while it is opened, before anything is to be signed
	What    string         // was to be signed, or asked
	Problem string
	Advice  string
	Err     error // the cause, if there is one that may be shown
}

func (e *SignerError) Error() string {
	if e.Wallet == (common.Address{}) {
		return "opening the wallet: " + e.Problem
	}
	return fmt.Sprintf("signing %s as %s: %s", e.What, e.Wallet, e.Problem)
}

// Unwrap returns the cause.
func (e *SignerError) Unwrap() error { return e.Err }

// Remedy returns what can be done.
func (e *SignerError) Remedy() string { return "nothing of it was sent: " + e.Advice }

// Evidence returns who should have signed what, and what came.
func (e *SignerError) Evidence() [][2]string {
	problem := [2]string{"problem", e.Problem}
	if e.Wallet == (common.Address{}) {
		return [][2]string{problem}
	}
	return [][2]string{{"wallet", e.Wallet.Hex()}, {"to sign", e.What}, problem}
}
