package patient

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// The waits of a steady client, and what a single try may take.
const (
	firstWait = time.Second
	longest   = 30 * time.Second
	oneTry    = 45 * time.Second
)

// Steady returns a client of a service without which the work of a whole build would be
// lost: what fails as for [Client] is tried again, with waits that double up to half a
// minute, for as long as the limit says; then the last answer is passed on. tell is told
// of each wait if it is not nil.
func Steady(limit time.Duration, service outside.Service, tell func(string)) *http.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = math.MaxInt32, min(firstWait, limit), longest
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.Backoff = func(least, most time.Duration, try int, resp *http.Response) time.Duration {
		wait := min(most, retryablehttp.DefaultBackoff(least, most, try, resp))
		if tell != nil {
			tell(fmt.Sprintf("%s fails: trying again in %s", service.Host, wait.Round(time.Second)))
		}
		return wait
	}
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		var inside *bounds.AddressError
		var larger *bounds.Error
		if errors.As(err, &inside) || errors.As(err, &larger) {
			return false, nil
		}
		if end, ok := ctx.Value(deadline{}).(time.Time); ok && !time.Now().Before(end) {
			return false, ctx.Err()
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	c.HTTPClient = &http.Client{Timeout: oneTry, Transport: whole{outside.Transport(service)}}
	return &http.Client{Transport: until{limit, c.StandardClient().Transport}}
}

// deadline is the key of the time after which a request is not tried again.
type deadline struct{}

// until notes in a request when its time is over.
type until struct {
	limit time.Duration
	next  http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (u until) RoundTrip(r *http.Request) (*http.Response, error) {
	return u.next.RoundTrip(r.WithContext(context.WithValue(r.Context(), deadline{}, time.Now().Add(u.limit))))
}
