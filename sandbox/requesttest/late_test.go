package requesttest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/workerpool"
)

// What was paid for tasks that nobody did comes back after the deadline, once: for one that
// no worker took, and for one that the scheduler never saw.
func TestClaim(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 4, Volume: 100, Tag: poco.TEE()})
		for f, want := range map[workerpool.Fault]deal.Stage{workerpool.Idle: deal.Initialised, workerpool.Unseen: deal.Waiting} {
			s.fault(fault.Rule{Service: string(f), Drop: true})
			d, _, err := s.trade.Buy(t.Context(), s.requester, s.request(nil), deal.Buying{Deposit: true})
			must(t, err)
			if free, locked := s.stake(); free != 0 || locked != 104 {
				t.Errorf("%s: the stake is %d and %d", f, free, locked)
			}
			s.reach(d, want)
			var early *deal.EarlyError
			if _, n, err := deal.Claim(t.Context(), s.trade.Chain, s.requester, d, 0); !errors.As(err, &early) || n != 0 {
				t.Errorf("%s: before the deadline: %d, %v", f, n, err)
			}
			var told []string
			tasks, err := deal.Follow(t.Context(), s.trade.Chain, d, deal.Following{Every: 10 * time.Millisecond, Quiet: 20 * time.Millisecond, Idle: func(i deal.Idle) {
				if told = append(told, i.String()); len(told) == 2 {
					must(t, s.chain.Advance(time.Hour))
				}
			}})
			var late *deal.TaskError
			if !errors.As(err, &late) || late.Task.Stage != deal.Late || late.Task.Reached != want || len(tasks) != 1 {
				t.Errorf("%s: after the deadline: %+v, %v", f, tasks, err)
			}
			lacks := map[deal.Stage][2]string{deal.Initialised: {"no worker has contributed", "program does not start"}, deal.Waiting: {"scheduler has not taken it", "scheduler is down"}}[want]
			if facts := fmt.Sprint(late.Evidence()); len(told) < 2 || !strings.Contains(told[0], lacks[0]) || !strings.Contains(told[0], " left until ") || !strings.Contains(facts, lacks[0]) || !strings.Contains(facts, lacks[1]) {
				t.Errorf("%s: told %q, and %s", f, told, facts)
			}
			tasks, n, err := deal.Claim(t.Context(), s.trade.Chain, s.requester, d, 0)
			if err != nil || n != 1 || tasks[0].Stage != deal.Failed {
				t.Errorf("%s: claimed %d of %+v, %v", f, n, tasks, err)
			}
			if free, locked := s.stake(); free != 104 || locked != 0 {
				t.Errorf("%s: the stake is %d and %d after the claim", f, free, locked)
			}
			if _, n, err := deal.Claim(t.Context(), s.trade.Chain, s.requester, d, 0); err != nil || n != 0 {
				t.Errorf("%s: again: %d, %v", f, n, err)
			}
			if _, _, err := s.watch(d); !errors.As(err, &late) || late.Task.Stage != deal.Failed || !strings.Contains(fmt.Sprint(late.Evidence()), "no worker has contributed") {
				t.Errorf("%s: after the claim: %v", f, err)
			}
			s.spend()
		}
	})
}

