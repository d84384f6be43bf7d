package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

func host(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// hurried is a transport for a service whose limits are small.
func hurried(service Service) *transport {
	t := Transport(service).(*transport)
	t.limits = limits{floor: 10_000, window: time.Second, answer: 3 * time.Second}
	return t
}

// forever writes a piece again and again, with a pause before each.
func forever(piece []byte, pause time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "error") && pause == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		for r.Context().Err() == nil {
			select {
			case <-r.Context().Done():
			case <-time.After(pause):
			}
			if _, err := w.Write(piece); err != nil {
				return
			}
			if pause > 0 {
				w.(http.Flusher).Flush()
			}
		}
	}
}

func read(client *http.Client, url string) ([]byte, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	return data, errors.Join(err, resp.Body.Close())
}

func TestAttackAnswerWithoutEnd(t *testing.T) {
	s := serve(t, forever(bytes.Repeat([]byte("x"), 64<<10), 0))
	for path, most := range map[string]int64{"/manifest": 1 << 20, "/error": bounds.ErrorBody, "/blobs/error": bounds.ErrorBody} {
		t.Run(path, func(t *testing.T) {
			client := &http.Client{Transport: Transport(Service{Host: host(s), Most: 1 << 20, Blob: IsBlob})}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			data, err := read(client, s.URL+path)
			runtime.ReadMemStats(&after)
			var larger *bounds.Error
			if int64(len(data)) != most || errors.As(err, &larger) == strings.Contains(path, "error") { // of which the rest is left out
				t.Errorf("got %d bytes and %v, want %d", len(data), err, most)
			}
			if memory := after.TotalAlloc - before.TotalAlloc; memory > 30<<20 {
				t.Errorf("it took %d MB", memory>>20)
			}
		})
	}
}

func TestAttackAnswerThatClaimsToBeLarge(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "1000000000") })
	client := &http.Client{Transport: Transport(Service{Host: host(s), Most: 1000})}
	var larger *bounds.Error
	if _, err := read(client, s.URL); !errors.As(err, &larger) {
		t.Errorf("got %v, want a *bounds.Error", err)
	}
	if resp, err := client.Head(s.URL); err != nil || resp.ContentLength != 1_000_000_000 {
		t.Errorf("the head of a large blob: %v, %v", resp, err)
	}
}

func TestAttackServiceThatIsSlow(t *testing.T) {
	for name, c := range map[string]struct {
		path    string
		handler http.HandlerFunc
		want    string
	}{
		"a blob, byte by byte":     {"/blobs/x", forever([]byte("x"), 20*time.Millisecond), "sends less than"},
		"a blob, silent":           {"/blobs/x", forever([]byte("x"), time.Minute), "sends less than"},
		"a manifest, byte by byte": {"/manifests/x", forever([]byte("x"), 20*time.Millisecond), "does not finish"},
		"an error, byte by byte":   {"/blobs/error", forever([]byte("x"), 20*time.Millisecond), "does not finish"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusOK)
				w.(http.Flusher).Flush()
				c.handler(w, r)
			})
			start := time.Now()
			_, err := read(&http.Client{Transport: hurried(Service{Host: host(s), Most: 1 << 20, Blob: IsBlob})}, s.URL+c.path)
			var slow *bounds.SlowError
			if !errors.As(err, &slow) || !strings.Contains(slow.What, c.want) && !strings.Contains(name, "error") || time.Since(start) > 20*time.Second {
				t.Errorf("got %v after %s, want a *bounds.SlowError: %s", err, time.Since(start), c.want)
			}
			s.CloseClientConnections()
		})
	}
}

// zeros is a body that nobody takes.
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	z.left -= n
	return n, nil
}

func TestAttackUploadThatIsNotTaken(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-done })
	t.Cleanup(func() { close(done) }) // before that of serve: a handler does not see that nobody waits
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.URL+"/blobs/uploads/1", &zeros{100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	resp, err := (&http.Client{Transport: hurried(Service{Host: host(s), Most: 1000, Blob: IsBlob})}).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	var slow *bounds.SlowError
	if !errors.As(err, &slow) || !strings.Contains(slow.What, "takes less than") || time.Since(start) > 20*time.Second {
		t.Errorf("got %v after %s, want a *bounds.SlowError", err, time.Since(start))
	}
	s.CloseClientConnections()
}

// A caller that takes its time is not held against the service.
func TestSlowReaderOfAFastService(t *testing.T) {
	t.Parallel() // most of it is waiting, as in the tests before
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100_000)) })
	resp, err := (&http.Client{Transport: hurried(Service{Host: host(s), Most: 1000, Blob: IsBlob})}).Get(s.URL + "/blobs/x")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 4 {
		time.Sleep(500 * time.Millisecond)
		if _, err := io.ReadFull(resp.Body, make([]byte, 25_000)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

// network maps names to places, and connects to a server whatever the name.
type network map[string]place

func (n network) look(_ context.Context, host string) ([]place, error) {
	p, ok := n[host]
	if !ok {
		return nil, fmt.Errorf("no such host: %s", host)
	}
	return []place{p}, nil
}

func (n network) transport(service string, to *httptest.Server) *transport {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, host(to))
	}
	t := Transport(Service{Host: service, Most: 1000, Blob: IsBlob, Base: &http.Transport{DialContext: dial}}).(*transport)
	t.look = n.look
	return t
}

