package publishtest

import (
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/world"
)

func startWorld(t *testing.T) *world.World {
	t.Helper()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func profile(w *world.World, c world.Chain) poco.Chain {
	return poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Market: w.Market, Fees: c.Fees, Development: true}
}

func connect(t *testing.T, p poco.Chain) *node.Client {
	t.Helper()
	c, err := node.Connect(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wallet returns one of the accounts with a balance, or a poor one for a number
// beyond them.
func wallet(t *testing.T, account int) node.Wallet {
	t.Helper()
	key := crypto.Keccak256(big.NewInt(int64(account)).Bytes())
	if account < world.Accounts {
		key = crypto.FromECDSA(world.Key(account))
	}
	w, err := node.ParseKey(hex.EncodeToString(key))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newApp(owner node.Wallet, name string) poco.App {
	return poco.App{
		Owner: owner.Address, Name: name, Type: poco.TypeDocker, Multiaddr: []byte("registry.example/" + name + ":1.0.0"),
		Checksum: common.HexToHash("0x01"), MREnclave: []byte("fingerprint"),
	}
}

// nonce is how many transactions an account has in blocks.
func nonce(t *testing.T, c world.Chain, account common.Address) uint64 {
	t.Helper()
	n, err := c.Client.NonceAt(t.Context(), account, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var enclave = measure.Enclave{Format: measure.Legacy}
