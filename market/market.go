package market

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/poco"
)

// Client is iExec's order book for one chain (iexec-market-api 7).
type Client struct {
	URL     string
	ChainID uint64
	// Patience is how long a request may take, with all of its tries; 0: 45 s, so that
	// a release that meets a silent market ends within two minutes. It asks for the
	// order, and at most once more to publish it.
	Patience time.Duration
	// Tell is told of waits that the market asks for; nil: nobody is.
	Tell func(text string)
	// Around, unless it is nil, is put around what makes the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Turn, unless it is nil, is held from a challenge to its use: the market keeps one for
	// each wallet, and the next one ends it.
	Turn sync.Locker
}

// Node returns the market's URL without the secrets in it.
func (m Client) Node() string { return redact.URL(m.URL) }

// Signed is an order of one of the four kinds, each of which the market has a book of.
type Signed interface {
	poco.SignedAppOrder | poco.SignedDatasetOrder | poco.SignedWorkerpoolOrder | poco.SignedRequestOrder
	Hash(d poco.Domain) common.Hash
}

// book returns the path of a kind's book.
func book[T Signed]() string {
	switch any(*new(T)).(type) {
	case poco.SignedDatasetOrder:
		return "/datasetorders"
	case poco.SignedWorkerpoolOrder:
		return "/workerpoolorders"
	case poco.SignedRequestOrder:
		return "/requestorders"
	}
	return "/apporders"
}

// Order is an order as the market has it.
type Order[T Signed] struct {
	Hash      common.Hash    `json:"orderHash"`
	Order     T              `json:"order"`
	Status    Status         `json:"status"`
	Remaining uint64         `json:"remaining"`
	Signer    common.Address `json:"signer"`
	Published time.Time      `json:"publicationTimestamp"`
}

// Status is what the market says of an order.
type Status string

// The statuses. What the market calls filled is sold out. An order whose signer is
// not the app's owner any more is dead, and stays so when the app comes back, until it
// is published again.
const (
	StatusOpen     Status = "open"
	StatusFilled   Status = "filled"
	StatusCanceled Status = "canceled"
	StatusDead     Status = "dead"
)

// Error says that the market refused a request, failed, or did not answer.
type Error struct {
	URL     string // scheme and host
	Request string // "POST /apporders"
	Status  int    // of HTTP; 0: no answer
	Message string // the market's words, or the network's
	Err     error  // why there is no answer that can be used; nil when the market refused
}

// Unwrap returns the network's error.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	if e.Status == 0 {
		return fmt.Sprintf("the market did not answer %s: %s", e.Request, e.Message)
	}
	return fmt.Sprintf("the market answered %s with %d: %s", e.Request, e.Status, e.Message)
}