// reach waits until the only task of a deal has a stage.
func (s *side) reach(d deal.Deal, want deal.Stage) {
	s.t.Helper()
	for {
		tasks, err := deal.Tasks(s.t.Context(), s.trade.Chain, d)
		must(s.t, err)
		if tasks[0].Stage == want {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// watch is follow, for tasks whose time may be over.
func (s *side) watch(d deal.Deal) ([]deal.Task, []deal.Stage, error) {
	var stages []deal.Stage
	tasks, err := deal.Follow(s.t.Context(), s.trade.Chain, d, deal.Following{Every: 10 * time.Millisecond, Tell: func(e deal.Event) { stages = append(stages, e.Task.Stage) }})
	return tasks, stages, err
}

// spend uses up the stake, by a run that is done.
func (s *side) spend() {
	s.t.Helper()
	d, _, err := s.trade.Buy(s.t.Context(), s.requester, s.request(nil), deal.Buying{})
	must(s.t, err)
	if _, _, err := s.watch(d); err != nil {
		s.t.Fatal(err)
	}
}

// Requests that nobody can serve, and why.
func TestNoMatch(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		s.sell(orders.Terms{Price: 4, Volume: 1, Tag: poco.TEE(), RequesterRestrict: s.requester.Address, WorkerpoolRestrict: s.chain.Workerpool.Address})
		s.sell(orders.Terms{Price: 3, Volume: 9, Tag: poco.TEE(), RequesterRestrict: s.owner.Address})
		s.sell(orders.Terms{Price: 2, Volume: 9, Tag: poco.TEE(), WorkerpoolRestrict: s.owner.Address, DatasetRestrict: s.owner.Address})
		if m, err := s.trade.Choose(t.Context(), s.request(nil)); err != nil || m.App.AppPrice.Int64() != 4 {
			t.Errorf("restricted to the requester and the pool: %+v, %v", m.App, err)
		}
		for name, c := range map[string]struct {
			change func(*poco.RequestOrder)
			want   string
		}{
			"more runs than one order has":  {func(o *poco.RequestOrder) { o.Volume = big.NewInt(2) }, "1: is for fewer runs than are wanted (2)"},
			"the app costs more":            {func(o *poco.RequestOrder) { o.AppMaxPrice = big.NewInt(3) }, "1: the app costs more"},
			"the workerpool costs more":     {func(o *poco.RequestOrder) { o.WorkerpoolMaxPrice = big.NewInt(99) }, "the workerpool costs more"},
			"another workerpool":            {func(o *poco.RequestOrder) { o.Workerpool = common.Address{1} }, "the request wants another workerpool"},
			"a category that nobody serves": {func(o *poco.RequestOrder) { o.Category = big.NewInt(99) }, "no open order of the workerpool"},
			"more trust":                    {func(o *poco.RequestOrder) { o.Trust = big.NewInt(99) }, "asks for more trust"},
			"a tag that the pool has not":   {func(o *poco.RequestOrder) { o.Tag = poco.Tag{0: 1, 31: 1} }, "lacks a bit of the tag"},
			"a tag without tee":             {func(o *poco.RequestOrder) { o.Tag = poco.Tag{} }, "its tag has bits that the request's has not"},
			"another app":                   {func(o *poco.RequestOrder) { o.App = common.Address{1} }, "no open order of the app"},
			"a dataset":                     {func(o *poco.RequestOrder) { o.Dataset = common.Address{1} }, "no open order of the dataset"},
			"another requester's":           {func(o *poco.RequestOrder) { o.AppMaxPrice = big.NewInt(3) }, "1: the app's order is restricted to another requester"},
		} {
			_, err := s.trade.Choose(t.Context(), s.request(c.change))
			var none *deal.NoMatchError
			if !errors.As(err, &none) || !strings.Contains(none.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
	})
}

// Between the look and the match another buyer is faster: another order is taken if it is
// allowed to cost that, and nothing is paid if not.
func TestOvertaken(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		ctx, chain := t.Context(), s.trade.Chain
		cheap := s.sell(orders.Terms{Price: 4, Volume: 1, Tag: poco.TEE()})
		s.sell(orders.Terms{Price: 10, Volume: 9, Tag: poco.TEE()})
		r := s.request(nil)
		m, err := s.trade.Choose(ctx, r)
		if err != nil || m.App.Hash(chain.Domain()) != cheap.Hash(chain.Domain()) {
			t.Fatalf("chose %+v, %v", m.App, err)
		}
		if _, err := node.Close(ctx, chain, s.owner, cheap); err != nil {
			t.Fatal(err)
		}
		var refused *deal.RefusedError
		_, err = node.EnsureStake(ctx, chain, s.requester, big.NewInt(110))
		must(t, err)
		if _, err := s.trade.Simulate(ctx, m); !errors.As(err, &refused) || refused.Refusal != "60" || !strings.Contains(err.Error(), "no runs left") {
			t.Errorf("simulated: %v", err)
		}
		s.fault(fault.Rule{Service: "watcher", Drop: true, Times: 9}) // the market lags
		first, _, err := s.trade.Buy(ctx, s.requester, r, deal.Buying{})
		s.world.Faults.Clear()
		if err != nil || first.App.Price.Int64() != 10 {
			t.Fatalf("bought %+v, %v", first, err)
		}
		if _, _, err := s.watch(first); err != nil {
			t.Error(err)
		}

		// The price moves beyond the maximum, with an order picked by its hash.
		other := s.request(func(o *poco.RequestOrder) { o.AppMaxPrice = big.NewInt(5) })
		s.trade.Pick.App = cheap.Hash(chain.Domain())
		var ended *node.OrderError
		if _, _, err := s.trade.Buy(ctx, s.requester, other, deal.Buying{Deposit: true}); !errors.As(err, &ended) {
			t.Errorf("a closed order by its hash: %v", err)
		}
		s.trade.Pick = deal.Pick{}
		var none *deal.NoMatchError
		if _, _, err := s.trade.Buy(ctx, s.requester, other, deal.Buying{Deposit: true}); !errors.As(err, &none) {
			t.Errorf("the price moved: %v", err)
		}
		if free, locked := s.stake(); free != 0 || locked != 0 {
			t.Errorf("the stake is %d and %d", free, locked)
		}
	})
}

// afterSimulating has something happen when the node has said once that a match would be a
// deal, and before it is sent.
func (s *side) afterSimulating(happen func()) {
	s.t.Helper()
	target, err := url.Parse(s.chain.RPC)
	must(s.t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	match := hex.EncodeToString(poco.HubABI().Methods["matchOrders"].ID)
	var once sync.Once
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the client went away
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
		if strings.Contains(string(body), "eth_call") && strings.Contains(string(body), match) {
			once.Do(happen)
		}
	}))
	s.t.Cleanup(gate.Close)
	profile := s.trade.Chain.Chain
	profile.RPC = gate.URL
	s.trade.Chain, err = node.Connect(s.t.Context(), profile)
	must(s.t, err)
}

