package publishtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/names"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// A name is led by who has it, by the contracts of ENS themselves: to an app, from there to
// another, and to nothing. The app's reverse record is the name. What is so stays so.
func TestNamesLead(t *testing.T) {
	w := startWorld(t)
	c, owner, stranger := w.V5, wallet(t, 1), wallet(t, 2)
	ens, err := protocol.DeployENS(t.Context(), c.Client, world.Key(6), "../node_modules", map[string]protocol.Name{
		"hello.apps.iexec.eth": {Owner: owner.Address}, "bare.apps.iexec.eth": {Owner: owner.Address, Bare: true}, "theirs.apps.iexec.eth": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := profile(w, c)
	p.ENS = ens.Registry
	client := connect(t, p)
	var all []common.Address
	for _, version := range []string{"1.0.0", "1.1.0"} {
		reg, err := apps.Register(t.Context(), client, owner, versioned(owner, version), enclave)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reg.Address)
	}
	none := common.Address{}
	for _, step := range []struct {
		to           common.Address
		transactions int
	}{{all[0], 2}, {all[0], 0}, {all[1], 2}, {all[0], 1}, {none, 1}, {none, 0}} {
		l, err := names.Look(t.Context(), client, "hello.apps.iexec.eth")
		if err != nil {
			t.Fatal(err)
		}
		if _, n, err := l.Check(t.Context(), owner.Address, step.to); err != nil || n != step.transactions {
			t.Errorf("to %s: %d transactions are foreseen, %v; want %d", step.to, n, err, step.transactions)
		}
		before := nonce(t, c, owner.Address)
		moved, err := names.Move(t.Context(), client, owner, "hello.apps.iexec.eth", step.to)
		if err != nil || moved != (names.Moved{Transactions: step.transactions}) || nonce(t, c, owner.Address)-before != uint64(step.transactions) {
			t.Errorf("to %s: %+v, %v; want %d transactions", step.to, moved, err, step.transactions)
		}
		if err := names.Confirm(t.Context(), client, "hello.apps.iexec.eth", step.to); err != nil {
			t.Error(err)
		}
		at, err := node.Resolve(t.Context(), client, "hello.apps.iexec.eth")
		if step.to != none && (err != nil || at != step.to) {
			t.Errorf("it resolves to %s, %v; want %s", at, err, step.to)
		}
	}
	for _, app := range all {
		if got := reverse(t, client, app); got != "hello.apps.iexec.eth" {
			t.Errorf("the reverse record of %s is %q", app, got)
		}
	}
	if err := names.Confirm(t.Context(), client, "hello.apps.iexec.eth", all[0]); !isName(err, "it leads to nothing, and not to "+all[0].Hex()) {
		t.Errorf("a name that leads nowhere: %v", err)
	}

	// What the wallet cannot lead is told before anything is sent.
	before := nonce(t, c, owner.Address)
	for name, problem := range map[string]string{
		"none.apps.iexec.eth": "nobody has it", "bare.apps.iexec.eth": "it has no resolver", "Hello.apps.iexec.eth": "lower-case letters",
	} {
		if _, err := names.Look(t.Context(), client, name); !isName(err, problem) {
			t.Errorf("%s: %v, want %q", name, err, problem)
		}
		if _, err := names.Move(t.Context(), client, owner, name, all[0]); !isName(err, problem) {
			t.Errorf("moving %s: %v, want %q", name, err, problem)
		}
	}
	for name, who := range map[string]node.Wallet{"theirs.apps.iexec.eth": owner, "hello.apps.iexec.eth": stranger} {
		l, err := names.Look(t.Context(), client, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Check(t.Context(), who.Address, all[0]); !isName(err, "does not let the wallet "+who.Address.Hex()+" change it") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := nonce(t, c, owner.Address); n != before {
		t.Errorf("%d transactions were sent", n-before)
	}
	p.ENS = common.Address{}
	if _, err := names.Look(t.Context(), connect(t, p), "hello.apps.iexec.eth"); !isName(err, "the chain has no registry of names") {
		t.Errorf("on a chain without names: %v", err)
	}
}

// Apps of PoCo 6 take no reverse record: the name leads to them all the same, and that is told.
func TestNamesLeadWithoutReverseRecords(t *testing.T) {
	w := startWorld(t)
	c, owner := w.V6, wallet(t, 1)
	ens, err := protocol.DeployENS(t.Context(), c.Client, world.Key(6), "../node_modules", map[string]protocol.Name{"hello.apps.iexec.eth": {Owner: owner.Address}})
	if err != nil {
		t.Fatal(err)
	}
	p := profile(w, c)
	p.ENS = ens.Registry
	client := connect(t, p)
	reg, err := apps.Register(t.Context(), client, owner, versioned(owner, "1.0.0"), enclave)
	if err != nil {
		t.Fatal(err)
	}
	for _, transactions := range []int{1, 0} {
		moved, err := names.Move(t.Context(), client, owner, "hello.apps.iexec.eth", reg.Address)
		if err != nil || moved.Transactions != transactions || !strings.Contains(moved.Unnamed, "Operation not supported on this chain") {
			t.Errorf("moved %+v, %v", moved, err)
		}
	}
	if err := names.Confirm(t.Context(), client, "hello.apps.iexec.eth", reg.Address); err != nil {
		t.Error(err)
	}
}

func isName(err error, problem string) bool {
	var e *names.Error
	return errors.As(err, &e) && strings.Contains(e.Problem, problem) && e.Remedy() != ""
}

// reverse asks for an app's reverse record as any program does.
func reverse(t *testing.T, c *node.Client, app common.Address) string {
	t.Helper()
	hash, err := poco.NameHash(strings.ToLower(app.Hex()[2:]) + ".addr.reverse")
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := node.Call[common.Address](t.Context(), c, node.Contract{Address: c.ENS, ABI: poco.ENSABI()}, "resolver", hash)
	if err != nil {
		t.Fatal(err)
	}
	name, err := node.Call[string](t.Context(), c, node.Contract{Address: resolver, ABI: poco.ENSABI()}, "name", hash)
	if err != nil {
		t.Fatal(err)
	}
	return name
}
