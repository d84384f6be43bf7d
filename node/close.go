package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"
)

// parallel is how many requests of one look a node gets at the same time.
const parallel = 16

// Closable is an order that who signed it can close.
type Closable interface {
	Order
	Closing() (method string, argument any) // the hub's method for that
}

func closing(c *Client, order Closable) Transaction {
	method, argument := order.Closing()
	return Transaction{Contract: c.HubContract(), Method: method, Args: []any{argument}}
}

// EstimateClose returns what closing an order would cost, without doing it. Errors:
// *RevertedError, *RPCError.
func EstimateClose(ctx context.Context, c *Client, owner common.Address, order Closable) (Cost, error) {
	t := closing(c, order)
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

// Close closes an order on chain, for good, as who signed it: nobody can match what is
// left of it, wherever it is kept. It is [CloseAll] of one order.
func Close(ctx context.Context, c *Client, w Wallet, order Closable) (closed bool, err error) {
	n, err := CloseAll(ctx, c, w, []Closable{order})
	return n > 0, err
}

// CloseAll closes orders of a wallet on chain, for good, in the time of one block, and
// reads back that no runs of them are left. What is closed already, or sold out, stays
// so: closed tells how many this call closed. Other jobs of the
// wallet may do the same at the same time.
//
// Errors: *RevertedError when an order is not the wallet's to close, *UnclosedError,
// *FundsError, *RPCError.
func CloseAll(ctx context.Context, c *Client, w Wallet, all []Closable) (closed int, err error) {
	left, err := open(ctx, c, all)
	if err == nil && len(left) > 0 { // an earlier run may have sent what closes them
		left, err = settled(ctx, c, w, left)
	}
	for range maxCloses {
		if err != nil || len(left) == 0 {
			return closed, err
		}
		var transactions []Transaction
		for _, order := range left {
			transactions = append(transactions, closing(c, order))
		}
		sending := c.SendAll(ctx, w, transactions)
		if sending == nil {
			still, err := stillOpen(ctx, c, left)
			if err == nil && len(still) > 0 {
				err = &UnclosedError{still[0].Hash(c.Domain()), c.Name}
			}
			return closed + len(left) - len(still), err
		}
		// A parallel run may have closed them first, or taken the nonce.
		if left, err = settled(ctx, c, w, left); err == nil && len(left) > 0 && !NonceTaken(sending) {
			return closed, fmt.Errorf("closing orders: %w", sending)
		}
	}
	return closed, fmt.Errorf("closing orders: other transactions of %s took every nonce, %d times", w.Address, maxCloses)
}

// maxCloses bounds how often orders are closed whose nonces other jobs take.
const maxCloses = 5

// settled returns the orders that have runs left once the wallet's transactions are in
// blocks.
func settled(ctx context.Context, c *Client, w Wallet, all []Closable) ([]Closable, error) {
	if _, err := c.Settle(ctx, w.Address); err != nil {
		return nil, err
	}
	return open(ctx, c, all)
}

// open returns those of the orders that have runs left.
func open(ctx context.Context, c *Client, all []Closable) (open []Closable, err error) {
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
func stillOpen(ctx context.Context, c *Client, all []Closable) (left []Closable, err error) {
	left, err = open(ctx, c, all)
	for pause := 250 * time.Millisecond; err == nil && len(left) > 0 && pause <= 2*time.Second; pause *= 2 {
		select {
		case <-ctx.Done():
			return left, fmt.Errorf("reading back closed orders: %w", ctx.Err())
		case <-time.After(pause):
		}
		left, err = open(ctx, c, left)
	}
	return left, err
}
