package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
)

// caller makes requests of JSON to a key service. Signing has no effect, so a request is made
// again when it fails.
type caller struct {
	who    string // the service, for people
	client *http.Client
	used   used
}

// newCaller returns a caller of the service at a URL.
func newCaller(who, at string) *caller {
	host := ""
	if u, err := url.Parse(at); err == nil {
		host = u.Host
	}
	return &caller{who: who, client: patientClient(host)}
}

// patientClient asks one host, and is sent on to no other.
func patientClient(host string) *http.Client {
	return patient.Client(bounds.KeyService, outside.Service{Host: host, Most: bounds.KeyServiceAnswer, Stay: true}, nil)
}

// request is one to a key service.
type request struct {
	url      string
	header   http.Header // what says who asks; it is a secret
	question any         // nil: it is a GET, else a POST
	answer   any         // where its answer goes
	refused  func(status int, data []byte) error
}

// ask makes a request.
func (c *caller) ask(ctx context.Context, q request) error {
	method, body := http.MethodGet, []byte(nil)
	if q.question != nil {
		var err error
		if body, err = json.Marshal(q.question); err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, q.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making request: %w", err)
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		return c.silent(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return c.silent(err)
	}
	if resp.StatusCode != http.StatusOK {
		return q.refused(resp.StatusCode, data)
	}
	if err := bounds.CheckJSON(data); err != nil || json.Unmarshal(data, q.answer) != nil {
		return &refusal{problem: "what came back is no JSON of its API", advice: "find out what answers in the place of " + c.who}
	}
	return nil
}

// silent is for who did not answer.
func (c *caller) silent(err error) error {
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return &refusal{problem: "its answer is too large: " + larger.Error(), advice: "find out what answers in the place of " + c.who, err: err}
	}
	return &refusal{problem: "it cannot be reached, or did not answer: " + brief(redact.Error(err).Error()), advice: "look at the network, and run the same command again: what is done is found", err: err}
}

func (c *caller) hide(text string) string { return c.used.hide(text) }

// isFailing reports whether a status says that it may be another one later.
func isFailing(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// wait is for those that fail.
func wait(r *refusal) {
	r.problem += " (asked several times)"
	r.advice = "wait and run the same command again: what is done is found"
}
