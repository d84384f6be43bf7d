package patient_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/outside"
)

// serve answers the statuses in turn, the last one for ever, and counts.
func serve(t *testing.T, statuses ...int) (url string, count *atomic.Int32) {
	t.Helper()
	count = new(atomic.Int32)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "question" {
			t.Errorf("the request has the body %q, %v", body, err)
		}
		n := int(count.Add(1))
		w.WriteHeader(statuses[min(n, len(statuses))-1])
	}))
	t.Cleanup(s.Close)
	return s.URL, count
}

func TestClientAsksAgain(t *testing.T) {
	for _, c := range []struct {
		statuses   []int
		want, asks int
	}{
		{[]int{200}, 200, 1},
		{[]int{503, 200}, 200, 2},
		{[]int{429, 200}, 200, 2},
		{[]int{400}, 400, 1},
		{[]int{403}, 403, 1},
		{[]int{500}, 500, 4},
	} {
		url, count := serve(t, c.statuses...)
		resp, err := patient.Client(time.Minute, outside.Service{Host: strings.TrimPrefix(url, "http://"), Most: 1000}, nil).Post(url, "text/plain", strings.NewReader("question"))
		if err != nil {
			t.Errorf("%v: %v", c.statuses, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != c.want || int(count.Load()) != c.asks {
			t.Errorf("%v: got %d after %d requests, want %d after %d", c.statuses, resp.StatusCode, count.Load(), c.want, c.asks)
		}
	}
}

// A service that does not answer is not waited for beyond the limit.
func TestClientIsPatientForALimitedTime(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // the end of a request is noticed once its body was read
			<-r.Context().Done()
		},
	} {
		s := httptest.NewServer(handler)
		start := time.Now()
		resp, err := patient.Client(600*time.Millisecond, outside.Service{Host: strings.TrimPrefix(s.URL, "http://"), Most: 1000}, nil).Post(s.URL, "text/plain", strings.NewReader("question"))
		if err == nil {
			resp.Body.Close()
		}
		if took := time.Since(start); !os.IsTimeout(err) || took > 20*time.Second {
			t.Errorf("%s: %v after %s, want a timeout", name, err, took)
		}
		s.Close()
	}
}

func TestClientEndsWithItsContext(t *testing.T) {
	url, _ := serve(t, 500)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("question"))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := patient.Client(time.Minute, outside.Service{Host: strings.TrimPrefix(url, "http://"), Most: 1000}, nil).Do(req); err == nil {
		resp.Body.Close()
		t.Error("the request was made")
	}
}

// An answer that breaks off is asked for again; one that always does is an error.
func TestClientAsksAgainForTheRest(t *testing.T) {
	for _, breaks := range []int32{0, 1, 3, 4} {
		var count atomic.Int32
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "6")
			io.WriteString(w, "ans")
			if count.Add(1) > breaks {
				io.WriteString(w, "wer")
			}
		}))
		resp, err := patient.Client(time.Minute, outside.Service{Host: strings.TrimPrefix(s.URL, "http://"), Most: 1000}, nil).Post(s.URL, "text/plain", strings.NewReader("question"))
		var body []byte
		if err == nil {
			body, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if whole := err == nil && string(body) == "answer"; whole != (breaks < 4) || count.Load() != min(breaks+1, 4) {
			t.Errorf("%d break off: got %q, %v after %d requests", breaks, body, err, count.Load())
		}
		s.Close()
	}
}

// A service that says when to come again is done that favour, also when it rounds down
// to nothing; one that asks for more than the patience is not, and its answer is told.
func TestClientComesAgainWhenItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		again      string
		times      int32 // that it says so
		limit      time.Duration
		want       int
		asks       int32
		least      time.Duration
		most, told int
	}{
		"a second":               {429, "1", 1, time.Second, 200, 2, time.Second, 2, 1},
		"five times a second":    {429, "1", 5, time.Second, 429, 5, 4 * time.Second, 6, 4},
		"rounded down":           {429, "0", 2, time.Second, 200, 3, 2 * time.Second, 3, 2},
		"busy":                   {503, "1", 1, time.Second, 200, 2, time.Second, 2, 1},
		"an hour":                {429, "3600", 9, time.Second, 429, 1, 0, 1, 0},
		"more than there can be": {429, "99999999999999999999", 9, time.Minute, 429, 4, 0, 4, 0},
		"a date that is past":    {429, "Wed, 21 Oct 2015 07:28:00 GMT", 1, time.Second, 200, 2, time.Second, 2, 1},
		"a refusal":              {403, "1", 1, time.Second, 403, 1, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var count atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, err := io.ReadAll(r.Body); err != nil || string(body) != "question" {
					t.Errorf("the request has the body %q, %v", body, err)
				}
				if count.Add(1) <= c.times {
					w.Header().Set("Retry-After", c.again)
					w.WriteHeader(c.status)
				}
			}))
			defer s.Close()
			told, start := 0, time.Now()
			client := patient.Client(c.limit, outside.Service{Host: strings.TrimPrefix(s.URL, "http://"), Most: 1000}, func(string) { told++ })
			resp, err := client.Post(s.URL, "text/plain", strings.NewReader("question"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			took := time.Since(start)
			if resp.StatusCode != c.want || count.Load() != c.asks || told != c.told {
				t.Errorf("got %d after %d requests and %d words, want %d after %d and %d", resp.StatusCode, count.Load(), told, c.want, c.asks, c.told)
			}
			if took < c.least || took > time.Duration(c.most)*time.Second+10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// Nobody waits longer than the request may take: the answer is told instead.
func TestClientDoesNotWaitBeyondTheDeadline(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := patient.Client(time.Minute, outside.Service{Host: strings.TrimPrefix(s.URL, "http://"), Most: 1000}, nil).Do(req)
	if err != nil || resp.StatusCode != http.StatusTooManyRequests || ctx.Err() != nil {
		t.Fatalf("got %v, %v", resp, err)
	}
	resp.Body.Close()
}
