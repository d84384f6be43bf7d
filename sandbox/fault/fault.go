// Package fault makes services fail on purpose. A service's handler is wrapped
// under a name; a rule then says which of its next requests fail, and how. Tests
// add rules in Go, scripts over HTTP:
//
//	POST   /fault  {"service": "market", "method": "POST", "path": "/apporders", "status": 429, "times": 2}
//	GET    /fault  the rules that are left
//	DELETE /fault  forgets all rules
package fault

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Rule says which requests fail, and how. Of Overtaken, Old, Twice, Delay, Result, Drop,
// Hang, Endless, Drip and Status the first that is set counts.
type Rule struct {
	Service string `json:"service"`          // the name under which the handler was wrapped
	Method  string `json:"method,omitempty"` // of HTTP; empty: any
	Path    string `json:"path,omitempty"`   // what the path begins with; empty: any
	Match   string `json:"match,omitempty"`  // what the body contains, such as a JSON-RPC method; empty: any

	Status int    `json:"status,omitempty"` // answer this status
	Body   string `json:"body,omitempty"`   // with this body
	Hang   bool   `json:"hang,omitempty"`   // do not answer until the client gives up
	Drop   bool   `json:"drop,omitempty"`   // close the connection without an answer

	Endless  bool   `json:"endless,omitempty"`  // answer the status, or 200, with a body without end
	Drip     bool   `json:"drip,omitempty"`     // the same, a byte a second
	Location string `json:"location,omitempty"` // send on to there, with the status
	Again    string `json:"again,omitempty"`    // answer with this Retry-After

	Result string `json:"result,omitempty"` // answer this JSON as the result of a JSON-RPC call: a lie
	Twice  bool   `json:"twice,omitempty"`  // do what was asked twice, and answer the second time
	Delay  string `json:"delay,omitempty"`  // do what was asked after a while, such as 300ms

	Old       string `json:"old,omitempty"`       // do what was asked, and tell another story: what stands in the answer
	New       string `json:"new,omitempty"`       // in place of this
	Overtaken bool   `json:"overtaken,omitempty"` // do what was asked after the service's next request, or without one after Delay

	Skip  int  `json:"skip,omitempty"`  // how many such requests are let pass before
	After bool `json:"after,omitempty"` // do what was asked first: only the answer is lost
	Times int  `json:"times,omitempty"` // how many requests; 0: one
}

func (r Rule) check() error {
	if r.Service == "" {
		return fmt.Errorf("reading rule: service is missing")
	}
	if _, err := time.ParseDuration(r.Delay); r.Delay != "" && err != nil {
		return fmt.Errorf("reading rule: delay: %w", err)
	}
	if r.Result != "" && !json.Valid([]byte(r.Result)) {
		return fmt.Errorf("reading rule: result: want JSON, got %s", r.Result)
	}
	if r.Twice || r.Delay != "" || r.Result != "" || r.Old != "" || r.Overtaken {
		return nil
	}
	if !r.Drop && !r.Hang && !r.Endless && !r.Drip && (r.Status < 200 || r.Status > 599) {
		return fmt.Errorf("reading rule: want drop, hang, or a status from 200 to 599, got status %d", r.Status)
	}
	return nil
}

func (r Rule) matches(service string, req *http.Request, body string) bool {
	return r.Service == service && (r.Method == "" || r.Method == req.Method) &&
		strings.HasPrefix(req.URL.Path, r.Path) && strings.Contains(body, r.Match)
}

// Injector holds the rules. Its zero value has none; it is the handler of the
// requests that are shown above.
type Injector struct {
	mu    sync.Mutex
	rules []Rule
	next  map[string]chan struct{} // of a service: closed when a request of it was answered
}

// Add adds a rule; earlier ones are tried first.
func (i *Injector) Add(r Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	r.Times = max(r.Times, 1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = append(i.rules, r)
	return nil
}

// Rules returns the rules that are left, with how often each will still apply.
func (i *Injector) Rules() []Rule {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Rule{}, i.rules...)
}

// Clear forgets all rules.
func (i *Injector) Clear() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rules = nil
}

// Wrap returns a handler that is next, except for the requests that a rule for
// the service says shall fail.
func (i *Injector) Wrap(service string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rule, ok := i.take(service, r)
		if !ok {
			defer i.answered(service)
			next.ServeHTTP(w, r)
			return
		}
		if rule.Overtaken {
			i.wait(r.Context(), service, rule.pause())
			next.ServeHTTP(w, r)
			return
		}
		if rule.Old != "" {
			rule.edit(next, w, r)
			return
		}
		if rule.Twice || rule.Delay != "" {
			rule.serve(next, w, r)
			return
		}
		if rule.After {
			next.ServeHTTP(&discard{header: http.Header{}}, r)
		}
		rule.fail(next, w, r)
	})
}

// wait waits for the next request of a service to be answered.
func (i *Injector) wait(ctx context.Context, service string, longest time.Duration) {
	i.mu.Lock()
	if i.next == nil {
		i.next = map[string]chan struct{}{}
	}
	if i.next[service] == nil {
		i.next[service] = make(chan struct{})
	}
	next := i.next[service]
	i.mu.Unlock()
	select {
	case <-next:
	case <-time.After(longest): // nobody else asks while this one waits
	case <-ctx.Done():
	}
}

func (i *Injector) answered(service string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if next := i.next[service]; next != nil {
		close(next)
		delete(i.next, service)
	}
}

