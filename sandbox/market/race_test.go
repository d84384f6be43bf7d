package market_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	sandbox "github.com/mrelease/mrelease/sandbox/market"
)

// slowly serves a market whose chain answers who signed an order only when so many asked,
// or nobody else did for a second.
func (b *bench) slowly(publishers int32) (at string, entered <-chan struct{}) {
	b.Helper()
	node, err := url.Parse(b.chain.RPC)
	if err != nil {
		b.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(node)
	selector := hexutil.Encode(crypto.Keccak256([]byte("verifySignature(address,bytes32,bytes)"))[:4])
	var asked atomic.Int32
	first, all := make(chan struct{}), make(chan struct{})
	rpc := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			b.Error(err)
		}
		if bytes.Contains(body, []byte(selector)) {
			switch asked.Add(1) {
			case 1:
				close(first)
			case publishers:
				close(all)
			}
			select {
			case <-all:
			case <-time.After(20 * time.Second): // then the test finds that they did not overlap
			}
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	b.Cleanup(rpc.Close)
	client, err := ethclient.DialContext(b.Context(), rpc.URL)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(client.Close)
	server := httptest.NewServer(sandbox.New(sandbox.Limit{}, sandbox.Chain{ID: b.chain.ID, Hub: b.chain.Hub, Client: client}))
	b.Cleanup(server.Close)
	return server.URL, first
}

// together calls f at the same time as often as said, and returns what it answered.
func together[T any](n int, f func(i int) T) []T {
	answers, out := make(chan T), []T{}
	for i := range n {
		go func() { answers <- f(i) }()
	}
	for range n {
		out = append(out, <-answers)
	}
	return out
}

// Of two publications of one order that overlap, the market's database takes one, and the
// other ends with an error that says nothing.
func TestPublicationsRace(t *testing.T) {
	b := start(t)
	var entered <-chan struct{}
	b.w.Market, entered = b.slowly(2)
	o := b.signed(b.order(nil), b.owner)
	// A challenge is handed out until it is used; the second author waits for its own.
	first := b.authorization(b.owner)
	answers := together(2, func(i int) string {
		authorization := first
		if i == 1 {
			<-entered
			authorization = b.authorization(b.owner)
		}
		a := b.request(http.MethodPost, "/apporders", o.body(), authorization)
		return fmt.Sprintf("%d %.40s", a.status, a.body)
	})
	slices.Sort(answers)
	if want := `500 {"ok":false,"error":"Internal error"}`; !strings.HasPrefix(answers[0], "200 ") || answers[1] != want {
		t.Errorf("got %q, want one publication and %s", answers, want)
	}
	if got := b.state("apporder", b.hash(o).Hex()); got != "open 1" {
		t.Errorf("the order is %s", got)
	}
}

// mrelease's client finds what another one published in the same moment.
func TestClientsRace(t *testing.T) {
	b := start(t)
	at, _ := b.slowly(2)
	hub, client := b.connect(), market.Client{URL: at, ChainID: b.chain.ID}
	order := orders.New(hub.Domain(), b.app, orders.Terms{Volume: 10, Tag: poco.TEE()})
	answers := together(2, func(int) string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		offering, err := orders.Offer(ctx, hub, client, b.owner, order)
		return fmt.Sprintf("%v %d", err, offering.Remaining)
	})
	if !slices.Equal(answers, []string{"<nil> 10", "<nil> 10"}) {
		t.Errorf("got %q, want that both find the order", answers)
	}
}
