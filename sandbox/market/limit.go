package market

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limit is how many requests of one address the market answers within a window, which
// begins with the first of them. Its zero value is no limit. The real market has 100 in
// a minute, and none for localhost: here localhost counts as any other, as there is
// nothing else.
type Limit struct {
	Requests int
	Window   time.Duration
}

// ParseLimit reads a limit as flags have it: 100/1m.
func ParseLimit(text string) (Limit, error) {
	requests, window, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(requests)
	if err != nil || n < 1 {
		return Limit{}, fmt.Errorf("reading limit %q: want requests/window, such as 100/1m", text)
	}
	d, err := time.ParseDuration(window)
	if err != nil || d <= 0 {
		return Limit{}, fmt.Errorf("reading limit %q: want requests/window, such as 100/1m", text)
	}
	return Limit{n, d}, nil
}

// limiter counts the requests of each client.
type limiter struct {
	Limit
	mu      sync.Mutex
	windows map[string]*window
}

// window is what a client may still ask for, and until when.
type window struct {
	left int
	ends time.Time
}

// admit counts a request, writes how many are left, and reports whether it may go on.
// One that may not is answered.
func (l *limiter) admit(w http.ResponseWriter, r *http.Request) bool {
	if l.Requests == 0 || exempt(r) {
		return true
	}
	at := time.Now()
	left, ends := l.count(client(r), at)
	h := w.Header()
	h.Set("X-RateLimit-Limit", strconv.Itoa(l.Requests))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(max(left-1, 0)))
	h.Set("X-RateLimit-Reset", strconv.FormatFloat(float64(ends.UnixMicro())/1e6, 'f', -1, 64))
	if left > 0 {
		return true
	}
	h.Set("Retry-After", strconv.Itoa(int(ends.Sub(at).Seconds()))) // so 0 in the last second
	write(w, nil, &refusal{http.StatusTooManyRequests, "Rate limit exceeded"})
	return false
}

// count returns how many requests a client had left before this one, and when it has
// them all again.
func (l *limiter) count(client string, at time.Time) (int, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := l.windows[client]
	if v == nil || v.ends.Before(at) {
		maps.DeleteFunc(l.windows, func(_ string, old *window) bool { return old.ends.Before(at) })
		l.windows[client] = &window{l.Requests, at.Add(l.Window)}
		return l.Requests, l.windows[client].ends
	}
	v.left = max(v.left-1, 0)
	return v.left, v.ends
}

// client is whom a request comes from, as a proxy before the market says it.
func client(r *http.Request) string {
	for _, name := range []string{"X-Real-Ip", "X-Forwarded-For"} {
		if ip := r.Header.Get(name); ip != "" {
			return ip
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// exempt reports whether a request comes from one of iExec's own pages.
func exempt(r *http.Request) bool {
	origin := strings.Split(r.Header.Get("Origin"), ".")
	return len(origin) > 1 && strings.Join(origin[len(origin)-2:], ".") == "iex.ec"
}
