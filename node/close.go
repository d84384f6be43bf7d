package node

import (
	"context"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/poco"
)

// parallel is how many requests of one look a node gets at the same time.
const parallel = 16

// Closable is an order that who signed it can close.
type Closable interface {
	Order
	// Closing returns the hub's method for that, and its argument: with the signature of
	// ClosingData, unless who signed the order sends the transaction too.
	Closing(signature []byte) (method string, argument any)
	ClosingData(d poco.Domain) apitypes.TypedData
}

func closing(c *Client, order Closable, signature []byte) Transaction {
	method, argument := order.Closing(signature)
	return Transaction{Contract: c.HubContract(), Method: method, Args: []any{argument}}
}

// signedClosing has the wallet sign that the order is closed, where another one sends that.
func signedClosing(ctx context.Context, c *Client, w Wallet, order Closable) (t Transaction, err error) {
	var signature []byte
	if w.Payer().Address != w.Address {
		signature, err = w.SignTypedData(ctx, order.ClosingData(c.Domain()))
	}
	return closing(c, order, signature), err
}

// signatureGas is what checking the signature of an operation takes at most, beside what the
// same call of the owner does: in PoCo 5 and 6 some 20,000, most of it for calls of the hub.
const signatureGas = 24_000

// EstimateClose returns what closing an order of an owner would cost who pays, without doing
// it, and without the signature that a payer needs. Errors: *RevertedError, *RPCError.
func EstimateClose(ctx context.Context, c *Client, owner, payer common.Address, order Closable) (Cost, error) {
	t := closing(c, order, nil)
	cost, err := c.Estimate(ctx, owner, t.Contract, t.Method, t.Args...)
	if err != nil || payer == owner {
		return cost, err
	}
	return c.priced(ctx, cost.Gas+signatureGas)
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
			t, err := signedClosing(ctx, c, w, order)
			if err != nil {
				return closed, err
			}
			transactions = append(transactions, t)
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
	return closed, fmt.Errorf("closing orders: other transactions of %s took every nonce, %d times", w.Payer().Address, maxCloses)
}

// maxCloses bounds how often orders are closed whose nonces other jobs take.
const maxCloses = 5

// settled returns the orders that have runs left once the payer's transactions are in
// blocks.
func settled(ctx context.Context, c *Client, w Wallet, all []Closable) ([]Closable, error) {
	if _, err := c.Settle(ctx, w.Payer().Address); err != nil {
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
