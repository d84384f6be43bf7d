package rotation

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// Change is what is to become of the orders on sale. It is found by looking, and done by
// [World.Do]; what is there already is left, so the same change can be done again.
type Change struct {
	Open *Opening // nil: nothing is opened
	End  []Sale   // closed on chain, and taken out of the market
	Stay []Staying
	// Later is an order that stays on sale, of a later release than the one that is opened;
	// nil for none.
	Later *Sale
}

// Opening is an order that is to be on sale.
type Opening struct {
	App        apps.Registration
	Order      poco.AppOrder
	Hash       common.Hash
	Generation uint64 // how often the same offer was closed or sold out before
	There      bool   // it is on sale
}

// Version is the release's that the order sells.
func (o Opening) Version() string { return apps.Version(o.App.App) }

// Done is what a change changed.
type Done struct {
	Opened bool                // by this call; else it was on sale before
	Order  poco.SignedAppOrder // that is on sale by now; the zero order where none was to be opened
	Ended  int                 // orders that this call ended
}

// Do opens first and ends then, so that there is always something on sale; both are read
// back. Errors: those of [orders.Offer] and [World.Retire].
func (w World) Do(ctx context.Context, wallet node.Wallet, c Change) (done Done, err error) {
	if c.Open != nil {
		offering, err := orders.Offer(ctx, w.Chain, w.Market, wallet, c.Open.Order)
		if err != nil {
			return done, err
		}
		done.Opened, done.Order = offering.Published, offering.Order
	}
	done.Ended, err = w.Retire(ctx, wallet, orders.RetireClose, c.End)
	return done, err
}

// ReleaseError says that there is not one release of a version.
type ReleaseError struct {
	Line
	Version string // empty: the one before the last
	Known   []string
	Problem string
	Chain   string
}

func (e *ReleaseError) Error() string { return e.Problem }

// Evidence returns which releases there are.
func (e *ReleaseError) Evidence() [][2]string {
	known := "none"
	if len(e.Known) > 0 {
		known = strings.Join(e.Known, ", ")
	}
	return [][2]string{{"releases", known}, {"where", fmt.Sprintf("apps %q of %s on %s", e.Name, e.Owner, e.Chain)}}
}

// Releases are the apps of a line, the newest first: by their versions, where all can be
// compared, else as the registry has them.
type Releases struct {
	Line
	Apps  []apps.Registration
	chain string
}

// Releases reads them from the chain. Errors: those of [apps.Owned].
func (w World) Releases(ctx context.Context, line Line) (Releases, error) {
	r := Releases{Line: line, chain: w.Chain.Name}
	comparable := true
	for app, err := range apps.Owned(ctx, w.Chain, line.Owner, bounds.Apps) {
		if err != nil {
			return r, err
		}
		if line.has(app.App) {
			r.Apps = append(r.Apps, app)
			_, ok := compare(apps.Version(app.App), apps.Version(app.App))
			comparable = comparable && ok
		}
	}
	if comparable {
		slices.SortStableFunc(r.Apps, func(a, b apps.Registration) int {
			order, _ := compare(apps.Version(b.App), apps.Version(a.App))
			return order
		})
	}
	return r, nil
}

// Newest returns the last release, with what check says of it. An app that is none of the
// owner's releases, as check says of it by a *registry.UnsignedError or a *record.Error, does
// not count: anybody can register one of the owner's, and of any version. Error: *ReleaseError.
func (r Releases) Newest(check func(apps.Registration) error) (found apps.Registration, err error) {
	for app, err := range r.signed(check) {
		return app, err
	}
	return found, r.problem("", noRelease)
}

// Previous returns the newest release before the last one that was not revoked, and the
// versions of those that it passed over, since check says of them that they were. What is no
// release does not count, as for [Releases.Newest]. Error: *ReleaseError.
func (r Releases) Previous(check func(apps.Registration) error) (found apps.Registration, revoked []string, err error) {
	problem := noRelease
	for app, err := range r.signed(check) {
		isRevoked := is[*record.RevokedError](err)
		switch {
		case err != nil && !isRevoked:
			return app, revoked, err
		case problem == noRelease: // it is the last one
			problem = "there is no release before the last one"
		case isRevoked:
			revoked = append(revoked, apps.Version(app.App))
			problem = "each release before the last one was revoked"
		default:
			return app, revoked, nil
		}
	}
	return found, revoked, r.problem("", problem)
}

const noRelease = "there is no release of the app that the key signed"

// signed are the releases that the key signed, with what check says of each otherwise.
func (r Releases) signed(check func(apps.Registration) error) iter.Seq2[apps.Registration, error] {
	return func(yield func(apps.Registration, error) bool) {
		strangers := 0
		for _, app := range r.Apps {
			err := check(app)
			if is[*registry.UnsignedError](err) || is[*record.Error](err) {
				if strangers++; strangers > maxStrangers {
					yield(apps.Registration{}, r.problem("", fmt.Sprintf("more than %d apps of this name are none that the key signed: name a version", maxStrangers)))
					return
				}
			} else if !yield(app, err) {
				return
			}
		}
	}
}

