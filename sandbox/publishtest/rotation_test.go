package publishtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

// shop is an owner on a chain, and the releases that it sells.
type shop struct {
	rotation.World
	wallet node.Wallet
	line   rotation.Line
}

func openShop(t *testing.T, w *world.World, c world.Chain) shop {
	t.Helper()
	s := shop{rotation.World{Chain: connect(t, profile(w, c)), Market: market.Client{URL: w.Market, ChainID: c.ID}}, wallet(t, 1), rotation.Line{}}
	s.line = rotation.Line{Owner: s.wallet.Address, Name: "sold"}
	return s
}

var terms = orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()}

// versioned is the app of a version.
func versioned(owner node.Wallet, version string) poco.App {
	app := newApp(owner, "sold")
	app.Multiaddr = []byte("registry.example/acme/sold:" + version)
	return app
}

// release registers and offers a version, and returns what takes the place of others.
func (s shop) release(t *testing.T, version string, terms orders.Terms) rotation.Next {
	t.Helper()
	reg, err := apps.Register(t.Context(), s.Chain, s.wallet, versioned(s.wallet, version), enclave)
	if err != nil {
		t.Fatal(err)
	}
	return s.offer(t, version, orders.New(s.Chain.Domain(), reg.Address, terms))
}

func (s shop) offer(t *testing.T, version string, order poco.AppOrder) rotation.Next {
	t.Helper()
	offering, err := orders.Offer(t.Context(), s.Chain, s.Market, s.wallet, order)
	if err != nil {
		t.Fatal(err)
	}
	return rotation.Next{Line: s.line, Version: version, App: order.App, Hash: offering.Hash, How: orders.RetireClose, Now: time.Now()}
}

// rotate retires what a release takes the place of, and returns how many orders that
// changed.
func (s shop) rotate(t *testing.T, next rotation.Next) int {
	t.Helper()
	found, err := s.Succession(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := s.Retire(t.Context(), s.wallet, next.How, found.Retire)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// open returns which of these orders are open in the market, and makes sure that no runs
// are left on chain of the others.
func (s shop) open(t *testing.T, all ...rotation.Next) (open []string) {
	t.Helper()
	sales, err := s.OnSale(t.Context(), s.wallet.Address)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if slices.ContainsFunc(sales, func(sale rotation.Sale) bool { return sale.Hash == n.Hash && sale.Left.Sign() > 0 }) {
			open = append(open, n.Version)
		}
	}
	return open
}

func expect(t *testing.T, what string, got any, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("%s: %v, want %s", what, got, want)
	}
}

// A release closes the orders of those before it, and one that is run again, late, takes
// none from sale that came after it.
func TestRotation(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := openShop(t, w, c)
			first, second := s.release(t, "1.0.0", terms), s.release(t, "1.1.0", terms)
			third := s.release(t, "1.10.0", terms)
			expect(t, "by the first, run again", s.rotate(t, first), "0")
			before := nonce(t, c, s.wallet.Address)
			expect(t, "by the third", s.rotate(t, third), "2")
			expect(t, "transactions", nonce(t, c, s.wallet.Address)-before, "2")
			expect(t, "open", s.open(t, first, second, third), "[1.10.0]")
			expect(t, "again", s.rotate(t, third), "0")
			for _, old := range []rotation.Next{first, second} {
				left, err := node.Remaining(t.Context(), s.Chain, orders.New(s.Chain.Domain(), old.App, terms))
				if err != nil || left.Sign() != 0 {
					t.Errorf("of %s are %s runs left, %v", old.Version, left, err)
				}
			}
			cheaper := terms
			cheaper.Price = 1
			again := s.release(t, "1.10.0", cheaper)
			expect(t, "at another price", s.rotate(t, again), "1")
			expect(t, "open", s.open(t, third, again), "[1.10.0]")
		})
	}
}

// What the settings say of an order that is on sale beside the new one.
func TestRotationSpares(t *testing.T) {
	w := startWorld(t)
	s := openShop(t, w, w.V6)
	first, second := s.release(t, "1.0.0", terms), s.release(t, "2.0.0", terms)
	theirs := orders.New(s.Chain.Domain(), first.App, terms)
	theirs.Salt = common.Hash{1}
	foreign := s.offer(t, "foreign", theirs)
	changed := func(change func(*rotation.Next)) string {
		n := second
		change(&n)
		found, err := s.Succession(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d retired, %d stay", len(found.Retire), len(found.Stay))
	}
	expect(t, "as it is", changed(func(*rotation.Next) {}), "1 retired, 1 stay")
	expect(t, "foreign too", changed(func(n *rotation.Next) { n.Foreign = true }), "2 retired, 0 stay")
	expect(t, "keep", changed(func(n *rotation.Next) { n.How = orders.RetireKeep }), "0 retired, 2 stay")
	expect(t, "in the overlap", changed(func(n *rotation.Next) { n.Overlap = time.Hour }), "0 retired, 2 stay")
	expect(t, "after the overlap", changed(func(n *rotation.Next) { n.Overlap, n.Now = time.Hour, n.Now.Add(2*time.Hour) }), "1 retired, 1 stay")
	expect(t, "not offered yet", changed(func(n *rotation.Next) { n.App, n.Hash = common.Address{}, common.Hash{} }), "1 retired, 2 stay")
	expect(t, "another line", changed(func(n *rotation.Next) { n.Name = "other" }), "0 retired, 0 stay")
	second.How = orders.RetireUnpublish
	expect(t, "unpublished", s.rotate(t, second), "1")
	expect(t, "open", s.open(t, first, second, foreign), "[2.0.0 foreign]")
	if left, err := node.Remaining(t.Context(), s.Chain, orders.New(s.Chain.Domain(), first.App, terms)); err != nil || left.Int64() != 10 {
		t.Errorf("of an order that was only unpublished %s runs are left, %v", left, err)
	}
	// It can be closed all the same, by whoever has its record.
	signed, err := orders.Sign(t.Context(), s.Chain.Domain(), s.wallet, orders.New(s.Chain.Domain(), first.App, terms))
	if err != nil {
		t.Fatal(err)
	}
	second.How, second.Known = orders.RetireClose, []poco.SignedAppOrder{signed}
	expect(t, "known from a record", s.rotate(t, second), "1")
	expect(t, "again", s.rotate(t, second), "0")
}

// Runs of two releases, and of one, that happen at the same time leave one order.
func TestRotationInParallel(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := openShop(t, w, c)
		var all []rotation.Next
		for _, version := range []string{"1.0.0", "1.0.1", "1.0.2", "build-5"} {
			all = append(all, s.release(t, version, terms))
		}
		var errs [6]error
		together(len(errs), func(i int) {
			found, err := s.Succession(t.Context(), all[2+i%2])
			if err == nil {
				_, err = s.Retire(t.Context(), s.wallet, orders.RetireClose, found.Retire)
			}
			errs[i] = err
		})
		if err := errors.Join(errs[:]...); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		expect(t, c.Name+": open", s.open(t, all...), "[build-5]")
	}
}

