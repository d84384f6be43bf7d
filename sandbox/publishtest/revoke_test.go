package publishtest

import (
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/rotation"
	"github.com/mrelease/mrelease/sandbox/world"
)

// A release is withdrawn: also an order that was opened anew and taken out of the market is
// closed, which whoever has it could have matched, under the terms of now and of a record.
func TestRevokeWhatNobodyLists(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := openShop(t, w, c)
		cheaper := terms
		cheaper.Price = 1
		s.release(t, "1.0.0", terms)
		app, err := apps.Lookup(t.Context(), s.Chain, versioned(s.wallet, "1.0.0"))
		if err != nil {
			t.Fatal(err)
		}
		of := rotation.Withdrawal{Line: s.line, App: app, Terms: terms}
		var hidden []poco.AppOrder
		for _, terms := range []orders.Terms{terms, cheaper} {
			first := orders.New(s.Chain.Domain(), app.Address, terms)
			s.offer(t, "1.0.0", first)
			signed, err := orders.Sign(t.Context(), s.Chain.Domain(), s.wallet, first)
			if err == nil && terms == cheaper {
				of.Known = append(of.Known, signed) // the record was not renewed
			}
			if err == nil {
				_, err = node.CloseAll(t.Context(), s.Chain, s.wallet, []node.Closable{first})
			}
			second := orders.NewGeneration(s.Chain.Domain(), app.Address, terms, 1)
			if err == nil {
				_, err = s.Market.Unpublish(t.Context(), s.wallet, s.offer(t, "1.0.0", second).Hash)
			}
			if err != nil {
				t.Fatal(err)
			}
			hidden = append(hidden, second)
		}
		found, err := s.Revoke(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, c.Name+": to be closed", len(found.End), "2")
		if _, err := s.Do(t.Context(), s.wallet, found); err != nil {
			t.Fatal(err)
		}
		for _, order := range hidden {
			if left, err := node.Remaining(t.Context(), s.Chain, order); err != nil || left.Sign() != 0 {
				t.Errorf("%s: of an order that nobody lists %s runs are left, %v", c.Name, left, err)
			}
		}
		of.Stated = true
		again, err := s.Revoke(t.Context(), of)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, c.Name+": again", len(again.End), "0")
	}
}
