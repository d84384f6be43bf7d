package publishtest

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// heard keeps what a client tells.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) tell(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, text)
}

func (h *heard) has(text string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Contains(strings.Join(h.lines, "\n"), text)
}

func listen(c *node.Client) *heard {
	h := &heard{}
	c.TellTo(h.tell)
	return h
}

// What a node can do wrong around a transaction costs no second app, on both chains: it
// loses the answer, takes the transaction twice, is slow, or lies about the nonce.
func TestTransactionsAtANodeThatErrs(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		service := map[string]string{w.V6.Name: "rpc", w.V5.Name: "rpc-v5"}[c.Name]
		client, owner := connect(t, profile(w, c)), wallet(t, 1)
		client.TellTo(func(text string) { t.Log(text) })
		for i, rules := range [][]fault.Rule{
			{{Match: "eth_sendRawTransaction", Drop: true, After: true}},
			{{Match: "eth_sendRawTransaction", Status: 500, After: true}, {Match: "eth_sendRawTransaction", Status: 503, Times: 3}},
			{{Match: "eth_sendRawTransaction", Twice: true}},
			{{Match: "eth_sendRawTransaction", Delay: "100ms"}},
			{{Match: "eth_getTransactionCount", Result: `"0x0"`, Times: 4}},
			{{Match: "eth_getTransactionCount", Result: `"0x99"`}},
			{{Match: "eth_getTransactionReceipt", Result: "null", Times: 2}},
			{{Match: "eth_getTransactionReceipt", Drop: true, Times: 2}},
		} {
			for _, rule := range rules {
				rule.Service = service
				if err := w.Faults.Add(rule); err != nil {
					t.Fatal(err)
				}
			}
			app := newApp(owner, fmt.Sprint("app", i))
			reg, err := apps.Register(t.Context(), client, owner, app, enclave)
			if err != nil || !reg.Created {
				t.Errorf("%s, %+v: %+v, %v", c.Name, rules, reg, err)
			}
			if left := w.Faults.Rules(); len(left) > 0 {
				t.Errorf("%s: it did not happen: %+v", c.Name, left)
				w.Faults.Clear()
			}
			if n, want := countApps(t, c, owner.Address), i+1; n != want || nonce(t, c, owner.Address) != uint64(want) {
				t.Errorf("%s, %+v: %d apps by %d transactions, want %d", c.Name, rules, n, nonce(t, c, owner.Address), want)
			}
		}
	}
}

// A node that keeps on saying that the wallet has sent more than it has: the transaction
// cannot get into a block. That is found out, and once the node is right the app is made.
func TestTransactionBehindAGap(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	client, owner := connect(t, profile(w, w.V6)), wallet(t, 1)
	// The mined and the pending number, before and after the first look for the app.
	if err := w.Faults.Add(fault.Rule{Service: "rpc", Match: "eth_getTransactionCount", Result: `"0x2"`, Times: 4}); err != nil {
		t.Fatal(err)
	}
	reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "gap"), enclave)
	if err != nil || !reg.Created {
		t.Errorf("got %+v, %v", reg, err)
	}
	if n := countApps(t, w.V6, owner.Address); n != 1 {
		t.Errorf("%d apps, want 1", n)
	}
}

// Three blocks leave the chain after an app was registered, its own among them. Its
// transaction waits again, or was lost: before the next step the app is there, once.
func TestReorganisation(t *testing.T) {
	t.Parallel() // most of it is waiting
	for _, fees := range poco.FeeModes() {
		for _, lost := range []bool{false, true} {
			owner := wallet(t, 1)
			chain, c, p := startChain(t, owner.Address, fees)
			client := connect(t, p)
			told := listen(client)
			reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "forked"), enclave)
			if err == nil {
				err = errors.Join(chain.Seal(2), chain.Reorganise(depth(t, c, owner.Address), lost))
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := apps.Confirm(t.Context(), client, owner, reg, enclave)
			if err != nil || !again.Created || again.Address != reg.Address || again.Tx != reg.Tx {
				t.Errorf("%s, lost %t: %+v, %v; want the app at %s by %s", fees, lost, again, err, reg.Address, reg.Tx)
			}
			receipt, err := protocol.Mined(t.Context(), c.Client, again.Tx)
			if err != nil || receipt.BlockNumber.Uint64() != again.Block {
				t.Errorf("%s, lost %t: the transaction's block is %v, %v; want %d", fees, lost, receipt, err, again.Block)
			}
			if n := countApps(t, c, owner.Address); n != 1 || nonce(t, c, owner.Address) != 1 {
				t.Errorf("%s, lost %t: %d apps, want 1", fees, lost, n)
			}
			if !told.has("left the chain") {
				t.Errorf("%s, lost %t: told %q", fees, lost, told.lines)
			}
		}
	}
}

