// Package patient makes HTTP clients for services that fail now and then.
package patient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// Client returns a client of a service that sends a request again, up to three times,
// when the answer is 429 or 5xx, or breaks off, or there is none; the last answer is
// passed on. All tries together take at most the limit, a single one a third of it.
// Answers are read whole before they are passed on.
//
// A service that says when to come again is done that favour, for four times the limit
// in all, and tell is told of each wait if it is not nil.
func Client(limit time.Duration, service outside.Service, tell func(string)) *http.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 3, 300*time.Millisecond, 3*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.CheckRetry = retry
	c.HTTPClient = &http.Client{Timeout: limit / 3, Transport: whole{outside.Transport(service)}}
	client := c.StandardClient()
	client.Timeout = limit
	if tell == nil {
		tell = func(string) {}
	}
	return &http.Client{Transport: obedient{client, limit * (bounds.Throttled / bounds.Request), tell}}
}

// whole is a transport for which an answer that breaks off is none.
type whole struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t whole) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body) // the service's transport bounds it
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// retry is the library's policy, but for what would be refused again, or comes with a
// time at which to ask.
func retry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var inside *bounds.AddressError
	var larger *bounds.Error
	var absent interface{ Absent() } // of what is no service
	if _, told := comeAgain(resp); told || errors.As(err, &inside) || errors.As(err, &larger) || errors.As(err, &absent) {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}