func TestAttackRedirectInwards(t *testing.T) {
	hosts := network{
		"registry.example": public, "storage.example": public, "registry.corp": private, "storage.corp": private,
		"localhost": loopback, "127.0.0.1": loopback, "169.254.169.254": nowhere, "0.0.0.0": nowhere,
	}
	refused := map[string][]string{
		"registry.example": {"storage.corp", "localhost", "127.0.0.1", "169.254.169.254", "0.0.0.0"},
		"registry.corp":    {"localhost", "169.254.169.254"},
		"localhost":        {"169.254.169.254", "0.0.0.0"},
	}
	allowed := map[string][]string{
		"registry.example": {"storage.example"}, "registry.corp": {"storage.corp", "storage.example"}, "localhost": {"127.0.0.1", "storage.corp"},
	}
	for from, to := range refused {
		for _, target := range to {
			t.Run(from+" to "+target, func(t *testing.T) {
				err := redirected(t, hosts, from, target)
				var inside *bounds.AddressError
				if !errors.As(err, &inside) || inside.To != target {
					t.Errorf("got %v, want a *bounds.AddressError", err)
				}
			})
		}
	}
	for from, to := range allowed {
		for _, target := range to {
			if err := redirected(t, hosts, from, target); err != nil {
				t.Errorf("%s to %s: %v", from, target, err)
			}
		}
	}
}

// redirected asks a service that redirects to another host.
func redirected(t *testing.T, hosts network, from, to string) error {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host == from {
			http.Redirect(w, r, "http://"+to+"/inside", http.StatusTemporaryRedirect)
		}
	})
	_, err := read(&http.Client{Transport: hosts.transport(from, s)}, "http://"+from+"/blobs/x")
	return err
}

// A name may have been a public address when it was looked up.
func TestAttackNameThatChangesItsAddress(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was made") })
	_, port, err := net.SplitHostPort(host(s))
	if err != nil {
		t.Fatal(err)
	}
	door := Transport(Service{Host: "registry.example", Most: 1000}).(*transport)
	door.look = network{"registry.example": public, "localhost": public}.look
	_, err = read(&http.Client{Transport: door}, "http://localhost:"+port)
	var inside *bounds.AddressError
	if !errors.As(err, &inside) || inside.Kind != "loopback" {
		t.Errorf("got %v, want a *bounds.AddressError", err)
	}
}

// What another host answers to a request that it did not expect is nobody's to see.
func TestAttackBodyOfARedirectedAnswer(t *testing.T) {
	inside := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the secret of the inside", http.StatusForbidden)
	})
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) })
	data, err := read(&http.Client{Transport: Transport(Service{Host: host(s), Most: 1000})}, s.URL+"/blobs/x")
	if err != nil || len(data) != 0 {
		t.Errorf("got %q, %v", data, err)
	}
}

func TestPlaces(t *testing.T) {
	for text, want := range map[string]place{
		"93.184.216.34": public, "2606:2800:220:1::1": public, "10.1.2.3": private, "192.168.1.1": private, "172.31.0.1": private, "172.32.0.1": public,
		"100.64.0.1": private, "fd00::1": private, "127.0.0.1": loopback, "127.9.9.9": loopback, "::1": loopback, "::ffff:127.0.0.1": loopback,
		"::ffff:10.0.0.1": private, "169.254.169.254": nowhere, "fe80::1": nowhere, "0.0.0.0": nowhere, "::": nowhere, "224.0.0.1": nowhere, "255.255.255.255": nowhere,
	} {
		if got := placeOf(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// A request that was made with TLS is not sent on without it, to the same host neither.
func TestAttackRedirectToClearText(t *testing.T) {
	for _, stay := range []bool{true, false} {
		var asked []string
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			asked = append(asked, r.URL.String())
			header := http.Header{"Location": {"http://service.example.com/again"}}
			return &http.Response{StatusCode: http.StatusTemporaryRedirect, Header: header, Body: http.NoBody, Request: r}, nil
		})
		c := http.Client{Transport: Transport(Service{Host: "service.example.com", Most: 100, Stay: stay, Base: base})}
		resp, err := c.Post("https://service.example.com/secrets", "text/plain", strings.NewReader("secret"))
		var refused *bounds.AddressError
		if !errors.As(err, &refused) || refused.Kind != bounds.Clear || len(asked) != 1 {
			t.Errorf("got %v, asked %q", err, asked)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