// depth returns how many blocks there are from that of an account's first transaction on.
func depth(t *testing.T, c world.Chain, account common.Address) (blocks int) {
	t.Helper()
	head, err := c.Client.BlockNumber(t.Context())
	for at := head; err == nil && at > 0; at-- {
		var n uint64
		if n, err = c.Client.NonceAt(t.Context(), account, new(big.Int).SetUint64(at)); n == 0 {
			break
		}
		blocks++
	}
	if err != nil || blocks == 0 {
		t.Errorf("%d blocks, %v", blocks, err)
	}
	return blocks
}

// A profile that asks for three blocks gets them, also when the first ones leave the
// chain meanwhile.
func TestConfirmations(t *testing.T) {
	t.Parallel() // most of it is waiting
	owner := wallet(t, 1)
	chain, c, p := startChain(t, owner.Address, poco.FeesEIP1559)
	p.Confirmations = 3
	client := connect(t, p)
	go func() {
		for nonce(t, c, owner.Address) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if err := errors.Join(chain.Seal(1), chain.Reorganise(depth(t, c, owner.Address), true)); err != nil {
			t.Error(err)
		}
		for nonce(t, c, owner.Address) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if err := chain.Seal(2); err != nil {
			t.Error(err)
		}
	}()
	reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "deep"), enclave)
	if err != nil {
		t.Fatal(err)
	}
	head, err := c.Client.BlockNumber(t.Context())
	if err != nil || head < reg.Block+2 {
		t.Errorf("the app is in block %d of %d, %v; want two more", reg.Block, head, err)
	}
	if n := countApps(t, c, owner.Address); n != 1 {
		t.Errorf("%d apps, want 1", n)
	}
}

// A transaction that no block takes is replaced by one that does the same with the same
// nonce, and offers more; within the ceiling.
func TestReplacement(t *testing.T) {
	t.Parallel() // most of it is waiting
	owner := wallet(t, 1)
	chain, c, p := startChain(t, owner.Address, poco.FeesEIP1559)
	client := connect(t, p)
	client.Patience = 50 * time.Millisecond
	told := listen(client)
	tip, err := c.Client.SuggestGasTipCap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.Demand(new(big.Int).Mul(tip, big.NewInt(2))); err != nil {
		t.Fatal(err)
	}
	reg, err := apps.Register(t.Context(), client, owner, newApp(owner, "stuck"), enclave)
	if err != nil || !reg.Created {
		t.Fatalf("got %+v, %v", reg, err)
	}
	tx, _, err := c.Client.TransactionByHash(t.Context(), reg.Tx)
	if err != nil || tx.Nonce() != 0 || tx.GasTipCap().Cmp(new(big.Int).Mul(tip, big.NewInt(2))) < 0 || !told.has("replacing it by "+reg.Tx.Hex()) {
		t.Errorf("the app was made by %+v, %v; told %q", tx, err, told.lines)
	}
	if n := countApps(t, c, owner.Address); n != 1 || nonce(t, c, owner.Address) != 1 {
		t.Errorf("%d apps, want 1", n)
	}
}

// A ceiling holds: what would have to offer more is not replaced, and not sent when the
// base fee alone is above it.
func TestCeiling(t *testing.T) {
	t.Parallel() // most of it is waiting
	owner := wallet(t, 1)
	chain, c, p := startChain(t, owner.Address, poco.FeesEIP1559)
	p.MaxFeePerGas = 1 // each block without transactions makes the next one cheaper, down to seven
	client := connect(t, p)
	var fee *node.FeeError
	if _, err := apps.Register(t.Context(), client, owner, newApp(owner, "dear"), enclave); !errors.As(err, &fee) {
		t.Errorf("got %v, want a *node.FeeError", err)
	}

	if err := chain.Hold(); err != nil {
		t.Fatal(err)
	}
	head, err := c.Client.HeaderByNumber(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.MaxFeePerGas = 2 * head.BaseFee.Uint64()
	client = connect(t, p)
	client.Patience = 20 * time.Millisecond
	told := listen(client)
	brief, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		pending(brief, c, owner.Address, 0)
		time.Sleep(20 * client.Patience)
		cancel()
	}()
	if _, err := apps.Register(brief, client, owner, newApp(owner, "held"), enclave); !errors.Is(err, context.Canceled) || told.has("replacing") {
		t.Errorf("got %v; told %q", err, told.lines)
	}
	if err := chain.Release(); err != nil { // a chain that seals while it is closed ends the process
		t.Fatal(err)
	}
	for nonce(t, c, owner.Address) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
}

