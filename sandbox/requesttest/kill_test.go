package requesttest

import (
	"context"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
)

// A purchase that ends at one of the requests to the node, before or after the node took
// it, and is begun again with the same request, is one deal that is paid once.
func TestBuyEndsAnywhere(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V5)
	s.sell(orders.Terms{Price: 4, Volume: 1000, Tag: poco.TEE()})
	target, err := url.Parse(s.chain.RPC)
	must(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	ended := 0
	for last, taken := int64(1), false; ; taken = !taken {
		ctx, end := context.WithCancel(t.Context())
		var asked atomic.Int64
		asked.Store(-100) // Connect's own are let through
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			is := asked.Add(1) == last
			if !is || taken {
				forward.ServeHTTP(rw, r)
			}
			if is {
				end()
			}
		}))
		trade, profile := s.trade, s.trade.Chain.Chain
		profile.RPC = server.URL
		trade.Chain, err = node.Connect(t.Context(), profile)
		must(t, err)
		asked.Store(0)
		r := s.request(nil)
		_, _, err = trade.Buy(ctx, s.requester, r, deal.Buying{Deposit: true})
		end()
		server.Close()
		d, _, again := s.trade.Buy(t.Context(), s.requester, r, deal.Buying{Deposit: true})
		must(t, again)
		if _, _, err := s.watch(d); err != nil {
			t.Fatal(err)
		}
		deals, failed := deal.OfRequest(t.Context(), s.trade.Chain, r.RequestOrder)
		must(t, failed)
		if free, locked := s.stake(); len(deals) != 1 || free != 0 || locked != 0 {
			t.Errorf("ended at request %d (taken: %v): %d deals, stake %d and %d", last, taken, len(deals), free, locked)
		}
		if err == nil && !taken {
			break // it was through before
		}
		ended++
		if taken {
			last += 3 // all of them take a minute and a half
		}
	}
	t.Logf("ended %d times", ended)
	if purse, err := node.PurseOf(t.Context(), s.trade.Chain, s.requester.Address); err != nil || purse.Cmp(big.NewInt(0)) <= 0 || ended < 8 {
		t.Errorf("ended %d times, purse %s, %v", ended, purse, err)
	}
}
