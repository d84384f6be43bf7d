package market

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
)

// Chain is a chain whose orders the market takes.
type Chain struct {
	ID     uint64
	Hub    common.Address
	Client *ethclient.Client
}

// version of iexec-market-api whose answers these are.
const version = "7.1.2"

// Server is the market's HTTP handler.
type Server struct {
	// Behind reports whether the market lags behind the chain for the next request:
	// its book is then as the last request left it. Nil: never.
	Behind func() bool

	mux     http.ServeMux
	limiter limiter

	mu    sync.Mutex // requests are served one after the other, but for the time that [Server.aside] waits
	books map[string]*book
}

// book holds what the market knows of one chain.
type book struct {
	*hub
	challenges map[common.Address]string
	entries    map[string][]*entry // by the kind's name, oldest first
	behind     bool

	made      []deal     // of the blocks that were watched, oldest first
	created   []category // the same
	unwatched uint64     // the first block that was not watched yet
}

// New returns a market without orders.
func New(l Limit, chains ...Chain) *Server {
	s := &Server{books: map[string]*book{}, limiter: limiter{Limit: l, windows: map[string]*window{}}}
	for _, c := range chains {
		s.books[strconv.FormatUint(c.ID, 10)] = &book{hub: newHub(c), challenges: map[common.Address]string{}, entries: map[string][]*entry{}}
	}
	s.handle("GET /version", func(*http.Request) (object, error) { return object{{"version", version}}, nil })
	s.handle("GET /challenge", s.challenge)
	s.handle("GET /metrics", s.metrics)
	s.handle("GET /categories", s.categories)
	s.handle("GET /categories/{id}", s.category)
	s.handle("GET /deals", s.deals)
	s.handle("GET /deals/{id}", s.deal)
	s.handle("GET /ohlc", s.ohlc)
	for _, k := range kinds() {
		s.handle("GET /"+k.name+"s", func(r *http.Request) (object, error) { return s.list(r, k) })
		s.handle("GET /"+k.name+"s/{hash}", func(r *http.Request) (object, error) { return s.get(r, k) })
		s.handle("POST /"+k.name+"s", func(r *http.Request) (object, error) { return s.publish(r, k) })
		s.handle("PUT /"+k.name+"s", func(r *http.Request) (object, error) { return s.unpublish(r, k) })
	}
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.limiter.admit(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

func (s *Server) handle(pattern string, h func(*http.Request) (object, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.look()
		err := checkTwice(r.URL.Query())
		var answer object
		if err == nil {
			answer, err = h(r)
		}
		write(w, answer, err)
	})
}

// aside lets other requests be served while one waits for the chain, as the real market
// does. What the book held before need not hold afterwards.
func (s *Server) aside(ask func() error) error {
	s.mu.Unlock()
	defer s.mu.Lock()
	return ask()
}

// look sees whether the market lags behind the chains.
func (s *Server) look() {
	behind := s.Behind != nil && s.Behind()
	for _, b := range s.books {
		b.behind = behind
	}
}

// refusal is an error that the client is told.
type refusal struct {
	status  int
	message string
}

func (e *refusal) Error() string { return e.message }

// internal is all that the real market tells of an error that it does not expect.
func internal() error { return &refusal{http.StatusInternalServerError, "Internal error"} }

// invalid refuses a request that is not well formed.
func invalid(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// forbidden refuses a request that breaks a rule of the market.
func forbidden(format string, args ...any) error {
	return &refusal{http.StatusForbidden, fmt.Sprintf(format, args...)}
}

func write(w http.ResponseWriter, answer object, err error) {
	status := http.StatusOK
	if err != nil {
		var r *refusal
		if !errors.As(err, &r) { // the chain did not answer; the client is not told why
			r = &refusal{http.StatusInternalServerError, "Something went wrong, you should retry later."}
		}
		status, answer = r.status, object{{"error", r.message}}
	}
	body, err := encode(append(object{{"ok", err == nil && status == http.StatusOK}}, answer...))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Vary", "Origin")
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body)
}

// book returns the chain that a request is about.
func (s *Server) book(q url.Values) (*book, error) {
	if !q.Has("chainId") {
		return nil, required("chainId")
	}
	id := q.Get("chainId")
	b, ok := s.books[id]
	if !ok {
		return nil, invalid("chainId %s is not supported", id)
	}
	return b, nil
}

// timestamp writes a time as JavaScript does.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
