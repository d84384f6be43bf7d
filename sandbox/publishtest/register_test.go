package publishtest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	sandboxchain "github.com/mrelease/mrelease/sandbox/chain"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// An app is created once, in the fee mode of its chain, and found afterwards.
func TestRegister(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		client, owner := connect(t, profile(w, c)), wallet(t, 1)
		app := newApp(owner, "once")
		if _, err := apps.Lookup(t.Context(), client, app); !isNoApp(err) {
			t.Errorf("%s: before: %v, want a *apps.NoAppError", c.Name, err)
		}
		made, err := apps.Register(t.Context(), client, owner, app, enclave)
		if err != nil || !made.Created || made.App.Owner != owner.Address || len(made.App.Diff(app)) > 0 {
			t.Fatalf("%s: registered %+v, %v", c.Name, made, err)
		}
		checkFee(t, c, made.Tx)
		found, err := apps.Register(t.Context(), client, owner, app, enclave)
		if err != nil || found.Created || found.Address != made.Address || found.Tx != (common.Hash{}) {
			t.Errorf("%s: registered again %+v, %v", c.Name, found, err)
		}
		if n := nonce(t, c, owner.Address); n != 1 {
			t.Errorf("%s: %d transactions, want 1", c.Name, n)
		}
	}
}

func isNoApp(err error) bool {
	var missing *apps.NoAppError
	return errors.As(err, &missing)
}

func checkFee(t *testing.T, c world.Chain, hash common.Hash) {
	t.Helper()
	tx, _, err := c.Client.TransactionByHash(t.Context(), hash)
	if err != nil {
		t.Fatal(err)
	}
	if c.Fees == poco.FeesLegacy && (tx.Type() != types.LegacyTxType || tx.GasPrice().Sign() != 0) {
		t.Errorf("%s: type %d at price %s, want 0 at 0", c.Name, tx.Type(), tx.GasPrice())
	}
	if c.Fees == poco.FeesEIP1559 && (tx.Type() != types.DynamicFeeTxType || tx.GasTipCap().Sign() == 0) {
		t.Errorf("%s: type %d with tip %s, want 2 with a tip", c.Name, tx.Type(), tx.GasTipCap())
	}
}

// together calls a function several times at the same time.
func together(n int, call func(i int)) {
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() { call(i) })
	}
	wait.Wait()
}

// Parallel runs of one release make one app.
func TestRegisterInParallel(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		owner := wallet(t, 1)
		app := newApp(owner, "parallel")
		var made [4]apps.Registration
		var errs [4]error
		together(len(made), func(i int) {
			client, err := node.Connect(t.Context(), profile(w, c))
			if err == nil {
				made[i], err = apps.Register(t.Context(), client, owner, app, enclave)
			}
			errs[i] = err
		})
		if err := errors.Join(errs[:]...); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		for _, m := range made {
			if m.Address != made[0].Address || m.Address == (common.Address{}) {
				t.Errorf("%s: registered at %s and %s", c.Name, made[0].Address, m.Address)
			}
		}
		if n := countApps(t, c, owner.Address); n != 1 {
			t.Errorf("%s: %d apps, want 1", c.Name, n)
		}
	}
}

// Releases of several apps with one wallet do not get into each other's way.
func TestRegisterOtherAppsInParallel(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		owner := wallet(t, 1)
		var errs [4]error
		together(len(errs), func(i int) {
			client, err := node.Connect(t.Context(), profile(w, c))
			if err == nil {
				_, err = apps.Register(t.Context(), client, owner, newApp(owner, fmt.Sprint("app", i)), enclave)
			}
			errs[i] = err
		})
		if err := errors.Join(errs[:]...); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if n := countApps(t, c, owner.Address); n != len(errs) {
			t.Errorf("%s: %d apps, want %d", c.Name, n, len(errs))
		}
	}
}

// countApps asks the registry, which is an ERC-721 token, how many apps an owner has.
func countApps(t *testing.T, c world.Chain, owner common.Address) int {
	t.Helper()
	data := append(crypto.Keccak256([]byte("balanceOf(address)"))[:4], common.LeftPadBytes(owner[:], 32)...)
	var out string
	err := c.Client.Client().CallContext(t.Context(), &out, "eth_call", map[string]any{"to": c.AppRegistry, "data": fmt.Sprintf("0x%x", data)}, "latest")
	if err != nil {
		t.Fatal(err)
	}
	return int(common.HexToHash(out).Big().Int64())
}

