// Package outside is how services of others are spoken to over HTTP: what they
// answer is bounded in size and time, and where they send a request on to may not be
// further inside this machine or its network than they are.
package outside

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// Service is a service of somebody else's.
type Service struct {
	Host string // of its URL, with the port where that has one
	Most int64  // bytes of an answer
	// Blob tells the requests whose answers may be of any size, and whose bodies may
	// be large. They must keep to bounds.RateFloor instead. nil: there are none.
	Blob func(*http.Request) bool
	// Stay is for requests that carry a secret: they are sent on to no other host.
	Stay bool
	// Base makes the requests; nil: a transport of this package.
	Base http.RoundTripper
	// Around, unless it is nil, is put around what makes the requests, to this service and
	// to those that it sends requests on to: what keeps the answers, or gives them itself.
	Around func(http.RoundTripper) http.RoundTripper
}

// Transport returns a transport for requests to a service. It must be used with a
// client of net/http, which follows redirects with requests that tell what they come
// from.
func Transport(s Service) http.RoundTripper {
	t := &transport{Service: s, limits: usual(), look: lookUp, elsewhere: s.Base}
	if s.Base == nil {
		t.Base, t.elsewhere = base(), guarded()
	}
	if s.Around != nil {
		t.Base, t.elsewhere = s.Around(t.Base), s.Around(t.elsewhere)
	}
	return t
}

type transport struct {
	Service
	limits
	elsewhere http.RoundTripper // for requests to other hosts
	look      look
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rt, isElsewhere := t.Base, r.URL.Host != t.Host
	if isElsewhere {
		allowed, err := t.admit(r.Context(), r.URL)
		if err != nil {
			return nil, errors.Join(err, closed(r.Body))
		}
		r, rt = r.WithContext(context.WithValue(r.Context(), limit{}, allowed)), t.elsewhere
	}
	isBlob := t.Blob != nil && t.Blob(First(r))
	e := begin(r)
	if r.Body != nil && r.Body != http.NoBody {
		e.request.Body = &sent{ReadCloser: r.Body, pace: t.pace(e, "takes", true)}
	}
	resp, err := rt.RoundTrip(e.request)
	if err != nil {
		return nil, e.fail(err)
	}
	if err := t.checkRedirect(resp); err != nil {
		return nil, e.fail(errors.Join(err, resp.Body.Close()))
	}
	if isElsewhere && resp.StatusCode >= 400 {
		if err := resp.Body.Close(); err != nil {
			return nil, e.fail(err)
		}
		resp.Body, resp.ContentLength = http.NoBody, 0 // it is not the service's, and may be anybody's
	}
	return t.bound(resp, e, isBlob)
}

func (t *transport) pace(e *exchange, verb string, isBlob bool) *pace {
	return &pace{limits: t.limits, host: e.request.URL.Host, verb: verb, cancel: e.cancel, isBlob: isBlob}
}

// First is the request that a chain of redirects began with.
func First(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}

// bound wraps an answer's body.
func (t *transport) bound(resp *http.Response, e *exchange, isBlob bool) (*http.Response, error) {
	most, beyond := t.Most, t.larger()
	switch {
	case resp.StatusCode >= 400: // whose status is what counts
		most, beyond, isBlob = bounds.ErrorBody, io.EOF, false
	case isBlob:
		most = -1
	case resp.ContentLength > most && resp.Request.Method != http.MethodHead:
		return nil, e.fail(errors.Join(beyond, resp.Body.Close()))
	}
	resp.Body = &body{ReadCloser: resp.Body, exchange: e, pace: t.pace(e, "sends", isBlob), left: most, beyond: beyond}
	return resp, nil
}

func (t *transport) larger() error {
	return &bounds.Error{Where: t.Host, What: "the size of its answer", Most: bounds.Bytes(t.Most)}
}

// checkRedirect looks at where an answer sends the request on to, before a client does,
// which has rules of its own.
func (t *transport) checkRedirect(resp *http.Response) error {
	if resp.StatusCode/100 != 3 {
		return nil
	}
	to, err := resp.Location()
	if err != nil { // without a place to go to it is no redirect
		return nil
	}
	if resp.Request.URL.Scheme == "https" && to.Scheme != "https" {
		return &bounds.AddressError{From: t.Host, To: to.Host, Kind: bounds.Clear}
	}
	if to.Host == t.Host {
		return nil
	}
	if t.Stay {
		return &bounds.AddressError{From: t.Host, To: to.Host, Kind: bounds.Foreign}
	}
	_, err = t.admit(resp.Request.Context(), to)
	return err
}

// admit returns how far inside a request to another host may go: as far as the
// service itself is. Whoever has no way to look hosts up has a proxy do it.
func (t *transport) admit(ctx context.Context, to *url.URL) (place, error) {
	allowed := public
	if own, err := t.look(ctx, hostname(t.Host)); err == nil && len(own) > 0 {
		allowed = min(slices.Min(own), loopback)
	}
	there, err := t.look(ctx, to.Hostname())
	if err == nil && len(there) > 0 && slices.Max(there) > allowed {
		return 0, &bounds.AddressError{From: t.Host, To: to.Host, Kind: slices.Max(there).String()}
	}
	return allowed, nil
}

func closed(body io.Closer) error {
	if body == nil {
		return nil
	}
	return body.Close()
}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// base is as go's default transport, which whoever imports the packages may replace,
// but for a time limit: that waits for ever for a service that takes a request and does
// not answer.
var base = sync.OnceValue(func() http.RoundTripper { return newBase(nil) })

// newBase returns a transport whose connections are controlled before they are made.
func newBase(control func(context.Context, string, string, syscall.RawConn) error) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 30 * time.Second, ControlContext: control}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   50,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: bounds.Answer, // some take long to put a large layer in its place
	}
}

// guarded is base for other hosts. Names may have changed their addresses since they
// were looked up, so the address counts that is connected to. A proxy is the user's
// own choice, and connects by itself.
var guarded = sync.OnceValue(func() http.RoundTripper {
	return splitter{proxied: newBase(nil), direct: newBase(control)}
})

type splitter struct{ proxied, direct *http.Transport }

// RoundTrip implements [http.RoundTripper].
func (s splitter) RoundTrip(r *http.Request) (*http.Response, error) {
	if proxy, err := s.proxied.Proxy(r); err != nil || proxy != nil {
		return s.proxied.RoundTrip(r)
	}
	return s.direct.RoundTrip(r)
}

// limit is the context's key of how far inside a connection may go.
type limit struct{}

func control(ctx context.Context, _, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	allowed, _ := ctx.Value(limit{}).(place)
	if there := placeOf(to.Addr()); there > allowed {
		return &bounds.AddressError{From: "the service", To: address, Kind: there.String()}
	}
	return nil
}