// What would be reverted is not sent, and the contract's reason is told; also that of a
// transaction that only reverts in its block, since another one got in before.
func TestReverts(t *testing.T) {
	t.Parallel() // most of it is waiting
	for _, fees := range poco.FeeModes() {
		owner, payer := wallet(t, 1), wallet(t, 0)
		chain, c, p := startChain(t, owner.Address, fees)
		app := newApp(owner, "twice")
		create := func(w node.Wallet) error {
			client := connect(t, p)
			_, err := client.Send(t.Context(), w, node.Contract{Address: client.AppRegistry, ABI: poco.RegistryABI()}, "createApp", app.Owner, app.Name, app.Type, app.Multiaddr, app.Checksum, app.MREnclave)
			return err
		}
		if err := chain.Hold(); err != nil {
			t.Fatal(err)
		}
		sent := [2]uint64{nonce(t, c, owner.Address), nonce(t, c, payer.Address)}
		go func() {
			pending(t.Context(), c, owner.Address, sent[0])
			pending(t.Context(), c, payer.Address, sent[1])
			if err := chain.Release(); err != nil {
				t.Error(err)
			}
		}()
		var errs [2]error
		together(2, func(i int) { errs[i] = create([]node.Wallet{owner, payer}[i]) })
		var mined, tried *node.RevertedError
		if err := errors.Join(errs[:]...); !errors.As(err, &mined) || mined.Tx == (common.Hash{}) || mined.Reason != "Create2: Failed on deploy" || errs[0] != nil && errs[1] != nil {
			t.Errorf("%s: both: %v, %v; want one reverted", fees, errs[0], errs[1])
		}
		before := nonce(t, c, owner.Address)
		if err := create(owner); !errors.As(err, &tried) || tried.Tx != (common.Hash{}) || tried.Reason != "Create2: Failed on deploy" || nonce(t, c, owner.Address) != before {
			t.Errorf("%s: again: %v, want it not sent", fees, err)
		}
	}
}

// Eight releases with one wallet, at the same time, at a node that is slow: each gets its
// app by one transaction.
func TestManyWithOneWallet(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	owner := wallet(t, 1)
	if err := w.Faults.Add(fault.Rule{Service: "rpc", Match: "eth_sendRawTransaction", Delay: "20ms", Times: 20}); err != nil {
		t.Fatal(err)
	}
	var errs [8]error
	together(len(errs), func(i int) {
		client, err := node.Connect(t.Context(), profile(w, w.V6))
		if err == nil {
			_, err = apps.Register(t.Context(), client, owner, newApp(owner, fmt.Sprint("app", i)), enclave)
		}
		errs[i] = err
	})
	if err := errors.Join(errs[:]...); err != nil || countApps(t, w.V6, owner.Address) != len(errs) || nonce(t, w.V6, owner.Address) != uint64(len(errs)) {
		t.Errorf("%d apps by %d transactions, %v; want %d", countApps(t, w.V6, owner.Address), nonce(t, w.V6, owner.Address), err, len(errs))
	}
}

// A node that says that it is far ahead of two others, whose last block is old, does not
// leave them out: it would be the only one left.
func TestNodeThatSaysItIsAhead(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	owner := wallet(t, 1)
	p := profile(w, w.V6)
	p.RPC, p.Spare = w.V6.RPC+"/ahead", []string{w.V6.RPC + "/one", w.V6.RPC + "/two"}
	now := time.Now().Unix()
	first := fmt.Sprintf(`"timestamp":"0x%x`, now)[:len(`"timestamp":"0x6`)]
	for i, lie := range []struct {
		time int64
		told string
	}{{now, "and does not have it: it is left out"}, {now + 1e6, "which is to come: it is left out"}} {
		client := connect(t, p)
		heard := listen(client)
		for _, rule := range []fault.Rule{
			{Path: "/ahead", Result: fmt.Sprintf(`{"number":"0xffffff","hash":"0x%064d","timestamp":"0x%x"}`, 2, lie.time)},
			{Path: "/one", Old: first, New: `"timestamp":"0x1`}, // years ago
			{Path: "/two", Old: first, New: `"timestamp":"0x1`},
		} {
			rule.Service, rule.Match, rule.Times = "rpc", `"latest",false`, 1000
			if err := w.Faults.Add(rule); err != nil {
				t.Fatal(err)
			}
		}
		_, err := apps.Register(t.Context(), client, owner, newApp(owner, fmt.Sprint("app", i)), enclave)
		w.Faults.Clear()
		if told := strings.Join(heard.lines, "\n"); err != nil || !heard.has(lie.told) || strings.Count(told, "left out") != 1 {
			t.Errorf("got %v; told %s", err, told)
		}
	}
	if n := countApps(t, w.V6, owner.Address); n != 2 {
		t.Errorf("%d apps, want 2", n)
	}
}

