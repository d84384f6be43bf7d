package requesttest

import (
	"crypto/rand"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
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

// Of a deal that is larger than is looked at, which nothing here makes, one call claims as
// many tasks as are looked at, says where the next one goes on, and that claims the rest.
func TestClaimLargeDeal(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V6)
	const runs = bounds.Runs + 2
	s.sell(orders.Terms{Price: 0, Volume: runs, Tag: poco.TEE()})
	r := s.request(func(o *poco.RequestOrder) { o.Volume = big.NewInt(runs) })
	s.fault(fault.Rule{Service: string(workerpool.Unseen), Status: 500})
	offers, err := s.trade.Offers(t.Context(), r.RequestOrder)
	must(t, err)
	hub := s.trade.Chain.HubContract()
	_, err = node.EnsureStake(t.Context(), s.trade.Chain, s.requester, big.NewInt(runs*100))
	must(t, err)
	pool := s.plain(offers)
	pool.Volume = big.NewInt(runs)
	pool.Sign = world.Sign(8, pool.Hash(s.trade.Chain.Domain())) // by the pool's owner
	_, err = s.trade.Chain.Send(t.Context(), s.requester, hub, "matchOrders", poco.Match{App: offers.Apps[0], Dataset: poco.NoDataset(), Workerpool: pool, Request: r}.Arguments()...)
	must(t, err)
	deals, err := deal.OfRequest(t.Context(), s.trade.Chain, r.RequestOrder)
	if err != nil || len(deals) != 1 || deals[0].Size != runs {
		t.Fatalf("deals %+v, %v", deals, err)
	}
	must(t, s.chain.Advance(time.Hour))
	s.claimFirst(deals[0], bounds.Runs-1)

	var rest *deal.RestError
	tasks, n, err := deal.Claim(t.Context(), s.trade.Chain, s.requester, deals[0], 0)
	if !errors.As(err, &rest) || n != 1 || len(tasks) != bounds.Runs || rest.Next != bounds.Runs || rest.Left != 2 {
		t.Fatalf("claimed %d of %d tasks, %v", n, len(tasks), err)
	}
	tasks, n, err = deal.Claim(t.Context(), s.trade.Chain, s.requester, deals[0], rest.Next)
	if err != nil || n != 2 || len(tasks) != 2 || tasks[1].Stage != deal.Failed {
		t.Errorf("claimed %d of %d tasks, %v", n, len(tasks), err)
	}
	if tasks, n, err = deal.Claim(t.Context(), s.trade.Chain, s.requester, deals[0], 1<<64-1); err != nil || n != 0 || len(tasks) != 0 {
		t.Errorf("behind its end: claimed %d of %d tasks, %v", n, len(tasks), err)
	}
	if free, locked := s.stake(); free != runs*100 || locked != 0 {
		t.Errorf("the stake is %d and %d", free, locked)
	}
}

// plain is the workerpool's order for what has the bit tee alone.
func (s *side) plain(offers deal.Offers) (order poco.SignedWorkerpoolOrder) {
	for _, o := range offers.Workerpools {
		if o.Tag == poco.TEE() && o.WorkerpoolPrice.Int64() == 100 {
			order = o
		}
	}
	return order
}

// claimFirst claims the first tasks of a deal, many at once.
func (s *side) claimFirst(d deal.Deal, tasks int) {
	s.t.Helper()
	for at := 0; at < tasks; {
		var deals [][32]byte
		var indexes []*big.Int
		for ; at < tasks && len(deals) < 50; at++ {
			deals, indexes = append(deals, d.ID), append(indexes, big.NewInt(int64(at)))
		}
		_, err := s.trade.Chain.Send(s.t.Context(), s.requester, s.trade.Chain.HubContract(), "initializeAndClaimArray", deals, indexes)
		must(s.t, err)
	}
}

// dealEach makes deals of one run each, of which nobody does any.
func (s *side) dealEach(r poco.SignedRequestOrder, deals int) {
	s.t.Helper()
	s.fault(fault.Rule{Service: string(workerpool.Unseen), Status: 500, Times: deals})
	offers, err := s.trade.Offers(s.t.Context(), r.RequestOrder)
	must(s.t, err)
	m := poco.Match{Dataset: poco.NoDataset(), Workerpool: s.plain(offers), Request: r}
	_, err = node.EnsureStake(s.t.Context(), s.trade.Chain, s.requester, big.NewInt(int64(deals)*100))
	must(s.t, err)
	var all []node.Transaction
	d := s.trade.Chain.Domain()
	for range deals {
		order := orders.New(d, s.app, orders.Terms{Volume: 1, Tag: poco.TEE()})
		rand.Read(order.Salt[:]) // never fails
		m.App, err = orders.Sign(s.t.Context(), d, s.owner, order)
		must(s.t, err)
		all = append(all, node.Transaction{Contract: s.trade.Chain.HubContract(), Method: "matchOrders", Args: m.Arguments()})
	}
	for some := range slices.Chunk(all, 10) { // each of which is tried at the same time as the others
		must(s.t, s.trade.Chain.SendAll(s.t.Context(), s.requester, some))
	}
}
