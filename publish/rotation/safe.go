package rotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/record"
)

// Shelf is where the orders of a contract are found, of which no market has a list: in the
// records beside the images of its apps.
type Shelf struct {
	record.World
	Repository name.Repository   // of the images that are looked at
	Tell       func(text string) // what is not looked at
}

// Line returns the records of a line's releases whose orders the owner presigned. Only of
// images in the shelf's repository: anybody can register an app in the owner's name, and
// would name a registry to wait for. Errors: those of [apps.Owned] and [record.Presigned].
func (s Shelf) Line(ctx context.Context, line Line) (all []record.Record, err error) {
	elsewhere := 0
	for reg, err := range apps.Owned(ctx, s.Chain, line.Owner, bounds.Fleet) {
		if err != nil && reg.Address == (common.Address{}) {
			return nil, err
		}
		image, imageErr := record.ImageOf(reg.App)
		switch {
		case err == nil && reg.App.Name != line.Name:
			continue
		case err != nil, imageErr != nil, image.Context().Name() != s.Repository.Name():
			elsewhere++
			continue
		}
		known, err := s.Of(ctx, reg)
		if err != nil {
			return nil, err
		}
		all = append(all, known...)
	}
	if elsewhere > 0 {
		s.Tell(fmt.Sprintf("old order not looked for of %s in the owner's name that cannot be read, or whose image is in another repository: it stays on sale if there is one", printable.Count(elsewhere, "app")))
	}
	return all, nil
}

// Of returns those of one app.
func (s Shelf) Of(ctx context.Context, reg apps.Registration) ([]record.Record, error) {
	return s.beside(ctx, reg, record.Presigned)
}

// All returns of one app also those that the owner did not presign yet.
func (s Shelf) All(ctx context.Context, reg apps.Registration) ([]record.Record, error) {
	return s.beside(ctx, reg, record.Presignable)
}

func (s Shelf) beside(ctx context.Context, reg apps.Registration, read func(context.Context, record.World, apps.Registration) ([]record.Record, string, error)) (all []record.Record, err error) {
	var aside string
	err = bounds.Within(ctx, bounds.OneOfFleet, "looking for the records of "+reg.Address.Hex(), func(ctx context.Context) (err error) {
		all, aside, err = read(ctx, s.World, reg)
		return err
	})
	if err == nil && aside != "" {
		s.Tell(fmt.Sprintf("old order of app %s: not all records beside its image are read: %s", reg.Address, aside))
	}
	return all, err
}

// RollbackPresigned is [World.Rollback] to an order that a contract presigns, with the orders
// of the line that it presigned: no market lists them. Errors: those of [World.OnSale].
func (w World) RollbackPresigned(ctx context.Context, line Line, to Opening, known []poco.SignedAppOrder) (Change, error) {
	sales, err := w.everywhere(ctx, line.Owner, known)
	return to.instead(line, sales), err
}

// RevokePresigned finds the orders by which a contract sells a release, or may: of what
// records have also what is not presigned, for a file that asks for that may be executed
// later, and an order that is closed stays closed. Errors: those of [World.OnSale].
func (w World) RevokePresigned(ctx context.Context, owner common.Address, app apps.Registration, records []record.Record) (c Change, err error) {
	sales, err := w.OnSale(ctx, owner)
	if err != nil {
		return c, err
	}
	sales = slices.DeleteFunc(sales, func(s Sale) bool { return s.Order.App != app.Address })
	for _, o := range unlisted(Presigned(w.Chain.Domain(), owner, records), w.Chain.Domain(), nil) {
		if o.Order.App != app.Address || slices.ContainsFunc(sales, func(s Sale) bool { return s.Hash == o.Hash }) {
			continue
		}
		left, err := node.Remaining(ctx, w.Chain, o.Order.AppOrder)
		if err != nil {
			return c, err
		}
		sales = append(sales, Sale{Hash: o.Hash, Order: o.Order, Left: left, App: app.App, Own: true})
	}
	c.End = slices.DeleteFunc(sales, Sale.isOver)
	return c, nil
}

// ConfirmPresigned is [World.Confirm] of a contract's orders: what it opened is presigned and
// has runs left, and what it ended has none. Errors: *UnretiredError, *node.OrderError, and
// those of [apps.Lookup].
func (w World) ConfirmPresigned(ctx context.Context, owner common.Address, c Change) error {
	group, ctx := errgroup.WithContext(ctx)
	if o := c.Open; o != nil {
		group.Go(func() error {
			_, err := apps.Lookup(ctx, w.Chain, o.App.App)
			return err
		})
		group.Go(func() error {
			_, err := node.CheckOrder(ctx, w.Chain, poco.SignedAppOrder{AppOrder: o.Order}, owner)
			return err
		})
	}
	group.Go(func() error { return w.confirmEnded(ctx, owner, c.End) })
	return group.Wait()
}
