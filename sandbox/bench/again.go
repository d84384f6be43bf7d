package main

import (
	"bytes"
	"context"
	"errors"
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

// noChange releases a version a second time: nothing may be written. What is
// written is counted in a run of its own, as the counters take time.
func noChange(ctx context.Context, b *bench) ([]row, error) {
	s, err := b.newScript(ctx)
	if err != nil {
		return nil, err
	}
	light := wallet{filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "wallet.json"), os.Getenv("MRELEASE_WALLET_PASSWORD")}
	written, err := b.countWrites(ctx, light)
	if err != nil {
		return nil, err
	}
	costs, err := b.again(ctx, light)
	if err != nil {
		return nil, err
	}
	heavy, err := b.again(ctx, wallet{s.wallet, walletPassword})
	if err != nil {
		return nil, err
	}
	again := row{Name: "release without change", Unit: "s", Ours: times(costs)}.atMost(0.7)
	again.Note = "with the sandbox's wallet file, whose password is cheap to check"
	return append([]row{again, {Name: "release without change, iExec's wallet file", Unit: "s", Ours: times(heavy)}}, written...), nil
}

// wallet is a keystore file and its password.
type wallet struct{ file, password string }

// again releases, and then releases without a change.
func (b *bench) again(ctx context.Context, w wallet) ([]cost, error) {
	release, err := b.releaser(ctx, w, os.Getenv("SANDBOX_REGISTRY"), "")
	if err != nil {
		return nil, err
	}
	measured, err := alternate(2*b.runs, release)
	if err != nil {
		return nil, err
	}
	return measured[0], nil
}

// countWrites counts what a release writes that changes nothing.
func (b *bench) countWrites(ctx context.Context, w wallet) ([]row, error) {
	c := newCounters()
	defer c.close()
	chains := fmt.Sprintf("chains: {sandbox-v5: {rpc: %q, market: %q}}\n", c.transactions.URL, c.offers.URL)
	release, err := b.releaser(ctx, w, strings.TrimPrefix(c.pushes.URL, "http://"), chains)
	if err != nil {
		return nil, err
	}
	if _, err := release(); err != nil {
		return nil, err
	}
	if c.transactions.take() == 0 || c.offers.take() == 0 || c.pushes.take() == 0 {
		return nil, errors.New("a new release seems to have written nothing: the counters do not count")
	}
	if _, err := release(); err != nil {
		return nil, err
	}
	return []row{
		c.transactions.row("transactions of a release without change"), c.offers.row("market writes of a release without change"), c.pushes.row("registry writes of a release without change"),
	}, nil
}

// releaser returns what releases the one version of a new project.
func (b *bench) releaser(ctx context.Context, w wallet, registry, more string) (func() (cost, error), error) {
	p, err := b.newProject()
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox-v5\nwallet: {keystore: %q}\n%s", registry, p.name, p.name, w.file, more)
	return func() (cost, error) {
		cmd, err := b.mrelease(ctx, p, filepath.Join(b.dir, "again"), settings, "release", "--version", "1.0.0")
		if err != nil {
			return cost{}, err
		}
		cmd.Env = append(os.Environ(), "MRELEASE_WALLET_PASSWORD="+w.password)
		_, took, err := timed(cmd)
		return took, err
	}, nil
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
