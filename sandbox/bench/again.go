package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// noChange releases a version a second time: nothing may be written.
func noChange(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.newScript(ctx)
	if err != nil {
		return nil, err
	}
	p, err := b.newProject()
	if err != nil {
		return nil, err
	}
	c := newCounters()
	defer c.close()
	light := filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "wallet.json")
	costs, err := b.again(ctx, p, c, light, os.Getenv("MRELEASE_WALLET_PASSWORD"))
	if err != nil {
		return nil, err
	}
	written := []row{
		c.transactions.row("transactions of a release without change"), c.offers.row("market writes of a release without change"), c.pushes.row("registry writes of a release without change"),
	}
	other, err := b.newProject()
	if err != nil {
		return nil, err
	}
	heavy, err := b.again(ctx, other, c, s.wallet, walletPassword)
	if err != nil {
		return nil, err
	}
	again := row{Name: "release without change", Unit: "s", Ours: times(costs)}.atMost(0.7)
	again.Note = "with the sandbox's wallet file, whose password is cheap to check"
	return append([]row{again, {Name: "release without change, iExec's wallet file", Unit: "s", Ours: times(heavy)}}, written...), nil
}

// again releases, forgets what that wrote, and releases without a change.
func (b *bench) again(ctx context.Context, p project, c *counters, wallet, password string) ([]cost, error) {
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox-v5\nchains: {sandbox-v5: {rpc: %q, market: %q}}\nwallet: {keystore: %q}\n",
		strings.TrimPrefix(c.pushes.URL, "http://"), p.name, p.name, c.transactions.URL, c.offers.URL, wallet)
	release := func() (cost, error) {
		cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "again"), settings, "release", "--version", "1.0.0")
		if err != nil {
			return cost{}, err
		}
		cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+password)
		_, took, err := timed(cmd)
		return took, err
	}
	if _, err := release(); err != nil {
		return nil, err
	}
	if c.transactions.take() == 0 || c.offers.take() == 0 || c.pushes.take() == 0 {
		return nil, fmt.Errorf("a new release seems to have written nothing: the counters do not count")
	}
	measured, err := alternate(b.runs, release)
	if err != nil {
		return nil, err
	}
	return measured[0], nil
}

// counters stand before the services and count what is written.
type counters struct{ transactions, offers, pushes *counter }

func newCounters() *counters {
	writes := func(r *http.Request, _ []byte) bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }
	return &counters{
		newCounter(os.Getenv("SANDBOX_RPC_V5"), func(_ *http.Request, body []byte) bool { return bytes.Contains(body, []byte("eth_sendRawTransaction")) }),
		newCounter(os.Getenv("SANDBOX_MARKET"), writes),
		newCounter("http://"+os.Getenv("SANDBOX_REGISTRY"), writes),
	}
}

func (c *counters) close() {
	c.transactions.Close()
	c.offers.Close()
	c.pushes.Close()
}

// counter is a proxy.
type counter struct {
	*httptest.Server
	n atomic.Int64
}

func newCounter(to string, counts func(r *http.Request, body []byte) bool) *counter {
	c := &counter{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if u, err := url.Parse(to); err == nil { // the sandbox's own words
			r.SetURL(u)
		}
		r.Out.Host = r.In.Host // registries answer with the address that they were asked at
	}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if counts(r, body) {
			c.n.Add(1)
		}
		proxy.ServeHTTP(w, r)
	}))
	return c
}

// take returns the count, and begins anew.
func (c *counter) take() int64 { return c.n.Swap(0) }

func (c *counter) row(name string) row {
	return row{Name: name, Unit: "count", Ours: values(float64(c.take()))}.atMost(0)
}
