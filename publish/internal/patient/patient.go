// Package patient makes HTTP clients for services that fail now and then.
package patient

import (
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Client returns a client that sends a request again, up to three times, when
// the answer is 429 or 5xx or there is none; the last answer is passed on. All
// tries together take at most the limit, a single one a third of it.
func Client(limit time.Duration) *http.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = 3, 300*time.Millisecond, 3*time.Second
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	c.HTTPClient = &http.Client{Timeout: limit / 3} // of the common transport, which keeps connections
	client := c.StandardClient()
	client.Timeout = limit
	return client
}