// Evidence returns the request and the answer.
func (e *Error) Evidence() [][2]string {
	status := "none"
	if e.Status != 0 {
		status = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	return [][2]string{{"request", e.Request}, {"status", status}, {"message", e.Message}, {"where", e.URL}}
}

func Answered(err error, status int) bool {
	var me *Error
	return errors.As(err, &me) && me.Status == status
}

// Version asks the market for its version, which shows that it is there.
func (m Client) Version(ctx context.Context) (string, error) {
	var answer struct {
		Version string `json:"version"`
	}
	err := m.do(ctx, request{method: http.MethodGet, path: "/version"}, &answer)
	if err == nil && answer.Version == "" {
		err = &Error{redact.URL(m.URL), "GET /version", http.StatusOK, "it sent no version: it may be something else than a market", nil}
	}
	return answer.Version, err
}

// Find returns an order by its hash, or nil when the market does not know it.
func Find[T Signed](ctx context.Context, m Client, hash common.Hash) (*Order[T], error) {
	var order Order[T]
	err := m.do(ctx, request{method: http.MethodGet, path: book[T]() + "/" + hash.Hex()}, &order)
	if Answered(err, http.StatusNotFound) {
		return nil, nil
	}
	return &order, err
}

// Publish puts a signed order into its book. Who signed it logs in by signing a
// challenge, which the market hands out to every caller for an address and
// takes once: with other jobs of the same wallet the answer may be 403, and
// another challenge is tried.
func Publish[T Signed](ctx context.Context, m Client, w node.Wallet, order T) error {
	body, err := json.Marshal(struct {
		Order T `json:"order"`
	}{order})
	if err != nil {
		return fmt.Errorf("encoding order: %w", err)
	}
	return m.loggedIn(ctx, w, request{method: http.MethodPost, path: book[T](), body: body})
}

// maxMessage bounds what is shown of the market's words, in bytes.
const maxMessage = 1000

// maxLogins is how many jobs of a wallet may publish at the same time.
const maxLogins = 8

// loggedIn sends a request for a wallet, with another challenge when another job of the
// wallet used up the first.
func (m Client) loggedIn(ctx context.Context, w node.Wallet, r request) (err error) {
	if m.Turn != nil {
		m.Turn.Lock()
		defer m.Turn.Unlock()
	}
	for range maxLogins {
		if r.authorization, err = m.login(ctx, w); err != nil {
			return err
		}
		err = m.do(ctx, r, nil)
		if !Answered(err, http.StatusForbidden) || !strings.Contains(err.Error(), "invalid authorization") {
			return err
		}
	}
	return err
}

// login answers a challenge: <hash>_<signature>_<address>. Of the typed data
// that the market sends, only the challenge's text is used, and only if it is
// what it says: a market must not get a wallet to sign anything else.
func (m Client) login(ctx context.Context, w node.Wallet) (string, error) {
	var answer struct {
		Data struct {
			Message struct {
				Challenge string `json:"challenge"`
			} `json:"message"`
		} `json:"data"`
	}
	r := request{method: http.MethodGet, path: "/challenge", query: url.Values{"address": {w.Address.Hex()}}}
	if err := m.do(ctx, r, &answer); err != nil {
		return "", err
	}
	text := answer.Data.Message.Challenge
	if !strings.HasPrefix(text, "Sign this message to log into iExec Gateway: ") {
		return "", &Error{redact.URL(m.URL), "GET /challenge", http.StatusOK, fmt.Sprintf("it sent %.200q for a challenge", text), nil}
	}
	sig, err := w.SignTypedData(ctx, poco.Challenge(m.ChainID, text))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s_0x%x_%s", poco.ChallengeHash(m.ChainID, text), sig, w.Address.Hex()), nil
}

type request struct {
	method, path  string
	query         url.Values
	body          []byte
	authorization string
}

// do sends a request and decodes the answer. Answers of 429 and 5xx, and none,
// are asked for again a few times.
func (m Client) do(ctx context.Context, r request, answer any) error {
	fail := func(status int, message string, err error) error {
		return &Error{redact.URL(m.URL), r.method + " " + r.path, status, message, err}
	}
	req, err := m.request(ctx, r)
	if err != nil {
		return fail(0, err.Error(), err)
	}
	service := outside.Service{Host: req.URL.Host, Most: bounds.MarketAnswer, Around: m.Around}
	resp, err := patient.Client(cmp.Or(m.Patience, bounds.Request), service, m.Tell).Do(req)
	if err != nil {
		err = redact.Error(err)
		return fail(0, err.Error(), err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body) // which ends at the bound
	if err != nil {
		return fail(resp.StatusCode, err.Error(), err)
	}
	if err := bounds.CheckJSON(data); err != nil {
		return fail(resp.StatusCode, err.Error(), err)
	}
	var verdict struct {
		OK    bool   `json:"ok"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal(data, &verdict); err != nil || resp.StatusCode != http.StatusOK || !verdict.OK {
		return fail(resp.StatusCode, describe(verdict.Error, data), nil)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fail(resp.StatusCode, "unexpected answer: "+err.Error(), err)
	}
	return nil
}

func describe(message string, body []byte) string {
	if message != "" {
		return message[:min(len(message), maxMessage)]
	}
	return fmt.Sprintf("%.200q", bytes.TrimSpace(body))
}

// request builds the URL as iExec's SDK does: a path in the market's address is
// not kept.
func (m Client) request(ctx context.Context, r request) (*http.Request, error) {
	u, err := url.Parse(m.URL)
	if err != nil {
		return nil, fmt.Errorf("parsing market URL: %w", err)
	}
	query := url.Values{"chainId": {strconv.FormatUint(m.ChainID, 10)}}
	for k, v := range r.query {
		query[k] = v
	}
	u.Path, u.RawQuery = r.path, query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.authorization != "" {
		req.Header.Set("Authorization", r.authorization)
	}
	return req, nil
}
