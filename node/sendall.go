package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/poco"
)

// Transaction is a call of a contract's method that changes the chain.
type Transaction struct {
	Contract Contract
	Method   string
	Args     []any
}

// RevertedError says that a contract refuses a transaction. It was tried on the node
// and not sent.
type RevertedError struct {
	Method string
	Reason string // the contract's words, or the node's
	URL    string // of the node: scheme and host
	Err    error  // *RPCError
}

func (e *RevertedError) Error() string {
	return fmt.Sprintf("the contract refuses %s: %s", e.Method, e.Reason)
}

// Unwrap returns the node's error.
func (e *RevertedError) Unwrap() error { return e.Err }

// Evidence returns the call and the reason.
func (e *RevertedError) Evidence() [][2]string {
	return [][2]string{{"call", e.Method}, {"reason", e.Reason}, {"where", e.URL}}
}

// reverted returns why a contract refused a call. Nodes answer with the data that the
// contract reverted with, in which Solidity writes its reason; not all put that into
// words. It is nil for an error of another kind.
func (c *Client) reverted(method string, err error) error {
	var answer rpc.DataError
	if !errors.As(err, &answer) {
		return nil
	}
	reason := answer.Error()
	text, ok := answer.ErrorData().(string)
	if !ok {
		return nil
	}
	data, decoding := hexutil.Decode(text)
	if decoding != nil {
		return nil
	}
	if said, unpacking := abi.UnpackRevert(data); unpacking == nil {
		reason = said
	}
	return &RevertedError{method, reason, c.Node(), c.rpcError("trying "+method, err)}
}

// SendAll makes transactions that do not depend on each other, one after the other with
// consecutive nonces, and then waits until all are in blocks: so they take as long as
// one. Each is tried before any is sent. A transaction that reverts all the same is an
// error.
//
// Errors: *RevertedError, *FundsError, *RPCError; see [NonceTaken].
func (c *Client) SendAll(ctx context.Context, w Wallet, all []Transaction) error {
	gas, err := c.try(ctx, w, all)
	if err != nil {
		return err
	}
	nonce, err := c.backend.PendingNonceAt(ctx, w.Address)
	if err != nil {
		return c.rpcError("asking for the nonce", err)
	}
	var sent []*types.Transaction
	for i, t := range all {
		tx, err := c.sendAs(ctx, w, t, nonce+uint64(i), gas[i])
		if err != nil {
			return err
		}
		sent = append(sent, tx)
	}
	group, ctx := errgroup.WithContext(ctx)
	for i, tx := range sent {
		group.Go(func() error {
			receipt, err := c.wait(ctx, tx.Hash())
			if err == nil && receipt.Status != types.ReceiptStatusSuccessful {
				err = c.rpcError(all[i].Method, fmt.Errorf("transaction %s reverted in block %s", tx.Hash(), receipt.BlockNumber))
			}
			return err
		})
	}
	return group.Wait()
}

// try returns how much gas each of the transactions needs.
func (c *Client) try(ctx context.Context, w Wallet, all []Transaction) ([]uint64, error) {
	gas := make([]uint64, len(all))
	group, trying := errgroup.WithContext(ctx)
	for i, t := range all {
		group.Go(func() error {
			cost, err := c.Estimate(trying, w.Address, t.Contract, t.Method, t.Args...)
			gas[i] = cost.Gas
			return err
		})
	}
	return gas, group.Wait()
}

// sendAs signs a transaction with a nonce and hands it to the node.
func (c *Client) sendAs(ctx context.Context, w Wallet, t Transaction, nonce, gas uint64) (*types.Transaction, error) {
	opts := bind.NewKeyedTransactor(w.key, new(big.Int).SetUint64(c.ID))
	opts.Context, opts.NoSend, opts.Nonce, opts.GasLimit = ctx, true, new(big.Int).SetUint64(nonce), gas
	if c.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	tx, err := c.bind(t.Contract).Transact(opts, t.Method, t.Args...)
	if err == nil {
		err = c.submit(ctx, tx)
	}
	if err != nil {
		return nil, c.sendError(ctx, w, t.Method, err)
	}
	return tx, nil
}
