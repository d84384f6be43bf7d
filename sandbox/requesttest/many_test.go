package requesttest

import (
	"crypto/rand"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/workerpool"
)

// What has more runs or deals than are looked at is an error wherever it is met, and is not
// paid for; nothing of it is left out.
func TestTooMany(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V6)
	check := func(what string, err error) {
		t.Helper()
		var larger *bounds.Error
		var many *deal.TooManyError
		if !errors.As(err, &larger) || !errors.As(err, &many) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	s.sell(orders.Terms{Price: 4, Volume: bounds.Runs + 1, Tag: poco.TEE()})
	large := s.request(func(o *poco.RequestOrder) { o.Volume = big.NewInt(bounds.Runs + 1) })
	_, _, err := s.trade.Buy(t.Context(), s.requester, large, deal.Buying{Deposit: true})
	check("runs of request", err)
	if free, locked := s.stake(); free != 0 || locked != 0 {
		t.Errorf("the stake is %d and %d", free, locked)
	}
	_, err = deal.Tasks(t.Context(), s.trade.Chain, deal.Deal{Size: bounds.Runs + 1})
	check("runs of deal", err)

	r := s.request(func(o *poco.RequestOrder) { o.Volume = big.NewInt(bounds.Deals + 1) })
	s.dealEach(r, bounds.Deals)
	if deals, err := deal.OfRequest(t.Context(), s.trade.Chain, r.RequestOrder); err != nil || len(deals) != bounds.Deals || deals[bounds.Deals-1].First != bounds.Deals-1 {
		t.Errorf("%d deals, %v", len(deals), err)
	}
	s.dealEach(r, 1)
	_, err = deal.OfRequest(t.Context(), s.trade.Chain, r.RequestOrder)
	check("deals of request", err)
}

// dealEach makes deals of one run each, of which nobody does any.
func (s *side) dealEach(r poco.SignedRequestOrder, deals int) {
	s.t.Helper()
	s.fault(fault.Rule{Service: string(workerpool.Unseen), Status: 500, Times: deals})
	offers, err := s.trade.Offers(s.t.Context(), r.RequestOrder)
	must(s.t, err)
	m := poco.Match{Dataset: poco.NoDataset(), Request: r}
	for _, o := range offers.Workerpools {
		if o.Tag == poco.TEE() && o.WorkerpoolPrice.Int64() == 100 {
			m.Workerpool = o
		}
	}
	_, err = node.EnsureStake(s.t.Context(), s.trade.Chain, s.requester, big.NewInt(int64(deals)*100))
	must(s.t, err)
	var all []node.Transaction
	d := s.trade.Chain.Domain()
	for range deals {
		order := orders.New(d, s.app, orders.Terms{Volume: 1, Tag: poco.TEE()})
		rand.Read(order.Salt[:]) // never fails
		m.App, err = orders.Sign(d, s.owner, order)
		must(s.t, err)
		all = append(all, node.Transaction{Contract: s.trade.Chain.HubContract(), Method: "matchOrders", Args: m.Arguments()})
	}
	must(s.t, s.trade.Chain.SendAll(s.t.Context(), s.requester, all))
}
