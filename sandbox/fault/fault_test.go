package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mrelease/mrelease/sandbox/fault"
)

// service counts what reaches it.
type service struct {
	*httptest.Server
	served atomic.Int32
}

func start(t *testing.T, faults *fault.Injector) *service {
	s := &service{}
	s.Server = httptest.NewServer(faults.Wrap("market", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.served.Add(1)
		io.Copy(w, r.Body)
	})))
	t.Cleanup(s.Close)
	return s
}

func (s *service) post(t *testing.T, path, body string) (int, string, error) {
	t.Helper()
	resp, err := s.Client().Post(s.URL+path, "text/plain", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer), nil
}

func TestRuleAppliesToTheNextRequestsThatMatch(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	if err := faults.Add(fault.Rule{Service: "market", Method: "POST", Path: "/apporders", Status: 429, Body: "slow down", Times: 2}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		path   string
		status int
		body   string
	}{
		{"/challenge", 200, "hello"}, {"/apporders", 429, "slow down"}, {"/apporders", 429, "slow down"}, {"/apporders", 200, "hello"},
	} {
		status, body, err := s.post(t, want.path, "hello")
		if err != nil || status != want.status || body != want.body {
			t.Errorf("POST %s: %d %q %v, want %d %q", want.path, status, body, err, want.status, want.body)
		}
	}
	if left := faults.Rules(); len(left) != 0 {
		t.Errorf("rules left: %v", left)
	}
}

func TestRuleMatchesTheBodyAndLeavesItWhole(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	if err := faults.Add(fault.Rule{Service: "market", Match: "eth_send", Status: 503}); err != nil {
		t.Fatal(err)
	}
	if status, body, _ := s.post(t, "/", "eth_chainId"); status != 200 || body != "eth_chainId" {
		t.Errorf("a body that does not match: %d %q, want it served whole", status, body)
	}
	if status, _, _ := s.post(t, "/", "eth_sendRawTransaction"); status != 503 {
		t.Errorf("a body that matches: %d, want 503", status)
	}
}

func TestDropLosesTheConnection(t *testing.T) {
	for _, after := range []bool{false, true} {
		var faults fault.Injector
		s := start(t, &faults)
		if err := faults.Add(fault.Rule{Service: "market", Drop: true, After: after}); err != nil {
			t.Fatal(err)
		}
		if status, _, err := s.post(t, "/", ""); err == nil {
			t.Errorf("got status %d, want an error of the connection", status)
		}
		if served := s.served.Load() == 1; served != after {
			t.Errorf("served: %t, want %t", served, after)
		}
	}
}

func TestHangLastsUntilTheClientGivesUp(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	if err := faults.Add(fault.Rule{Service: "market", Hang: true}); err != nil {
		t.Fatal(err)
	}
	s.Client().Timeout = 50 * time.Millisecond
	_, _, err := s.post(t, "/", "")
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a timeout", err)
	}
	if s.served.Load() != 0 {
		t.Error("the request was served")
	}
}

func TestAdmin(t *testing.T) {
	var faults fault.Injector
	admin := httptest.NewServer(&faults)
	defer admin.Close()
	request := func(method, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, admin.URL+"/fault", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := admin.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, bad := range []string{`{"service":"market"}`, `{"status":500}`, `{"service":"market","stauts":500}`, `{"service":"market","status":99}`, `{`} {
		if status := request("POST", bad); status != http.StatusBadRequest {
			t.Errorf("rule %s: %d, want 400", bad, status)
		}
	}
	if status := request("POST", `{"service":"market","method":"POST","path":"/apporders","status":429,"times":2}`); status != http.StatusNoContent {
		t.Errorf("a good rule: %d, want 204", status)
	}
	want := fault.Rule{Service: "market", Method: "POST", Path: "/apporders", Status: 429, Times: 2}
	if rules := faults.Rules(); len(rules) != 1 || rules[0] != want {
		t.Errorf("rules %v, want %v", rules, want)
	}
	if status := request("DELETE", ""); status != http.StatusNoContent || len(faults.Rules()) != 0 {
		t.Errorf("DELETE: %d, %v left", status, faults.Rules())
	}
}

// A body without end is written until the client gives up, and a redirect names its
// target.
func TestAnswersThatLeadNowhere(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	for _, r := range []fault.Rule{{Service: "market", Endless: true}, {Service: "market", Drip: true, Status: 500}} {
		if err := faults.Add(r); err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		want := []int{http.StatusOK, 1 << 20}
		if r.Drip {
			want = []int{http.StatusInternalServerError, 1}
		}
		if n, err := io.ReadFull(resp.Body, make([]byte, want[1])); err != nil || resp.StatusCode != want[0] {
			t.Errorf("%+v: status %d, %d bytes, %v", r, resp.StatusCode, n, err)
		}
		resp.Body.Close()
	}
	if err := faults.Add(fault.Rule{Service: "market", Status: 307, Location: "http://elsewhere.example/"}); err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(httptest.NewRequest(http.MethodGet, s.URL, nil))
	if err != nil || resp.StatusCode != 307 || resp.Header.Get("Location") != "http://elsewhere.example/" {
		t.Errorf("got %v, %v", resp, err)
	}
}

func TestAnotherStory(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	if err := faults.Add(fault.Rule{Service: "market", Old: "open", New: "filled"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"it is filled, filled", "it is open, open"} {
		if _, body, err := s.post(t, "/", "it is open, open"); err != nil || body != want {
			t.Errorf("got %q, %v, want %q", body, err, want)
		}
	}
}

// A request that is overtaken is done after the next one, and after a while when there is
// none.
func TestOvertaken(t *testing.T) {
	var faults fault.Injector
	var mu sync.Mutex
	var done []string
	s := httptest.NewServer(faults.Wrap("rpc", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		done = append(done, r.URL.Path)
	})))
	defer s.Close()
	ask := func(path, delay string) {
		if delay != "" {
			if err := faults.Add(fault.Rule{Service: "rpc", Path: path, Overtaken: true, Delay: delay}); err != nil {
				t.Error(err)
			}
		}
		resp, err := http.Get(s.URL + path)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
	first := make(chan struct{})
	go func() {
		defer close(first)
		ask("/first", "1h")
	}()
	for waits := true; waits; {
		select {
		case <-first:
			waits = false
		default:
			ask("/second", "")
		}
	}
	ask("/alone", "10ms")
	if done[0] != "/second" || done[len(done)-1] != "/alone" || !slices.Contains(done, "/first") {
		t.Errorf("done: %q", done)
	}
}

// Of several calls in a request those are answered with a lie that the rule matches.
func TestLieAboutOneOfSeveralCalls(t *testing.T) {
	var faults fault.Injector
	s := start(t, &faults)
	if err := faults.Add(fault.Rule{Service: "market", Match: "eth_call", Result: `"0x2a"`}); err != nil {
		t.Fatal(err)
	}
	_, body, err := s.post(t, "/", `[{"id":1,"method":"eth_chainId"},{"id":2,"method":"eth_call"}]`)
	if want := `[{"id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"result":"0x2a"}]`; err != nil || body != want {
		t.Errorf("got %s, %v, want %s", body, err, want)
	}
}