// The price moves between the simulation and the transaction: what is dearer is bought if
// that is allowed, and else nothing, and what was deposited is in the stake.
func TestOvertakenAtTheLast(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		direct := s.trade.Chain
		cheap := s.sell(orders.Terms{Price: 4, Volume: 1, Tag: poco.TEE()})
		dear := s.sell(orders.Terms{Price: 10, Volume: 9, Tag: poco.TEE()})
		moves := 0
		closing := func(o poco.AppOrder) func() {
			return func() {
				moves++
				if _, err := node.Close(t.Context(), direct, s.owner, o); err != nil {
					t.Error(err)
				}
			}
		}
		s.afterSimulating(closing(cheap))
		bought, made, err := s.trade.Buy(t.Context(), s.requester, s.request(nil), deal.Buying{Deposit: true})
		if err != nil || !made || bought.App.Price.Int64() != 10 || moves != 1 {
			t.Fatalf("bought %+v, %v, %v, after %d moves", bought, made, err, moves)
		}
		if _, _, err := s.watch(bought); err != nil {
			t.Error(err)
		}
		s.afterSimulating(closing(dear))
		r := s.request(nil)
		var none *deal.NoMatchError
		if _, _, err := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true}); !errors.As(err, &none) || moves != 2 {
			t.Errorf("with no other order: %v, after %d moves", err, moves)
		}
		if deals, err := deal.OfRequest(t.Context(), direct, r.RequestOrder); err != nil || len(deals) != 0 {
			t.Errorf("deals %+v, %v", deals, err)
		}
		if free, locked := s.stake(); free != 110 || locked != 0 {
			t.Errorf("the stake is %d and %d", free, locked)
		}
	})
}

// A request is published and read back, once; cancelled, it is never matched.
func TestPublishAndCancel(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		ctx, chain := t.Context(), s.trade.Chain
		s.sell(orders.Terms{Price: 4, Volume: 9, Tag: poco.TEE()})
		_, err := node.EnsureStake(ctx, chain, s.requester, big.NewInt(110))
		must(t, err)
		r := s.request(nil)
		s.fault(fault.Rule{Service: "market", Method: "POST", Drop: true, After: true})
		for i, want := range []bool{true, false} {
			published, err := request.Publish(ctx, s.trade.Market, s.requester, chain.Domain(), r)
			if err != nil || i > 0 && published != want {
				t.Errorf("published %v, %v", published, err)
			}
		}
		for _, want := range []bool{true, false} {
			if cancelled, err := request.Cancel(ctx, chain, s.requester, r.RequestOrder); err != nil || cancelled != want {
				t.Errorf("cancelled %v, %v", cancelled, err)
			}
		}
		var ended *node.OrderError
		if _, err := request.Publish(ctx, s.trade.Market, s.requester, chain.Domain(), r); !errors.As(err, &ended) || ended.State != node.Cancelled {
			t.Errorf("published again: %v", err)
		}
		if _, _, err := s.trade.Buy(ctx, s.requester, r, deal.Buying{}); !errors.As(err, &ended) {
			t.Errorf("bought: %v", err)
		}
		if deals, err := deal.OfRequest(ctx, chain, r.RequestOrder); err != nil || len(deals) != 0 {
			t.Errorf("deals %+v, %v", deals, err)
		}
	})
}