// Fails reports whether a rule says that a service which takes no requests shall fail
// now, and counts it.
func (i *Injector) Fails(service string) bool {
	_, fails := i.take(service, &http.Request{URL: &url.URL{}})
	return fails
}

// take returns the rule for a request and counts it.
func (i *Injector) take(service string, r *http.Request) (Rule, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	body := ""
	for n, rule := range i.rules {
		if rule.Match != "" && rule.Service == service && body == "" {
			body = peek(r)
		}
		if !rule.matches(service, r, body) {
			continue
		}
		if i.rules[n].Skip > 0 {
			i.rules[n].Skip--
			continue
		}
		if i.rules[n].Times--; i.rules[n].Times == 0 {
			i.rules = append(i.rules[:n:n], i.rules[n+1:]...)
		}
		return rule, true
	}
	return Rule{}, false
}

// peek reads a request's body and puts it back. One that cannot be read is left
// to the handler, which meets the same error.
func peek(r *http.Request) string {
	data, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	return string(data)
}

func (r Rule) pause() time.Duration {
	pause, _ := time.ParseDuration(r.Delay) // checked when the rule was added
	return pause
}

// serve does what was asked, late or twice.
func (r Rule) serve(next http.Handler, w http.ResponseWriter, req *http.Request) {
	select {
	case <-time.After(r.pause()):
	case <-req.Context().Done():
	}
	if r.Twice {
		body := peek(req)
		next.ServeHTTP(&discard{header: http.Header{}}, req)
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	next.ServeHTTP(w, req)
}

// edit does what was asked, and changes the answer.
func (r Rule) edit(next http.Handler, w http.ResponseWriter, req *http.Request) {
	req.Header.Del("Accept-Encoding") // what is packed cannot be read here
	kept := &keep{discard: discard{header: w.Header()}}
	next.ServeHTTP(kept, req)
	w.Header().Del("Content-Length")
	w.WriteHeader(cmp.Or(kept.status, http.StatusOK))
	io.WriteString(w, strings.ReplaceAll(kept.body.String(), r.Old, r.New))
}

// lie answers a JSON-RPC call; of several in a request those that the rule matches, and the
// rest is the service's.
func (r Rule) lie(next http.Handler, w http.ResponseWriter, req *http.Request) {
	body := []byte(peek(req))
	calls, several := []json.RawMessage{body}, false
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 0 && trimmed[0] == '[' {
		calls, several = nil, true
		if err := json.Unmarshal(body, &calls); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	answers := make([]string, len(calls))
	for i, c := range calls {
		var call struct {
			ID json.RawMessage `json:"id"`
		}
		if err := json.Unmarshal(c, &call); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answers[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, call.ID, r.Result)
		if several && !strings.Contains(string(c), r.Match) {
			answers[i] = truth(next, req, c)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if !several {
		io.WriteString(w, answers[0])
		return
	}
	fmt.Fprintf(w, "[%s]", strings.Join(answers, ","))
}

// truth is what a service answers one of several calls.
func truth(next http.Handler, req *http.Request, call []byte) string {
	alone := req.Clone(req.Context())
	alone.Body, alone.ContentLength = io.NopCloser(bytes.NewReader(call)), int64(len(call))
	said := &keep{discard: discard{header: http.Header{}}}
	next.ServeHTTP(said, alone)
	return said.body.String()
}

func (r Rule) fail(next http.Handler, w http.ResponseWriter, req *http.Request) {
	switch {
	case r.Result != "":
		r.lie(next, w, req)
	case r.Drop:
		panic(http.ErrAbortHandler) // the server's way to close a connection without a word
	case r.Hang:
		<-req.Context().Done()
	case r.Endless || r.Drip:
		w.Header().Set("Content-Type", req.Header.Get("Accept")) // as one that is what was asked for
		w.WriteHeader(cmp.Or(r.Status, http.StatusOK))
		r.withoutEnd(w, req)
	default:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		if r.Location != "" {
			w.Header().Set("Location", r.Location)
		}
		if r.Again != "" {
			w.Header().Set("Retry-After", r.Again)
		}
		w.WriteHeader(r.Status)
		io.WriteString(w, r.Body)
	}
}

// withoutEnd writes until the client gives up.
func (r Rule) withoutEnd(w http.ResponseWriter, req *http.Request) {
	piece, pause := bytes.Repeat([]byte(" "), 64<<10), time.Duration(0)
	if r.Drip {
		piece, pause = piece[:1], time.Second
	}
	for {
		select {
		case <-req.Context().Done():
			return
		case <-time.After(pause):
		}
		if _, err := w.Write(piece); err != nil {
			return
		}
		http.NewResponseController(w).Flush()
	}
}

// discard is where the answer goes that the client does not get.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

// keep is where an answer goes that the client does not get as it is.
type keep struct {
	discard
	status int
	body   bytes.Buffer
}

func (k *keep) Write(p []byte) (int, error) { return k.body.Write(p) }
func (k *keep) WriteHeader(status int)      { k.status = status }

// ServeHTTP lets scripts add rules, see them, and forget them.
func (i *Injector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/fault":
		http.NotFound(w, r)
	case r.Method == http.MethodPost:
		i.post(w, r)
	case r.Method == http.MethodGet:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(i.Rules())
	case r.Method == http.MethodDelete:
		i.Clear()
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "want GET, POST or DELETE", http.StatusMethodNotAllowed)
	}
}

func (i *Injector) post(w http.ResponseWriter, r *http.Request) {
	var rule Rule
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields() // a misspelt rule would let a test pass that tests nothing
	err := d.Decode(&rule)
	if err == nil {
		err = i.Add(rule)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
