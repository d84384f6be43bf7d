package publishtest

import (
	"errors"
	"fmt"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// registerAll registers apps of one wallet at the same time, with one connection.
func registerAll(t *testing.T, client *node.Client, w node.Wallet, n int) {
	t.Helper()
	errs := make([]error, n)
	together(n, func(i int) {
		_, errs[i] = apps.Register(t.Context(), client, w, newApp(w, fmt.Sprint("one", i)), enclave)
	})
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}

// What several want of one wallet, with one connection, is done once each, and no nonce is
// left out; more than are sent at a time have their turns, too.
func TestSeveralWithOneConnection(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			owner, client := wallet(t, 1), connect(t, profile(w, c))
			before := nonce(t, c, owner.Address)
			registerAll(t, client, owner, 20)
			expect(t, "transactions", nonce(t, c, owner.Address)-before, "20")
			expect(t, "apps", countApps(t, c, owner.Address), "20")
		})
	}
}

// A wallet that can pay for each, but not for what is reserved for all of them at a time,
// pays for one after the other.
func TestSeveralWithCoinsForOne(t *testing.T) {
	w := startWorld(t)
	poor, client := wallet(t, poorOwner), connect(t, profile(w, w.V6))
	first := newApp(wallet(t, 1), "priced")
	cost, err := apps.EstimateCreate(t.Context(), client, wallet(t, 1).Address, first)
	if err != nil {
		t.Fatal(err)
	}
	const n = 4
	coins := new(big.Int).Mul(cost.Wei(), big.NewInt(n-1)) // what the others cost, and what is reserved for one
	if coins.Add(coins, cost.Reserve); coins.Cmp(new(big.Int).Mul(cost.Reserve, big.NewInt(n))) >= 0 {
		t.Fatalf("%s wei are enough for all at a time", coins)
	}
	give(t, w.V6, poor.Address, coins)
	registerAll(t, client, poor, n)
	expect(t, "apps", countApps(t, w.V6, poor.Address), fmt.Sprint(n))
}

// give sends coins.
func give(t *testing.T, c world.Chain, to common.Address, wei *big.Int) {
	t.Helper()
	opts := bind.NewKeyedTransactor(world.Key(2), new(big.Int).SetUint64(c.ID))
	opts.Context, opts.Value, opts.GasLimit = t.Context(), wei, 21_000
	if c.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	tx, err := bind.NewBoundContract(to, abi.ABI{}, c.Client, c.Client, c.Client).RawTransact(opts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := protocol.Mined(t.Context(), c.Client, tx.Hash()); err != nil {
		t.Fatal(err)
	}
}
