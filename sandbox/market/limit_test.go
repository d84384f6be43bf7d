package market_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	publish "github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/sandbox/market"
	"github.com/mrelease/mrelease/sandbox/world"
)

// An address has its requests in a window that begins with the first one.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := market.New(market.Limit{Requests: 3, Window: 10 * time.Second})
		ask := func(ip, origin string) http.Header {
			r := httptest.NewRequest(http.MethodGet, "/version", nil)
			r.Header.Set("X-Forwarded-For", ip)
			r.Header.Set("Origin", origin)
			w := httptest.NewRecorder()
			server.ServeHTTP(w, r)
			h := w.Result().Header
			h.Set("Status", strconv.Itoa(w.Code))
			h.Set("Body", w.Body.String())
			return h
		}
		want := func(h http.Header, status, remaining, again string) {
			t.Helper()
			if h.Get("Status") != status || h.Get("X-RateLimit-Remaining") != remaining || h.Get("Retry-After") != again {
				t.Errorf("got %v, want %s, %s remaining, again after %q", h, status, remaining, again)
			}
		}
		for _, remaining := range []string{"2", "1", "0"} {
			want(ask("1", ""), "200", remaining, "")
		}
		time.Sleep(500 * time.Millisecond)
		refused := ask("1", "")
		want(refused, "429", "0", "9")
		if body := refused.Get("Body"); body != `{"ok":false,"error":"Rate limit exceeded"}` || refused.Get("X-RateLimit-Limit") != "3" {
			t.Errorf("refused with %s and %v", body, refused)
		}
		if reset, err := strconv.ParseFloat(refused.Get("X-RateLimit-Reset"), 64); err != nil || time.Until(time.UnixMicro(int64(reset*1e6))).Round(time.Millisecond) != 9500*time.Millisecond {
			t.Errorf("reset at %s, %v; want in 9.5 s", refused.Get("X-RateLimit-Reset"), err)
		}
		want(ask("2", ""), "200", "2", "")
		want(ask("1", "https://explorer.iex.ec"), "200", "", "")
		want(ask("1", "https://iex.ec.example"), "429", "0", "9")
		time.Sleep(9 * time.Second)
		want(ask("1", ""), "429", "0", "0") // less than a second is none
		time.Sleep(501 * time.Millisecond)
		want(ask("1", ""), "200", "2", "")
	})
}

// mrelease's client comes again when it may: the last second of a window is told as none,
// and would be used up by whoever takes it at its word.
func TestClientKeepsToTheLimit(t *testing.T) {
	b := startWith(t, world.Options{Contracts: "../node_modules", Market: market.Limit{Requests: 3, Window: 3 * time.Second}})
	again := regexp.MustCompile(`asks to come again in [123]s \(429 Too Many Requests\): waiting`)
	var told []string
	client := publish.Client{URL: b.w.Market, ChainID: b.chain.ID, Tell: func(text string) { told = append(told, text) }}
	hub := b.connect()
	order := orders.New(hub.Domain(), b.app, orders.Terms{Volume: 10, Tag: poco.TEE()})
	offering, err := orders.Offer(t.Context(), hub, client, b.owner, order)
	if err != nil || !offering.Published || len(told) == 0 {
		t.Errorf("offered %+v, %v, told %q", offering, err, told)
	}
	for _, text := range told {
		if !again.MatchString(text) {
			t.Errorf("told %q", text)
		}
	}
}

func TestParseLimit(t *testing.T) {
	if l, err := market.ParseLimit("100/1m"); err != nil || l != (market.Limit{Requests: 100, Window: time.Minute}) {
		t.Errorf("100/1m is %+v, %v", l, err)
	}
	for _, bad := range []string{"", "100", "0/1m", "x/1m", "100/", "100/0s", "1/-1s"} {
		if l, err := market.ParseLimit(bad); err == nil {
			t.Errorf("%q is %+v, want an error", bad, l)
		}
	}
}
