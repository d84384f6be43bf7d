package node

import (
	"context"
	"errors"
	"fmt"

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
	left := all // what is closed stays closed
	closed, err = c.Until(ctx, w, "closing orders", func(ctx context.Context) (transactions []Transaction, err error) {
		if left, err = open(ctx, c, left); err != nil {
			return nil, err
		}
		for _, order := range left {
			t, err := signedClosing(ctx, c, w, order)
			if err != nil {
				return nil, err
			}
			transactions = append(transactions, t)
		}
		return transactions, nil
	})
	if _, unmade := errors.AsType[*UnmadeError](err); unmade {
		err = &UnclosedError{left[0].Hash(c.Domain()), c.Name}
	}
	return closed, err
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
