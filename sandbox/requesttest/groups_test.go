package requesttest

import (
	"errors"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/groups"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/protocol"
	"github.com/mrelease/mrelease/sandbox/world"
)

// The hub matches a workerpool's order that is for a group of apps with an app that is in it,
// and with no other. Group and hub are contracts of others: OnchainID's and iExec's.
func TestAppsOfAGroup(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		t.Run(c.Name, func(t *testing.T) {
			s := newSide(t, w, c)
			s.sell(orders.Terms{Price: 0, Volume: 1, Tag: poco.TEE()})
			group, err := protocol.DeployGroup(t.Context(), c.Client, world.Key(6), "../node_modules", s.owner.Address)
			must(t, err)
			r := s.request(nil)
			offers, err := s.trade.Offers(t.Context(), r.RequestOrder)
			must(t, err)
			pool := s.plain(offers)
			pool.AppRestrict = group
			pool.Sign = world.Sign(8, pool.Hash(s.trade.Chain.Domain())) // by the pool's owner
			_, err = node.EnsureStake(t.Context(), s.trade.Chain, s.requester, r.MostPaid())
			must(t, err)
			match := func() error {
				_, err := s.trade.Chain.Send(t.Context(), s.requester, s.trade.Chain.HubContract(), "matchOrders", poco.Match{App: offers.Apps[0], Dataset: poco.NoDataset(), Workerpool: pool, Request: r}.Arguments()...)
				return err
			}
			refused := func(when string) {
				t.Helper()
				var e *node.RevertedError
				if err := match(); !errors.As(err, &e) || !strings.Contains(e.Reason, "matchOrders-0x19") {
					t.Errorf("%s: the hub says %v, want 0x19: the workerpool's order is restricted to another app", when, err)
				}
			}
			refused("before")
			in := []groups.Change{{Group: group, In: true}}
			if _, err := groups.Make(t.Context(), s.trade.Chain, s.owner, s.app, in); err != nil {
				t.Fatal(err)
			}
			out := []groups.Change{{Group: group}}
			if _, err := groups.Make(t.Context(), s.trade.Chain, s.owner, s.app, out); err != nil {
				t.Fatal(err)
			}
			refused("taken out again")
			if _, err := groups.Make(t.Context(), s.trade.Chain, s.owner, s.app, in); err != nil {
				t.Fatal(err)
			}
			if err := match(); err != nil {
				t.Errorf("an app that is in the group: %v", err)
			}
		})
	}
}
