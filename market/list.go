package market

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/poco"
)

// How much of a list is read, of which the market promises no more than MaxOpen.
const (
	pageSize = 100
	maxPages = bounds.Orders / pageSize
)

// page is a page of open orders, and how many there are in all.
type page[T Signed] struct {
	Orders []Order[T] `json:"orders"`
	Count  *uint64    `json:"count"` // a pointer: an answer without it is none
}

// List returns the open orders of a kind that a query asks for, restricted ones too, and
// how many of them there are: of very many the first thousand, which are the cheapest.
// The keys are those of the market's API: app, dataset, workerpool, requester, category,
// minTag, maxTag, minTrust and so on.
func List[T Signed](ctx context.Context, m Client, query url.Values) (orders []Order[T], count uint64, err error) {
	count, err = each(ctx, m, query, func(o Order[T]) (more bool) {
		orders = append(orders, o)
		return true
	})
	return orders, count, err
}

// each calls see with the open orders that a query asks for, page by page, until it wants
// no more, and returns how many there are.
func each[T Signed](ctx context.Context, m Client, query url.Values, see func(Order[T]) (more bool)) (count uint64, err error) {
	for number := range maxPages {
		p, err := list[T](ctx, m, number, query)
		if err != nil {
			return 0, err
		}
		count = *p.Count
		for _, o := range p.Orders {
			if !see(o) {
				return count, nil
			}
		}
		if len(p.Orders) < pageSize {
			break
		}
	}
	return count, nil
}

// list reads a page of the open orders that a query asks for, restricted ones too.
// An answer that contradicts itself is an error: whoever reads an empty list takes it for
// a fact.
func list[T Signed](ctx context.Context, m Client, number int, asked url.Values) (page[T], error) {
	query := maps.Clone(asked)
	query.Set("pageIndex", strconv.Itoa(number))
	query.Set("pageSize", strconv.Itoa(pageSize))
	for _, who := range []string{"app", "dataset", "workerpool", "requester"} {
		if !query.Has(who) && book[T]() != "/"+who+"orders" {
			query.Set(who, "any") // or restricted orders are left out
		}
	}
	var p page[T]
	if err := m.do(ctx, request{method: http.MethodGet, path: book[T](), query: query}, &p); err != nil {
		return page[T]{}, err
	}
	wrong := ""
	switch {
	case p.Count == nil:
		wrong = "its list of orders has no count"
	case len(p.Orders) != expected(*p.Count, number):
		wrong = fmt.Sprintf("it counts %d orders, and page %d of its list has %d", *p.Count, number, len(p.Orders))
	}
	for _, o := range p.Orders {
		if o.Status != StatusOpen {
			wrong = fmt.Sprintf("order %s is listed as open, and is %.20q", o.Hash, o.Status)
		}
	}
	if wrong != "" {
		return page[T]{}, &Error{redact.URL(m.URL), "GET " + book[T](), http.StatusOK, wrong, nil}
	}
	return p, nil
}

// expected is how many of so many orders a page has.
func expected(count uint64, number int) int {
	before := uint64(number) * pageSize
	if count <= before {
		return 0
	}
	return int(min(count-before, pageSize))
}

// UnlistedError says that the market has an order, and does not list it for whoever looks
// for the app's.
type UnlistedError struct {
	Hash   common.Hash
	App    common.Address
	Listed uint64 // how many of the app's orders are
	Market string
}

func (e *UnlistedError) Error() string {
	return fmt.Sprintf("the market has order %s, and does not list it for app %s", e.Hash, e.App)
}

// Evidence returns how many orders are listed.
func (e *UnlistedError) Evidence() [][2]string {
	return [][2]string{{"expected", "order " + e.Hash.Hex() + " in the list"}, {"actual", fmt.Sprintf("a list of %d, without it", e.Listed)}, {"where", e.Market}}
}

// lags is how long the market's list may lag behind its orders.
func lags() []time.Duration {
	return []time.Duration{0, 250 * time.Millisecond, time.Second}
}

// CheckListed looks for an open order where those look who want to run its app. A list
// that lags is waited for, for a second. Errors: [*UnlistedError], *Error.
func (m Client) CheckListed(ctx context.Context, app common.Address, hash common.Hash) error {
	var count uint64
	for _, wait := range lags() {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		found := false
		var err error
		if found, count, err = m.lists(ctx, app, hash); found || err != nil {
			return err
		}
	}
	return &UnlistedError{hash, app, count, redact.URL(m.URL)}
}

// lists reports whether an app's open orders have one among them, and how many there are.
func (m Client) lists(ctx context.Context, app common.Address, hash common.Hash) (found bool, count uint64, err error) {
	count, err = each(ctx, m, url.Values{"app": {app.Hex()}}, func(o Order[poco.SignedAppOrder]) (more bool) {
		found = found || o.Hash == hash
		return !found
	})
	return found, count, err
}

// Open returns an app's open orders that its owner signed, the cheapest first: as many as
// a wallet can have, and no more than ten pages of what the market lists.
func (m Client) Open(ctx context.Context, app, owner common.Address) (open []Order[poco.SignedAppOrder], err error) {
	listed, _, err := List[poco.SignedAppOrder](ctx, m, url.Values{"app": {app.Hex()}})
	for _, o := range listed {
		if o.Order.App == app && o.Signer == owner && o.Order.AppPrice != nil && o.Order.AppPrice.IsUint64() {
			open = append(open, o)
		}
	}
	slices.SortStableFunc(open, func(a, b Order[poco.SignedAppOrder]) int { return a.Order.AppPrice.Cmp(b.Order.AppPrice) })
	return open, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