// maxStrangers bounds how many apps are looked at that are no releases.
const maxStrangers = 20

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Of returns the release of a version. Error: *ReleaseError.
func (r Releases) Of(version string) (found apps.Registration, err error) {
	n := 0
	for _, app := range r.Apps {
		if apps.Version(app.App) == version {
			found = app
			n++
		}
	}
	switch n {
	case 0:
		return found, r.problem(version, "there is no release of version "+version)
	case 1:
		return found, nil
	}
	return found, r.problem(version, fmt.Sprintf("%d apps are of version %s", n, version))
}

func (r Releases) problem(version, problem string) error {
	e := &ReleaseError{Line: r.Line, Version: version, Problem: problem, Chain: r.chain}
	for _, app := range r.Apps {
		e.Known = append(e.Known, apps.Version(app.App))
	}
	return e
}

// Publish finds the order by which a release is sold under these terms, of the first
// generation that was not closed or sold out. What else is on sale stays. Errors: those of
// [World.OnSale] and [orders.Opened].
func (w World) Publish(ctx context.Context, line Line, app apps.Registration, terms orders.Terms) (Change, error) {
	c, err := w.reopen(ctx, line, app, terms)
	c.Later = Next{Line: line, Version: apps.Version(app.App), App: app.Address}.later(c.End, time.Time{})
	for _, sale := range c.End {
		c.Stay = append(c.Stay, Staying{sale, "it was not asked for"})
	}
	c.End = nil
	return c, err
}

// Rollback finds what it takes that of a line's orders the one of a release that was is on
// sale, and no other. An order that mrelease did not make stays unless foreign ones are
// asked for. Errors: as for [World.Publish].
func (w World) Rollback(ctx context.Context, line Line, to apps.Registration, terms orders.Terms, foreign bool) (Change, error) {
	c, err := w.reopen(ctx, line, to, terms)
	all := c.End
	c.End = nil
	for _, sale := range all {
		if !sale.Own && !foreign {
			c.Stay = append(c.Stay, Staying{sale, "mrelease did not make it; --foreign ends it, or order close"})
		} else {
			c.End = append(c.End, sale)
		}
	}
	return c, err
}

// reopen finds an app's order, and as End all others of the line.
func (w World) reopen(ctx context.Context, line Line, app apps.Registration, terms orders.Terms) (Change, error) {
	order, generation, err := orders.Opened(ctx, w.Chain, app.Address, terms)
	if err != nil {
		return Change{}, err
	}
	sales, err := w.OnSale(ctx, line.Owner)
	return Opening{App: app, Order: order, Hash: order.Hash(w.Chain.Domain()), Generation: generation}.instead(line, sales), err
}

// instead is the change by which an order is on sale in the place of others of a line.
func (o Opening) instead(line Line, sales []Sale) Change {
	c := Change{Open: &o}
	for _, sale := range sales {
		switch {
		case sale.Hash == o.Hash:
			o.There = true
		case line.has(sale.App) && !sale.isOver():
			c.End = append(c.End, sale)
		}
	}
	return c
}

// Close finds the orders of a wallet that have these hashes: in the market, else among the
// known ones. Of one that came to its end already nothing is to be done. Errors:
// *orders.NotOfferedError for one that is nowhere, and those of [World.OnSale].
func (w World) Close(ctx context.Context, wallet common.Address, hashes []common.Hash, known []poco.SignedAppOrder) (c Change, err error) {
	sales, err := w.everywhere(ctx, wallet, known)
	if err != nil {
		return c, err
	}
	for _, hash := range hashes {
		i := slices.IndexFunc(sales, func(s Sale) bool { return s.Hash == hash })
		switch {
		case i >= 0 && sales[i].isOver():
		case i >= 0:
			c.End = append(c.End, sales[i])
		default:
			if err := w.isEnded(ctx, hash); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// everywhere is OnSale, and known orders that the market does not list.
func (w World) everywhere(ctx context.Context, wallet common.Address, known []poco.SignedAppOrder) ([]Sale, error) {
	listed, err := w.Market.OnSale(ctx, wallet)
	if err != nil {
		return nil, err
	}
	listed = append(listed, unlisted(known, w.Chain.Domain(), listed)...)
	return w.read(ctx, wallet, listed)
}

// isEnded reports whether the market has an order that is not listed, as one that ended.
func (w World) isEnded(ctx context.Context, hash common.Hash) error {
	there, err := market.Find[poco.SignedAppOrder](ctx, w.Market, hash)
	if err != nil {
		return err
	}
	if there == nil || there.Order.AppPrice == nil {
		return &orders.NotOfferedError{Hash: hash, Market: w.Market.Node()}
	}
	left, err := node.Remaining(ctx, w.Chain, there.Order.AppOrder)
	if err == nil && (there.Order.Hash(w.Chain.Domain()) != hash || left.Sign() > 0) {
		err = &orders.NotOfferedError{Hash: hash, Market: w.Market.Node()}
	}
	return err
}

// Renew puts into a release's record the order by which it is on sale now, and has the
// wallet sign it. A record that has that order already stays as it is.
func (w World) Renew(ctx context.Context, r *record.Record, wallet node.Wallet, o Opening) (changed bool, err error) {
	if r.Order.Hash == o.Hash {
		return false, nil
	}
	signed, err := orders.Sign(ctx, w.Chain.Domain(), wallet, o.Order)
	if err != nil {
		return false, err
	}
	r.Order = record.Order{Hash: o.Hash, Signed: signed}
	return true, r.Sign(ctx, wallet)
}
