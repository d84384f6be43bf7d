package e2e

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/world"
)

// gate stands before a world's services. Its addresses stay the same from world
// to world, so that a release is byte for byte the same in each; and it sees all
// writes, so that a run can be killed at any of them.
type gate struct {
	registry, rpc, market string // addresses: host and port, URL, URL
	faults                fault.Injector

	mu    sync.Mutex
	world *world.World
	// done is called after a write was done and before it is answered. When it
	// says no, the answer is lost.
	done func(write string) (answer bool)
	// seen is called before each request is done; it may be nil.
	seen func(r *http.Request, body string)
}

func newGate(t *testing.T) *gate {
	g := &gate{}
	serve := func(service string, backend func(*world.World) string, isWrite func(r *http.Request, body string) bool) string {
		s := httptest.NewServer(g.watch(g.faults.Wrap(service, g.handler(backend, isWrite))))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		t.Cleanup(s.Close)
		return s.URL
	}
	g.registry = strings.TrimPrefix(serve("registry", func(w *world.World) string { return "http://" + w.Registry }, changes), "http://")
	g.market = serve("market", func(w *world.World) string { return w.Market }, changes)
	g.rpc = serve("rpc", func(w *world.World) string { return w.V6.RPC }, func(_ *http.Request, body string) bool { return strings.Contains(body, "eth_sendRawTransaction") })
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

// watch shows each request to who wants to see it, also those that a fault answers.
func (g *gate) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		seen := g.seen
		g.mu.Unlock()
		if seen != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler) // the client is dead
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			seen(r, string(body))
		}
		next.ServeHTTP(w, r)
	})
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
