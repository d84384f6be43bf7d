package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// limits are how long a service may take; tests have lower ones.
type limits struct {
	floor  int64         // bytes a second of a blob
	window time.Duration // over which the floor is an average
	answer time.Duration // for all of what is no blob
}

func usual() limits { return limits{bounds.RateFloor, bounds.RateWindow, bounds.Answer} }

// pace ends a request whose bytes move too slowly. The time counts in which the
// service is waited for, not that in which its bytes are used.
type pace struct {
	limits
	host, verb string // "sends"
	cancel     context.CancelCauseFunc
	isBlob     bool

	mu     sync.Mutex
	timer  *time.Timer
	since  time.Time     // when the present wait began; zero: there is none
	waited time.Duration // in this window; for what is no blob, in all
	moved  int64         // bytes in this window
}

// begin is called when the service is waited for, until end.
func (p *pace) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	most := p.window
	if !p.isBlob {
		most = p.answer - p.waited
	}
	p.since = time.Now()
	p.timer = time.AfterFunc(most, func() { p.cancel(p.slow()) })
}

func (p *pace) end(moved int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		return
	}
	p.timer.Stop()
	p.waited += time.Since(p.since)
	p.moved += int64(moved)
	p.since = time.Time{}
	if !p.isBlob || p.waited < p.window {
		return
	}
	if float64(p.moved) < float64(p.floor)*p.waited.Seconds() {
		p.cancel(p.slow())
	}
	p.waited, p.moved = 0, 0
}

func (p *pace) slow() error {
	if p.isBlob {
		return &bounds.SlowError{Where: p.host, What: fmt.Sprintf("%s less than %s a second", p.verb, bounds.Bytes(p.floor)), After: p.window}
	}
	return &bounds.SlowError{Where: p.host, What: "does not finish its answer", After: p.answer}
}

// sent is a request's body, which the service takes at its pace.
type sent struct {
	io.ReadCloser
	pace *pace
	last int // bytes that are on their way
}

// Read implements [io.Reader].
func (s *sent) Read(p []byte) (int, error) {
	s.pace.end(s.last)
	n, err := s.ReadCloser.Read(p)
	if s.last = n; err == nil {
		s.pace.begin()
	}
	return n, err
}

// Close implements [io.Closer].
func (s *sent) Close() error {
	s.pace.end(0)
	return s.ReadCloser.Close()
}

// body is an answer's body, bounded.
type body struct {
	io.ReadCloser
	exchange *exchange
	pace     *pace
	left     int64 // -1: any size
	beyond   error // what comes after that
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.left >= 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	b.pace.begin()
	n, err := b.ReadCloser.Read(p)
	b.pace.end(n)
	if err != nil && err != io.EOF {
		err = b.exchange.cause(err)
	}
	if b.left < 0 {
		return n, err
	}
	if b.left -= int64(n); b.left < 0 {
		b.left = 0
		return n - 1, b.beyond
	}
	return n, err
}

// Close implements [io.Closer].
func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.exchange.cancel(nil)
	return err
}

// exchange is a request and its answer, which can be ended with a reason.
type exchange struct {
	request *http.Request
	ended   context.Context //nolint:containedctx // that of the request, to which net/http gives no cause
	cancel  context.CancelCauseFunc
}

func begin(r *http.Request) *exchange {
	ctx, cancel := context.WithCancelCause(r.Context())
	return &exchange{r.WithContext(ctx), ctx, cancel}
}

// cause returns why this package ended the exchange, if it did, in the place of
// what that led to.
func (e *exchange) cause(err error) error {
	var slow *bounds.SlowError
	if errors.As(context.Cause(e.ended), &slow) {
		return slow
	}
	return err
}

// fail ends the exchange with an error.
func (e *exchange) fail(err error) error {
	err = e.cause(err)
	e.cancel(nil)
	return err
}
