package publishtest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

// seller is the owner of an app on a chain, and its market.
type seller struct {
	client *node.Client
	market market.Client
	wallet node.Wallet
	app    apps.Registration
}

func sell(t *testing.T, w *world.World, c world.Chain) seller {
	t.Helper()
	s := seller{connect(t, profile(w, c)), market.Client{URL: w.Market, ChainID: c.ID}, wallet(t, 1), apps.Registration{}}
	var err error
	if s.app, err = apps.Register(t.Context(), s.client, s.wallet, newApp(s.wallet, "sold"), enclave); err != nil {
		t.Fatal(err)
	}
	return s
}

// order is another one for each price.
func (s seller) order(price uint64) poco.AppOrder {
	return orders.New(s.client.Domain(), s.app.Address, orders.Terms{Price: price, Volume: 10, Tag: poco.TEE()})
}

// Parallel runs of one release publish one order.
func TestOfferInParallel(t *testing.T) {
	w := startWorld(t)
	for _, c := range []world.Chain{w.V6, w.V5} {
		s := sell(t, w, c)
		var made [4]orders.Offering
		var errs [4]error
		together(len(made), func(i int) {
			made[i], errs[i] = orders.Offer(t.Context(), s.client, s.market, s.wallet, s.order(1))
		})
		if err := errors.Join(errs[:]...); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		published := 0
		for _, m := range made {
			if m.Published {
				published++
			}
			if m.Hash != made[0].Hash || m.Remaining != 10 {
				t.Errorf("%s: offered %+v and %+v", c.Name, made[0], m)
			}
		}
		if published != 1 {
			t.Errorf("%s: published %d times, want once", c.Name, published)
		}
	}
}

// Orders of several releases with one wallet, whose jobs take each other's
// challenges.
func TestOfferOtherOrdersInParallel(t *testing.T) {
	w := startWorld(t)
	s := sell(t, w, w.V6)
	var errs [4]error
	together(len(errs), func(i int) {
		_, errs[i] = orders.Offer(t.Context(), s.client, s.market, s.wallet, s.order(uint64(i)))
	})
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
}

// A market that fails now and then is asked again; one that refuses is not.
func TestOfferWithAFailingMarket(t *testing.T) {
	w := startWorld(t)
	s := sell(t, w, w.V6)
	for price, c := range []struct {
		rule fault.Rule
		want int // status of the error; -1: none, 0: no answer
	}{
		{fault.Rule{Method: "GET", Status: 500}, -1},
		{fault.Rule{Method: "GET", Status: 429}, -1},
		{fault.Rule{Method: "POST", Status: 503}, -1},
		{fault.Rule{Method: "POST", Status: 429, Again: "0", Body: `{"ok":false,"error":"Rate limit exceeded"}`}, -1},
		{fault.Rule{Method: "POST", Status: 500, Body: `{"ok":false,"error":"E11000 duplicate key error collection: 65535.apporders"}`, After: true}, -1},
		{fault.Rule{Method: "POST", Drop: true}, -1},
		{fault.Rule{Method: "POST", Drop: true, After: true}, -1},
		{fault.Rule{Method: "GET", Path: "/challenge", Hang: true}, -1},
		{fault.Rule{Method: "POST", Status: 403, Body: `{"ok":false,"error":"invalid authorization"}`}, -1},
		{fault.Rule{Method: "POST", Status: 403, Body: `{"ok":false,"error":"invalid authorization"}`, Times: 99}, 403},
		{fault.Rule{Method: "POST", Status: 400, Body: `{"ok":false,"error":"no"}`}, 400},
		{fault.Rule{Method: "GET", Status: 500, Times: 4}, 500},
		{fault.Rule{Method: "GET", Hang: true, Times: 9}, 0},
	} {
		c.rule.Service = "market"
		if err := w.Faults.Add(c.rule); err != nil {
			t.Fatal(err)
		}
		s.market.Patience = ample
		if c.want == 0 {
			s.market.Patience = soon
		}
		start := time.Now()
		offering, err := orders.Offer(t.Context(), s.client, s.market, s.wallet, s.order(uint64(price)))
		if took := time.Since(start); c.want == 0 && took > bounds.Request { // which a client waits that has no patience set
			t.Errorf("%+v: it took %s", c.rule, took)
		}
		w.Faults.Clear()
		s.market.Patience = ample
		if c.want >= 0 {
			var refused *market.Error
			if !errors.As(err, &refused) || refused.Status != c.want {
				t.Errorf("%+v: %v, want a *market.Error of status %d", c.rule, err, c.want)
			}
			offering, err = orders.Offer(t.Context(), s.client, s.market, s.wallet, s.order(uint64(price)))
		}
		if err != nil || !offering.Published && !c.rule.After {
			t.Errorf("%+v: %+v, %v", c.rule, offering, err)
		}
	}
}

// An order is offered when those find it who look for the app: a list that lags is waited
// for, and one that contradicts itself is no list.
func TestOfferIsListed(t *testing.T) {
	w := startWorld(t)
	s := sell(t, w, w.V6)
	empty := `{"ok":true,"orders":[],"count":0}`
	for price, c := range []struct {
		body  string
		times int
		want  string
	}{
		{empty, 2, ""},
		{empty, 9, "does not list it"},
		{`{"ok":true}`, 1, "has no count"},
		{`{"ok":true,"orders":[],"count":1}`, 1, "counts 1 orders, and page 0 of its list has 0"},
		{`{"ok":true,"orders":[{"status":"dead"}],"count":1}`, 1, "is listed as open"},
	} {
		order := s.order(uint64(price))
		if _, err := orders.Offer(t.Context(), s.client, s.market, s.wallet, order); err != nil {
			t.Fatal(err)
		}
		hash := order.Hash(s.client.Domain())
		if err := w.Faults.Add(fault.Rule{Service: "market", Path: "/apporders", Status: 200, Body: c.body, Times: c.times}); err != nil {
			t.Fatal(err)
		}
		err := s.market.CheckListed(t.Context(), s.app.Address, hash)
		w.Faults.Clear()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("list %s, %d times: %v, want %q", c.body, c.times, err, c.want)
		}
	}
	var unlisted *market.UnlistedError
	if err := s.market.CheckListed(t.Context(), s.app.Address, common.Hash{1}); !errors.As(err, &unlisted) || unlisted.Listed != 5 {
		t.Errorf("%v, want an order that is not listed beside 5 others", err)
	}
}
