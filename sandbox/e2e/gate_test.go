package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mrelease/mrelease/sandbox/world"
)

// gate stands before a world's services. Its addresses stay the same from world
// to world, so that a release is byte for byte the same in each; and it sees all
// writes, so that a run can be killed at any of them.
type gate struct {
	registry, rpc, market string // addresses: host and port, URL, URL

	mu    sync.Mutex
	world *world.World
	// done is called after a write was done and before it is answered. When it
	// says no, the answer is lost.
	done func(write string) (answer bool)
}

func newGate(t *testing.T) *gate {
	g := &gate{}
	serve := func(backend func(*world.World) string, isWrite func(r *http.Request, body string) bool) string {
		s := httptest.NewServer(g.handler(backend, isWrite))
		t.Cleanup(s.Close)
		return s.URL
	}
	g.registry = strings.TrimPrefix(serve(func(w *world.World) string { return "http://" + w.Registry }, changes), "http://")
	g.market = serve(func(w *world.World) string { return w.Market }, changes)
	g.rpc = serve(func(w *world.World) string { return w.V6.RPC }, func(_ *http.Request, body string) bool { return strings.Contains(body, "eth_sendRawTransaction") })
	return g
}

func changes(r *http.Request, _ string) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

// open lets the gate lead to another world.
func (g *gate) open(w *world.World, done func(write string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.world, g.done = w, done
}

func (g *gate) handler(backend func(*world.World) string, isWrite func(*http.Request, string) bool) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler) // the client is dead
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		g.mu.Lock()
		to, done := backend(g.world), g.done
		g.mu.Unlock()
		target, err := url.Parse(to)
		if err != nil {
			panic(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Host = p.In.Host // registries answer with their own address
		}}
		if isWrite(r, string(body)) {
			proxy.ModifyResponse = func(*http.Response) error {
				if done(r.Method + " " + r.URL.Path) {
					return nil
				}
				return http.ErrAbortHandler
			}
		}
		proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
		proxy.ServeHTTP(rw, r)
	})
}
