package requesttest

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/sandbox/fault"
)

// A market that lists a cheaper order which the app's owner did not sign gets nobody to
// deposit anything for it, and keeps nobody from buying; neither does a request whose
// requester did not sign it.
func TestAttackOrdersThatNobodySigned(t *testing.T) {
	w := startWorld(t)
	s := newSide(t, w, w.V6)
	real := s.sell(orders.Terms{Price: 4, Volume: 9, Tag: poco.TEE()})
	d := s.trade.Chain.Domain()
	forged, err := orders.Sign(t.Context(), d, s.requester, orders.New(d, s.app, orders.Terms{Price: 1, Volume: 9, Tag: poco.TEE()}))
	must(t, err)
	signed, err := orders.Sign(t.Context(), d, s.owner, real)
	must(t, err)
	honest, err := url.Parse(s.trade.Market.URL)
	must(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(honest) }}
	lying := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/apporders" {
			forward.ServeHTTP(rw, r)
			return
		}
		var list []any
		for _, o := range []poco.SignedAppOrder{forged, signed} {
			list = append(list, map[string]any{"orderHash": o.Hash(d), "order": o, "status": market.StatusOpen, "remaining": 9, "signer": s.owner.Address})
		}
		if err := json.NewEncoder(rw).Encode(map[string]any{"ok": true, "count": len(list), "orders": list}); err != nil {
			t.Error(err)
		}
	}))
	defer lying.Close()
	s.trade.Market.URL = lying.URL

	unsigned := s.request(nil)
	unsigned.Sign = forged.Sign
	var refused *deal.RefusedError
	if _, _, err := s.trade.Buy(t.Context(), s.requester, unsigned, deal.Buying{Deposit: true}); !errors.As(err, &refused) || refused.Refusal != "50" {
		t.Errorf("a request that nobody signed: %v", err)
	}
	if free, locked := s.stake(); free != 0 || locked != 0 {
		t.Errorf("a request that nobody signed: the stake is %d and %d", free, locked)
	}
	deposited := new(big.Int)
	bought, made, err := s.trade.Buy(t.Context(), s.requester, s.request(nil), deal.Buying{Deposit: true, Tell: func(_ poco.Match, n *big.Int) { deposited.Set(n) }})
	if err != nil || !made || bought.App.Price.Int64() != 4 || deposited.Int64() != 104 {
		t.Fatalf("bought %+v, %v, for a deposit of %s (%v)", bought, made, deposited, err)
	}
	if _, _, err := s.watch(bought); err != nil {
		t.Error(err)
	}
}

// A node that does not show a deposit that is in a block, though it counts it, as one of
// several behind an address does, gets nobody to deposit twice.
func TestAttackDepositThatIsHidden(t *testing.T) {
	both(t, func(t *testing.T, s *side) {
		for _, match := range []string{"eth_getTransactionReceipt", "eth_getTransactionByHash"} {
			s.fault(fault.Rule{Service: s.rpc(), Match: match, Result: "null", Times: 3})
		}
		deposited, err := node.EnsureStake(t.Context(), s.trade.Chain, s.requester, big.NewInt(103))
		if left := s.world.Faults.Rules(); err != nil || deposited.Int64() != 103 || len(left) > 0 {
			t.Errorf("deposited %s, %v; left of what was to happen: %+v", deposited, err, left)
		}
		if free, locked := s.stake(); free != 103 || locked != 0 {
			t.Errorf("the stake is %d and %d", free, locked)
		}
		s.world.Faults.Clear()
	})
}
