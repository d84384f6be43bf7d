package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/mod/semver"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
)

// Line is the releases of an app: the apps of an owner that have one name.
type Line struct {
	Owner common.Address
	Name  string
}

func (l Line) has(app poco.App) bool { return app.Owner == l.Owner && app.Name == l.Name }

// HasLater reports whether an app is the line's, and of a later version than another, as far
// as versions can be compared.
func (l Line) HasLater(app poco.App, version string) bool {
	c, ok := compare(apps.Version(app), version)
	return l.has(app) && ok && c > 0
}

// Next is the order that takes the place of others.
type Next struct {
	Line
	Version string
	App     common.Address // zero while it is not known
	Hash    common.Hash    // likewise

	How     orders.Retire
	Overlap time.Duration // for which the others stay on sale beside it
	Foreign bool          // orders that mrelease did not make are retired too
	// Known are orders that records have, which the market may not list any more.
	Known []poco.SignedAppOrder
	Now   time.Time
}

// Succession says what becomes of the orders that are on sale beside a new one.
type Succession struct {
	Retire []Sale
	Stay   []Staying
	Later  *Sale     // of a later release, which mrelease made; nil: none is on sale
	since  time.Time // when the new order was published; zero: it is not
}

// Missed returns, once orders were retired for a new one, which are on sale still: of
// those that were, as the new one's known orders, and of those that were published before
// it. What was published after it is late, and no failure of its release: another one, of
// an earlier version, went on at the same time, or came later. A further run retires that.
// When something was published is the market's word alone, so late orders are to be told.
func (s Succession) Missed(next Next, d poco.Domain) (missed, late []Sale) {
	for _, sale := range s.Retire {
		known := slices.ContainsFunc(next.Known, func(o poco.SignedAppOrder) bool { return o.Hash(d) == sale.Hash })
		if known || s.since.IsZero() || !sale.Since.After(s.since) {
			missed = append(missed, sale)
		} else {
			late = append(late, sale)
		}
	}
	return missed, late
}

// Staying is an order that stays on sale.
type Staying struct {
	Sale
	Why string
}

// Succession finds the orders that a new one takes the place of: all others of the same
// app, and those of earlier releases of its line. A release of another app is earlier when
// its version is lower; where versions cannot be compared, when its order was published
// before. So a release that is run again, late or in parallel, takes nothing from sale that
// came after it.
//
// Errors: those of [World.OnSale].
func (w World) Succession(ctx context.Context, next Next) (s Succession, err error) {
	sales, err := w.everywhere(ctx, next.Owner, next.Known)
	if err != nil {
		return s, err
	}
	if i := slices.IndexFunc(sales, func(sale Sale) bool { return sale.Hash == next.Hash }); i >= 0 {
		s.since = sales[i].Since
		sales = slices.Delete(sales, i, i+1)
	}
	s.Later = next.later(sales, s.since)
	for _, sale := range sales {
		switch why := next.spares(sale, s.since); {
		case !next.has(sale.App), sale.isOver():
		case why != "":
			s.Stay = append(s.Stay, Staying{sale, why})
		default:
			s.Retire = append(s.Retire, sale)
		}
	}
	return s, nil
}

// isOver reports whether an order is neither in the market nor has runs left on chain.
func (s Sale) isOver() bool { return s.Since.IsZero() && s.Left.Sign() <= 0 }

// unlisted returns the known orders that the market does not list.
func unlisted(known []poco.SignedAppOrder, d poco.Domain, listed []market.Order[poco.SignedAppOrder]) (more []market.Order[poco.SignedAppOrder]) {
	seen := map[common.Hash]bool{}
	for _, o := range listed {
		seen[o.Hash] = true
	}
	for _, o := range known {
		if hash := o.Hash(d); !seen[hash] {
			seen[hash] = true
			more = append(more, market.Order[poco.SignedAppOrder]{Hash: hash, Order: o})
		}
	}
	return more
}

// spares says why an order stays on sale; "" when it is to be retired.
func (n Next) spares(s Sale, since time.Time) string {
	switch {
	case !s.Own && !n.Foreign:
		return "mrelease did not make it; --foreign retires it, or order close"
	case n.App == (common.Address{}) && s.Version() == n.Version:
		return "it may be this release's own: its app is not known yet"
	case s.Order.App != n.App && n.isLater(s, since):
		return "its release is no earlier one"
	case s.Order.App != n.App && s.isPresigned() && !n.comparesWith(s):
		return "its version cannot be compared, and no market says which order was there first"
	case n.How == orders.RetireKeep:
		return "order.retire is keep"
	case n.How == orders.RetireUnpublish && s.Since.IsZero():
		return "it is not in the market, and order.retire is unpublish: whoever has it can have it matched"
	case n.Overlap > 0 && since.IsZero():
		return fmt.Sprintf("both are sold for %s; a later run of the release retires it, or order close", n.Overlap)
	case n.Overlap > 0 && n.Now.Before(since.Add(n.Overlap)):
		return fmt.Sprintf("both are sold until %s; a later run of the release retires it, or order close", since.Add(n.Overlap).UTC().Format(time.RFC3339))
	}
	return ""
}

// later returns an order among those on sale that mrelease made of a later release of the
// line; nil for none.
func (n Next) later(sales []Sale, since time.Time) *Sale {
	for i, s := range sales {
		if s.Own && n.has(s.App) && s.Order.App != n.App && s.Left.Sign() > 0 && n.isLater(s, since) {
			return &sales[i]
		}
	}
	return nil
}

// isLater reports whether the release that an order sells is later than the new one.
func (n Next) isLater(s Sale, since time.Time) bool {
	if c, ok := compare(s.Version(), n.Version); ok && c != 0 {
		return c > 0
	}
	if since.IsZero() || s.Since.IsZero() || s.Since.Equal(since) {
		return !since.IsZero() && s.Since.Equal(since) && s.Hash.Cmp(n.Hash) > 0
	}
	return s.Since.After(since)
}

func (n Next) comparesWith(s Sale) bool {
	_, ok := compare(s.Version(), n.Version)
	return ok
}

// compare compares versions, where both are numbers that can be.
func compare(a, b string) (order int, ok bool) {
	a, b = "v"+a, "v"+b
	return semver.Compare(a, b), semver.IsValid(a) && semver.IsValid(b)
}
