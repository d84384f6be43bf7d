package publishtest

import (
	"errors"
	"math/big"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/world"
)

// An order that its owner closes has no runs left, for nobody; it is closed once,
// whoever runs in parallel, and a private one of another round is another one.
func TestClose(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := sell(t, w, c)
		private := func(round uint64) poco.AppOrder {
			return orders.Private(s.client.Domain(), s.app.Address, s.wallet.Address, poco.TEE(), round)
		}
		order := private(0)
		if order.Salt != private(0).Salt || order.Salt == private(1).Salt || order.RequesterRestrict != s.wallet.Address {
			t.Errorf("%s: private orders %+v and %+v", c.Name, order, private(1))
		}
		var closed [3]bool
		var errs [3]error
		together(len(closed), func(i int) { closed[i], errs[i] = node.Close(t.Context(), s.client, s.wallet, order) })
		if err := errors.Join(errs[:]...); err != nil {
			t.Errorf("%s: closing: %v", c.Name, err)
		}
		before := nonce(t, c, s.wallet.Address)
		if again, err := node.Close(t.Context(), s.client, s.wallet, order); again || err != nil || nonce(t, c, s.wallet.Address) != before {
			t.Errorf("%s: closing again: %t, %v", c.Name, again, err)
		}
		for round, want := range []int64{0, 1} {
			if left, err := node.Remaining(t.Context(), s.client, private(uint64(round))); err != nil || left.Cmp(big.NewInt(want)) != 0 {
				t.Errorf("%s: round %d has %v runs left, %v, want %d", c.Name, round, left, err, want)
			}
		}
		var end *node.OrderError
		if _, err := orders.Offer(t.Context(), s.client, s.market, s.wallet, order); !errors.As(err, &end) {
			t.Errorf("%s: offering what was closed: %v", c.Name, err)
		}
	}
}

// Nobody but the app's owner closes its orders.
func TestCloseByAStranger(t *testing.T) {
	w := startWorld(t)
	s := sell(t, w, w.V6)
	order := s.order(1)
	var refused *node.RPCError
	if closed, err := node.Close(t.Context(), s.client, wallet(t, 2), order); closed || !errors.As(err, &refused) {
		t.Errorf("a stranger closed it: %t, %v", closed, err)
	}
	if left, err := node.Remaining(t.Context(), s.client, order); err != nil || left.Cmp(order.Volume) != 0 {
		t.Errorf("%v runs are left, %v", left, err)
	}
}