// Several nodes of one chain.
func TestSeveralNodes(t *testing.T) {
	t.Parallel() // most of it is waiting
	w := startWorld(t)
	owner := wallet(t, 1)
	direct := w.Direct(w.V6.ID) // the same node, without the faults
	p := profile(w, w.V6)
	p.Spare = []string{direct}
	add := func(rules ...fault.Rule) {
		t.Helper()
		for _, rule := range rules {
			rule.Service = "rpc"
			if err := w.Faults.Add(rule); err != nil {
				t.Fatal(err)
			}
		}
	}
	register := func(client *node.Client, name string) error {
		_, err := apps.Register(t.Context(), client, owner, newApp(owner, name), enclave)
		return err
	}

	t.Run("one that fails in the middle", func(t *testing.T) {
		defer w.Faults.Clear()
		client := connect(t, p)
		told := listen(client)
		add(fault.Rule{Match: "eth_sendRawTransaction", Drop: true, Times: 4}, fault.Rule{Match: "TransactionByHash", Status: 403}, fault.Rule{Match: "Receipt", Status: 403, Times: 1000})
		if err := register(client, "middle"); err != nil || !told.has("does not answer") || client.Node() != direct {
			t.Errorf("got %v; told %q", err, told.lines)
		}
	})
	t.Run("one that is not there", func(t *testing.T) {
		p := p
		p.RPC = "http://127.0.0.1:1/secret"
		client := connect(t, p)
		if told := listen(client); !told.has("http://127.0.0.1:1 does not answer") || told.has("secret") || client.Node() != direct {
			t.Errorf("told %q", told.lines)
		}
		if err := register(client, "there"); err != nil {
			t.Error(err)
		}
	})
	t.Run("one that is behind", func(t *testing.T) {
		defer w.Faults.Clear()
		client := connect(t, p)
		told := listen(client)
		genesis, err := w.V6.Client.HeaderByNumber(t.Context(), new(big.Int))
		if err != nil {
			t.Fatal(err)
		}
		add(fault.Rule{Match: `"latest",false`, Result: fmt.Sprintf(`{"number":"0x0","hash":%q,"timestamp":"0x0"}`, genesis.Hash()), Times: 100},
			fault.Rule{Match: "eth_getTransactionCount", Result: `"0x0"`, Times: 100})
		if err := register(client, "behind"); err != nil || !told.has("it is left out") || client.Node() != direct {
			t.Errorf("got %v; told %q", err, told.lines)
		}
		w.Faults.Clear()
		if err := register(client, "behind no more"); err != nil || !told.has("is asked again") {
			t.Errorf("got %v; told %q", err, told.lines)
		}
	})
	t.Run("one that errs about the nonce", func(t *testing.T) {
		defer w.Faults.Clear()
		add(fault.Rule{Match: "eth_getTransactionCount", Result: `"0x1"`, Times: 6})
		if err := register(connect(t, p), "nonce"); err != nil || len(w.Faults.Rules()) > 0 {
			t.Errorf("got %v; left %v", err, w.Faults.Rules())
		}
	})
	var wrong *node.WrongChainError
	t.Run("one of another chain", func(t *testing.T) {
		p := p
		p.Spare = []string{w.V5.RPC}
		if _, err := node.Connect(t.Context(), p); !errors.As(err, &wrong) || wrong.What != "chain id" || wrong.URL != w.V5.RPC {
			t.Errorf("got %v, want a *node.WrongChainError", err)
		}
	})
	t.Run("one of another chain that says it is this one", func(t *testing.T) {
		defer w.Faults.Clear()
		other := common.HexToHash("0x02")
		add(fault.Rule{Match: `"0x0",false`, Result: fmt.Sprintf(`{"number":"0x0","hash":%q,"timestamp":"0x0"}`, other)})
		if _, err := node.Connect(t.Context(), p); !errors.As(err, &wrong) || wrong.What != "first block" {
			t.Errorf("got %v, want a *node.WrongChainError", err)
		}
	})
	if n := countApps(t, w.V6, owner.Address); n != 5 || nonce(t, w.V6, owner.Address) != 5 {
		t.Errorf("%d apps by %d transactions, want 5", n, nonce(t, w.V6, owner.Address))
	}
}