// An earlier version that is offered while the release of a later one ends, or afterwards,
// is no failure of that: it was not on sale when the old orders were looked for. A further
// run retires it. What was on sale by then and is still is one, however late it is listed.
func TestRotationBesideAnEarlierRelease(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := openShop(t, w, c)
		missed := func(next rotation.Next) (versions [2][]string) {
			found, err := s.Succession(t.Context(), next)
			if err != nil {
				t.Fatal(err)
			}
			missed, late := found.Missed(next, s.Chain.Domain())
			for i, sales := range [][]rotation.Sale{missed, late} {
				for _, sale := range sales {
					versions[i] = append(versions[i], sale.Version())
				}
			}
			return versions
		}
		before, later := s.release(t, "1.0.0", terms), s.release(t, "2.0.0", terms)
		expect(t, c.Name+": listed late", missed(later), "[[1.0.0] []]")
		s.rotate(t, later)
		earlier := s.release(t, "1.1.0", terms)
		expect(t, c.Name+": offered meanwhile", missed(later), "[[] [1.1.0]]")
		known := later
		order, err := orders.Sign(t.Context(), s.Chain.Domain(), s.wallet, orders.New(s.Chain.Domain(), earlier.App, terms))
		if err != nil {
			t.Fatal(err)
		}
		known.Known = []poco.SignedAppOrder{order}
		expect(t, c.Name+": retired, and on sale again", missed(known), "[[1.1.0] []]")
		expect(t, c.Name+": run again", s.rotate(t, later), "1")
		expect(t, c.Name+": open", s.open(t, before, earlier, later), "[2.0.0]")
	}
}

// Services that fail, answer late, or say yes and do nothing.
func TestRotationWithFailingServices(t *testing.T) {
	w := startWorld(t)
	s := openShop(t, w, w.V6)
	s.Market.Patience = ample
	refused := `{"ok":false,"error":"invalid authorization"}`
	for i, c := range []struct {
		rule fault.Rule
		want string // what the error says; "": none
	}{
		{fault.Rule{Service: "rpc", Match: "eth_sendRawTransaction", Drop: true, After: true}, ""},
		{fault.Rule{Service: "rpc", Match: "eth_getTransactionReceipt", Status: 500, Times: 3}, ""},
		{fault.Rule{Service: "rpc", Match: "eth_sendRawTransaction", Status: 400, Body: `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"no"}}`, Times: 1000}, "no"},
		{fault.Rule{Service: "watcher", Drop: true, Times: 1000}, ""},                                                  // the market lags behind the chain
		{fault.Rule{Service: "watcher", Drop: true, Times: 1000}, ""},                                                  // and its answers are
		{fault.Rule{Service: "market", Method: "PUT", Status: 500, After: true}, ""},                                   // lost
		{fault.Rule{Service: "market", Method: "PUT", Status: 403, Body: refused}, ""},                                 // of another job's challenge
		{fault.Rule{Service: "market", Method: "PUT", Status: 400, Body: `{"ok":false,"error":"nothing"}`}, "nothing"}, // for no reason
		{fault.Rule{Service: "market", Method: "PUT", Status: 200, Body: `{"ok":true,"unpublished":[]}`}, "still has it as open"},
	} {
		older, newer := s.release(t, fmt.Sprintf("%d.0.0", i+1), terms), s.release(t, fmt.Sprintf("%d.5.0", i+1), terms)
		if c.rule.Service == "market" {
			if err := w.Faults.Add(fault.Rule{Service: "watcher", Drop: true, Times: 1000}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Faults.Add(c.rule); err != nil {
			t.Fatal(err)
		}
		found, err := s.Succession(t.Context(), newer)
		if err == nil {
			_, err = s.Retire(t.Context(), s.wallet, newer.How, found.Retire)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.rule, err, c.want)
		}
		w.Faults.Clear()
		s.rotate(t, newer)
		expect(t, fmt.Sprintf("%+v: open", c.rule), s.open(t, older, newer), "["+newer.Version+"]")
	}
}