// A run that was killed between its transaction and the block: the next run
// waits for that transaction and sends none of its own.
func TestRegisterWaitsForAnEarlierRun(t *testing.T) {
	owner := wallet(t, 1)
	node, c, p := startChain(t, owner.Address, poco.FeesEIP1559)
	if err := node.Hold(); err != nil {
		t.Fatal(err)
	}
	app := newApp(owner, "killed")
	killed, kill := context.WithCancel(t.Context())
	go func() {
		defer kill()
		pending(killed, c, owner.Address, 0)
	}()
	if _, err := apps.Register(killed, connect(t, p), owner, app, enclave); !errors.Is(err, context.Canceled) {
		t.Fatalf("the first run: %v, want it canceled", err)
	}
	time.AfterFunc(300*time.Millisecond, func() {
		if err := node.Release(); err != nil {
			t.Error(err)
		}
	})
	found, err := apps.Register(t.Context(), connect(t, p), owner, app, enclave)
	if err != nil || found.Created {
		t.Errorf("the second run: %+v, %v; want the first run's app", found, err)
	}
	if n := nonce(t, c, owner.Address); n != 1 {
		t.Errorf("%d transactions, want 1", n)
	}
}

// pending waits until an account has more transactions than so many, in blocks or on their way.
func pending(ctx context.Context, c world.Chain, account common.Address, more uint64) {
	for sent := uint64(0); sent <= more && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		sent, _ = c.Client.PendingNonceAt(ctx, account) // an error is tried again
	}
}

// startChain starts a chain whose transactions can be held, and whose blocks can be lost.
func startChain(t *testing.T, rich common.Address, fees poco.Fees) (*sandboxchain.Chain, world.Chain, poco.Chain) {
	t.Helper()
	coins := types.Account{Balance: new(big.Int).Lsh(big.NewInt(1), 80)}
	deployer := world.Key(0)
	free := fees == poco.FeesLegacy
	node, err := sandboxchain.Start(sandboxchain.Options{ID: 65535, Free: free, Alloc: types.GenesisAlloc{rich: coins, crypto.PubkeyToAddress(deployer.PublicKey): coins}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	deploy := protocol.DeployV6
	if free {
		deploy = protocol.DeployV5
	}
	contracts, err := deploy(t.Context(), node.Client(), deployer, "../node_modules")
	if err != nil {
		t.Fatal(err)
	}
	c := world.Chain{Name: "held", ID: 65535, RPC: node.URL(), Fees: fees, Deployment: contracts, Client: node.Client()}
	return node, c, profile(&world.World{}, c)
}

// A wallet without coins is told from other failures, where transactions cost
// anything.
func TestRegisterWithoutFunds(t *testing.T) {
	w := startWorld(t)
	poor := wallet(t, 100)
	_, err := apps.Register(t.Context(), connect(t, profile(w, w.V6)), poor, newApp(poor, "poor"), enclave)
	var funds *node.FundsError
	if !errors.As(err, &funds) || funds.Wallet != poor.Address || funds.Balance.Sign() != 0 {
		t.Errorf("%s: %v, want a *node.FundsError", w.V6.Name, err)
	}
	if reg, err := apps.Register(t.Context(), connect(t, profile(w, w.V5)), poor, newApp(poor, "poor"), enclave); err != nil || !reg.Created {
		t.Errorf("%s: %+v, %v", w.V5.Name, reg, err)
	}
}

// A node that fails, or whose answer is lost, costs no second app.
func TestRegisterWithAFailingNode(t *testing.T) {
	w := startWorld(t)
	client, owner := connect(t, profile(w, w.V6)), wallet(t, 1)
	for _, rule := range []fault.Rule{
		{Match: "eth_sendRawTransaction", Status: 503},
		{Match: "eth_sendRawTransaction", Drop: true},
		{Match: "eth_sendRawTransaction", Drop: true, After: true},
		{Match: "eth_sendRawTransaction", Status: 429},
		{Match: "eth_getTransactionReceipt", Status: 500, Times: 5},
		{Match: "eth_call", Status: 502},
	} {
		rule.Service = "rpc"
		if err := w.Faults.Add(rule); err != nil {
			t.Fatal(err)
		}
		app := newApp(owner, fmt.Sprintf("%+v", rule))
		reg, err := apps.Register(t.Context(), client, owner, app, enclave)
		if err != nil || !reg.Created {
			t.Errorf("%+v: %+v, %v", rule, reg, err)
		}
		if left := w.Faults.Rules(); len(left) > 0 {
			t.Errorf("%+v: it did not happen", rule)
			w.Faults.Clear()
		}
	}
	if n := nonce(t, w.V6, owner.Address); n != 6 {
		t.Errorf("%d transactions, want 6", n)
	}
}

func TestRegisterRefusesSyntheticMeasurements(t *testing.T) {
	w := startWorld(t)
	owner := wallet(t, 1)
	synthetic := measure.Enclave{Format: measure.Legacy}
	copy(synthetic.MRENCLAVE[:], measure.SyntheticPrefix)
	p := profile(w, w.V6)
	p.Development = false
	_, err := apps.Register(t.Context(), connect(t, p), owner, newApp(owner, "synthetic"), synthetic)
	var refused *apps.SyntheticError
	if !errors.As(err, &refused) || countApps(t, w.V6, owner.Address) != 0 {
		t.Errorf("got %v, want a *apps.SyntheticError and no app", err)
	}
	if _, err := apps.Register(t.Context(), connect(t, profile(w, w.V6)), owner, newApp(owner, "synthetic"), synthetic); err != nil {
		t.Errorf("on a development chain: %v", err)
	}
}
