package node_test

import (
	"context"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Made with ethers 6: the key is 32 times 0x11.
func knownWallet(t *testing.T) node.Wallet {
	t.Helper()
	w, err := node.ParseKey(strings.Repeat("11", 32))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func transfer() *types.DynamicFeeTx {
	to := common.Address{19: 1}
	return &types.DynamicFeeTx{ChainID: big.NewInt(5), Nonce: 7, GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21_000, To: &to, Value: big.NewInt(3), Data: []byte{4}}
}

func TestSign(t *testing.T) {
	w := knownWallet(t)
	signature, err := w.SignTypedData(t.Context(), poco.Challenge(134, "Sign this message to log into iExec Gateway: abc"))
	const want = "0x5f29927aea5c5606efb719e294964dedbfe74418c5debcd0ef06f44756406d9d3e9449ec4d43bdd0e2e8a7d652588dd8e11e3d77882822d115ba988ca71cbfbf1b"
	if err != nil || !slices.Equal(signature, common.FromHex(want)) {
		t.Errorf("challenge: %x, %v, want %s", signature, err, want)
	}
	for _, data := range []types.TxData{transfer(), &types.LegacyTx{Nonce: 7, GasPrice: new(big.Int), Gas: 21_000, To: transfer().To}} {
		tx, err := w.SignTransaction(t.Context(), data, 5, "pay()")
		if err != nil {
			t.Fatal(err)
		}
		from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(5)), tx)
		if err != nil || from != w.Address || tx.ChainId().Uint64() != 5 || !tx.Protected() {
			t.Errorf("type %d: from %s, %v, of chain %s", tx.Type(), from, err, tx.ChainId())
		}
	}
}

// Whoever signs for a wallet may sign something else, as somebody else, or make no signature.
func TestAttackSigner(t *testing.T) {
	key, err := crypto.HexToECDSA(strings.Repeat("11", 32))
	if err != nil {
		t.Fatal(err)
	}
	other, err := crypto.HexToECDSA(strings.Repeat("22", 32))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(hash common.Hash) []byte { return signed(t, hash) }
	for name, c := range map[string]struct {
		sign func(common.Hash) []byte
		want string
	}{
		"nothing":        {func(common.Hash) []byte { return nil }, "no signature"},
		"64 bytes":       {func(h common.Hash) []byte { return sign(h)[:64] }, "no signature"},
		"v of 0 or 1":    {func(h common.Hash) []byte { s := sign(h); s[64] -= 27; return s }, "no signature"},
		"zeros":          {func(common.Hash) []byte { return append(make([]byte, 64), 27) }, "no signature"},
		"another hash":   {func(h common.Hash) []byte { h[0] ^= 1; return sign(h) }, "a signature of 0x"},
		"another key":    {func(h common.Hash) []byte { s, _ := crypto.Sign(h[:], other); s[64] += 27; return s }, "a signature of " + crypto.PubkeyToAddress(other.PublicKey).Hex()},
		"the other v":    {func(h common.Hash) []byte { s := sign(h); s[64] ^= 7; return s }, "a signature of 0x"},
		"the higher s":   {func(h common.Hash) []byte { return higher(sign(h)) }, "the higher s"},
		"v of a chain":   {func(h common.Hash) []byte { s := sign(h); s[64] += 18; return s }, "no signature"},
		"66 bytes of it": {func(h common.Hash) []byte { return append(sign(h), 0) }, "no signature"},
	} {
		t.Run(name, func(t *testing.T) {
			w := node.NewWallet(crypto.PubkeyToAddress(key.PublicKey), node.HashSigner(func(_ context.Context, h common.Hash) ([]byte, error) { return c.sign(h), nil }))
			_, text := w.SignText(t.Context(), []byte("text"))
			_, typed := w.SignTypedData(t.Context(), poco.Challenge(134, "text"))
			_, sent := w.SignTransaction(t.Context(), transfer(), 5, "pay()")
			for _, err := range []error{text, typed, sent} {
				var refused *node.SignerError
				if !errors.As(err, &refused) || !strings.Contains(refused.Problem, c.want) {
					t.Errorf("got %v, want a problem with %q", err, c.want)
				}
			}
		})
	}
}

// signed is the signature of the known wallet's key.
func signed(t *testing.T, hash common.Hash) []byte {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.Repeat("11", 32))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := crypto.Sign(hash[:], key)
	if err != nil {
		t.Fatal(err)
	}
	signature[64] += 27
	return signature
}

// higher is the other signature of the same hash by the same key.
func higher(signature []byte) []byte {
	s := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(signature[32:64]))
	s.FillBytes(signature[32:64])
	signature[64] ^= 7 // 27 is 0x1b, 28 is 0x1c
	return signature
}

// A signature of a transaction for all chains could be sent on another one.
func TestAttackUnprotectedTransaction(t *testing.T) {
	w := node.NewWallet(knownWallet(t).Address, unprotecting{t})
	var refused *node.SignerError
	if _, err := w.SignTransaction(t.Context(), &types.LegacyTx{GasPrice: new(big.Int), Gas: 21_000, To: transfer().To}, 5, "pay()"); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

// unprotecting signs as before EIP-155.
type unprotecting struct{ t *testing.T }

func (u unprotecting) SignTransaction(_ context.Context, tx *types.Transaction, _ *big.Int, _ string) ([]byte, error) {
	return signed(u.t, types.HomesteadSigner{}.Hash(tx)), nil
}

func (unprotecting) SignTypedData(context.Context, apitypes.TypedData) ([]byte, error) {
	return nil, errors.New("not asked for here")
}

func (unprotecting) SignText(context.Context, []byte) ([]byte, error) {
	return nil, errors.New("not asked for here")
}

// The address alone signs nothing.
func TestSignWithAddressAlone(t *testing.T) {
	if _, err := (node.Wallet{Address: common.Address{1}}).SignText(t.Context(), []byte("text")); err == nil || !strings.Contains(err.Error(), "only the address") {
		t.Errorf("got %v", err)
	}
}

// What was signed is not asked for again: each time could be a question to a person.
func TestSignOnce(t *testing.T) {
	asked, known := 0, knownWallet(t)
	w := node.NewWallet(known.Address, node.HashSigner(func(_ context.Context, h common.Hash) ([]byte, error) {
		asked++
		return signed(t, h), nil
	}))
	for range 3 {
		for _, text := range []string{"one", "two"} {
			got, err := w.SignText(t.Context(), []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if want, err := known.SignText(t.Context(), []byte(text)); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %x, %v, want %x", text, got, err, want)
			}
			clear(got) // is the caller's
		}
		if _, err := w.SignTransaction(t.Context(), transfer(), 5, "pay()"); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times, want 3", asked)
	}
}
