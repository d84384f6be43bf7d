package rotation

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// UnretiredError says that orders are on sale that were retired.
type UnretiredError struct {
	Sales []Sale
	Chain string
}

func (e *UnretiredError) Error() string {
	return printable.Count(len(e.Sales), "order") + " that was to be retired can be matched still, or is listed"
}

// Evidence returns which.
func (e *UnretiredError) Evidence() (lines [][2]string) {
	for _, s := range e.Sales {
		lines = append(lines, [2]string{"on sale", s.String()})
	}
	return append(lines, [2]string{"where", e.Chain})
}

// Confirm reads on chain and market whether a change of a wallet's orders is done, all at
// the same time: what it opened is on sale, and what it ended is not. Errors:
// *UnretiredError, and those of [apps.Lookup] and [orders.FindOrder].
func (w World) Confirm(ctx context.Context, wallet common.Address, c Change) error {
	group, ctx := errgroup.WithContext(ctx)
	if o := c.Open; o != nil {
		group.Go(func() error {
			_, err := apps.Lookup(ctx, w.Chain, o.App.App)
			return err
		})
		group.Go(func() error { return market.CheckOpen(ctx, w.Chain, w.Market, o.Order) })
		group.Go(func() error {
			if _, err := orders.FindOrder(ctx, w.Chain, w.Market, o.Order); err != nil {
				return err
			}
			return w.Market.CheckListed(ctx, o.Order.App, o.Hash)
		})
	}
	group.Go(func() error { return w.confirmEnded(ctx, wallet, c.End) })
	return group.Wait()
}

// confirmEnded asks of each order how many runs are left on chain, and whether the market
// lists it. One of an app that was given away meanwhile nobody can match.
func (w World) confirmEnded(ctx context.Context, wallet common.Address, ended []Sale) error {
	if len(ended) == 0 {
		return nil
	}
	listed, err := w.Market.OnSale(ctx, wallet)
	if err != nil {
		return err
	}
	alive := make([]bool, len(ended))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, s := range ended {
		alive[i] = slices.ContainsFunc(listed, func(o market.Order[poco.SignedAppOrder]) bool { return o.Hash == s.Hash })
		group.Go(func() error {
			left, err := node.Remaining(ctx, w.Chain, s.Order.AppOrder)
			if err != nil || left.Sign() <= 0 {
				return err
			}
			app, err := apps.Read(ctx, w.Chain, s.Order.App)
			alive[i] = alive[i] || app.Owner == wallet
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	unretired := &UnretiredError{Chain: w.Chain.Name}
	for i, s := range ended {
		if alive[i] {
			unretired.Sales = append(unretired.Sales, s)
		}
	}
	if unretired.Sales != nil {
		return unretired
	}
	return nil
}

// Confirm reads whether the statement is among those about its image. Errors:
// *registry.UnkeptError, *registry.Error.
func (s Statement) Confirm(ctx context.Context, c registry.Client, key signing.Party) error {
	image, err := s.Image()
	if err != nil {
		return err
	}
	said, err := c.Statements(ctx, image, key)
	if err == nil && record.Revoked(said, s.ChainID, common.Address(s.App)) == nil {
		err = &registry.UnkeptError{Repository: image.Repository, Because: fmt.Sprintf("the revocation of %s was written, and is not among the statements about %s", s.Version, image)}
	}
	return err
}
