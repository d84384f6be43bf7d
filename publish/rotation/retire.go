package rotation

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
)

// Retire ends sales: on chain first, for an order that is out of the market is not found
// any more by a run that goes on after one that was killed, and then in the market. All is
// read back; what is ended already stays so. changed tells how many orders this call ended
// in one place or the other.
//
// Errors: *node.RevertedError, *node.UnclosedError, *node.FundsError, *node.RPCError,
// *market.StillListedError, *market.Error.
func (w World) Retire(ctx context.Context, wallet node.Wallet, how orders.Retire, sales []Sale) (changed int, err error) {
	closed := 0
	if how == orders.RetireClose {
		if closed, err = w.close(ctx, wallet, sales); err != nil {
			return closed, err
		}
	}
	taken := 0
	for _, s := range sales {
		if s.Since.IsZero() {
			continue
		}
		done, err := w.Market.Unpublish(ctx, wallet, s.Hash)
		if err != nil {
			return max(closed, taken), err
		}
		if done {
			taken++
		}
	}
	return max(closed, taken), nil
}

// close closes orders on chain. Those of an app that was given away meanwhile cannot be
// closed by this wallet, and need not be: the signature is its owner's no more.
func (w World) close(ctx context.Context, wallet node.Wallet, sales []Sale) (closed int, err error) {
	for {
		var open []node.Closable
		for _, s := range sales {
			open = append(open, s.Order.AppOrder)
		}
		n, err := node.CloseAll(ctx, w.Chain, wallet, open)
		closed += n
		var refused *node.RevertedError
		if !errors.As(err, &refused) {
			return closed, err
		}
		kept, looking := w.kept(ctx, wallet, sales)
		if looking != nil {
			return closed, looking
		}
		if len(kept) == len(sales) {
			return closed, err
		}
		sales = kept
	}
}

// kept returns the sales of apps that are still the wallet's.
func (w World) kept(ctx context.Context, wallet node.Wallet, sales []Sale) (kept []Sale, err error) {
	for _, s := range sales {
		app, err := apps.Read(ctx, w.Chain, s.Order.App)
		if err != nil {
			return nil, err
		}
		if app.Owner == wallet.Address {
			kept = append(kept, s)
		}
	}
	return kept, nil
}

// Cost returns what closing these orders would cost who pays, in all. Errors:
// *node.RevertedError, *node.RPCError.
func (w World) Cost(ctx context.Context, payer common.Address, how orders.Retire, sales []Sale) (cost node.Cost, transactions int, err error) {
	for _, s := range sales {
		if how != orders.RetireClose || s.Left.Sign() <= 0 {
			continue
		}
		one, err := node.EstimateClose(ctx, w.Chain, s.App.Owner, payer, s.Order.AppOrder)
		if err != nil {
			return node.Cost{}, 0, err
		}
		cost, transactions = cost.Plus(one), transactions+1
	}
	return cost, transactions, nil
}
