package patient

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// obedient is a transport that comes again when a service says so.
type obedient struct {
	client   *http.Client
	patience time.Duration // of all waits together
	tell     func(string)
}

// RoundTrip implements [http.RoundTripper]. A wait that would go beyond the patience, or
// the request's own deadline, is not begun: the answer that asks for it is passed on.
func (t obedient) RoundTrip(r *http.Request) (*http.Response, error) {
	left := t.patience
	if deadline, ok := r.Context().Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	for {
		again := r.Clone(r.Context())
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			again.Body = body
		}
		resp, err := t.client.Do(again)
		var named *url.Error
		if errors.As(err, &named) {
			err = named.Err // the outer client names the request
		}
		wait, told := comeAgain(resp)
		if err != nil || !told || wait > left || r.Body != nil && r.GetBody == nil {
			return resp, err
		}
		left -= wait
		t.tell(fmt.Sprintf("%s asks to come again in %s (%s): waiting", r.URL.Host, wait.Round(time.Second), resp.Status))
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-time.After(wait):
		}
	}
}

// comeAgain returns for how long a service asks to be left alone. It is a second at
// least: services round down.
func comeAgain(resp *http.Response) (wait time.Duration, told bool) {
	if resp == nil || resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return max(time.Duration(seconds)*time.Second, time.Second), true
	}
	at, err := http.ParseTime(text)
	return max(time.Until(at), time.Second), err == nil
}
