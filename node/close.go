package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/poco"
)

// parallel is how many requests of one look a node gets at the same time.
const parallel = 16

func (c *Client) closing(order poco.AppOrder) Transaction {
	return Transaction{c.HubContract(), "manageAppOrder", []any{order.Closing()}}
}

// EstimateClose returns what closing an order would cost, without doing it. Errors:
// *RevertedError, *RPCError.
func EstimateClose(ctx context.Context, c *Client, owner common.Address, order poco.AppOrder) (Cost, error) {
	t := c.closing(order)
	return c.Estimate(ctx, owner, t.Contract, t.Method, t.Args...)
}

// UnclosedError says that a transaction that closes an order is in a block, and runs of
// the order are left all the same.
type UnclosedError struct {
	Hash  common.Hash
	Chain string
}

func (e *UnclosedError) Error() string {
	return fmt.Sprintf("order %s was closed, and %s says that runs of it are left", e.Hash, e.Chain)
}

// Evidence returns what is read on the chain.
func (e *UnclosedError) Evidence() [][2]string {
	return [][2]string{{"expected", "all of the volume of " + e.Hash.Hex() + " consumed"}, {"actual", "runs are left"}, {"where", e.Chain}}
}

// CloseOrders closes orders of a wallet's apps on chain, for good, and reads back that no
// runs of them are left. What is closed already, or sold out, stays so: closed tells how
// many this call closed. Other jobs of the wallet may do the same at the same time.
//
// Errors: *RevertedError when an app is not the wallet's, *UnclosedError, *FundsError,
// *RPCError.
func CloseOrders(ctx context.Context, c *Client, w Wallet, all []poco.AppOrder) (closed int, err error) {
	left, err := c.open(ctx, all)
	for range maxCloses {
		if err != nil || len(left) == 0 {
			return closed, err
		}
		var transactions []Transaction
		for _, order := range left {
			transactions = append(transactions, c.closing(order))
		}
		sending := c.SendAll(ctx, w, transactions)
		before := len(left)
		if left, err = c.stillOpen(ctx, left, sending == nil); err != nil {
			return closed, err
		}
		if closed += before - len(left); sending == nil && len(left) > 0 {
			return closed, &UnclosedError{left[0].Hash(c.Domain()), c.Name}
		}
		if sending != nil && len(left) > 0 && !NonceTaken(sending) {
			return closed, sending
		}
		if sending != nil { // transactions of another job, or of this one, may still be on their way
			if _, err = c.Settle(ctx, w.Address); err == nil {
				left, err = c.open(ctx, left)
			}
		}
	}
	return closed, fmt.Errorf("closing orders: other transactions of %s took every nonce, %d times", w.Address, maxCloses)
}

// maxCloses bounds how often orders are closed whose nonces other jobs take.
const maxCloses = 5

// open returns those of the orders that have runs left.
func (c *Client) open(ctx context.Context, all []poco.AppOrder) (open []poco.AppOrder, err error) {
	has := make([]bool, len(all))
	group, asking := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, order := range all {
		group.Go(func() error {
			left, err := Remaining(asking, c, order)
			has[i] = err == nil && left.Sign() > 0
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, order := range all {
		if has[i] {
			open = append(open, order)
		}
	}
	return open, nil
}

// stillOpen is open for orders that were closed: a node behind a provider's address may
// lag behind the one that had the block.
func (c *Client) stillOpen(ctx context.Context, all []poco.AppOrder, closed bool) (open []poco.AppOrder, err error) {
	open, err = c.open(ctx, all)
	for pause := 250 * time.Millisecond; closed && err == nil && len(open) > 0 && pause <= 2*time.Second; pause *= 2 {
		select {
		case <-ctx.Done():
			return open, c.rpcError("reading back closed orders", ctx.Err())
		case <-time.After(pause):
		}
		open, err = c.open(ctx, open)
	}
	return open, err
}
