package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/mrelease/mrelease/poco"
)

// Send makes a transaction and waits until it is in a block. A transaction that
// reverts is an error.
func (c *Client) Send(ctx context.Context, w Wallet, contract Contract, method string, args ...any) (*types.Receipt, error) {
	return c.Pay(ctx, w, nil, contract, method, args...)
}

// Pay is Send with coins for the contract, in wei.
func (c *Client) Pay(ctx context.Context, w Wallet, wei *big.Int, contract Contract, method string, args ...any) (*types.Receipt, error) {
	opts := bind.NewKeyedTransactor(w.key, new(big.Int).SetUint64(c.ID))
	opts.Context = ctx
	if c.Fees == poco.FeesLegacy {
		opts.GasPrice = new(big.Int)
	}
	opts.NoSend, opts.Value = true, wei
	tx, err := c.bind(contract).Transact(opts, method, args...)
	if err == nil {
		err = c.submit(ctx, tx)
	}
	if err != nil {
		return nil, c.sendError(ctx, w, method, err)
	}
	receipt, err := c.wait(ctx, tx.Hash())
	if err != nil {
		return nil, err
	}
	if receipt.Status != types.ReceiptStatusSuccessful {
		return receipt, c.rpcError(method, fmt.Errorf("transaction %s reverted in block %s", tx.Hash(), receipt.BlockNumber))
	}
	return receipt, nil
}

// submit hands a transaction to the node. The answer may be lost, and a parallel
// run may have sent the very same transaction: what counts is that the node has
// it.
func (c *Client) submit(ctx context.Context, tx *types.Transaction) error {
	err := c.backend.SendTransaction(ctx, tx)
	if err == nil {
		return nil
	}
	if _, _, unknown := c.backend.TransactionByHash(ctx, tx.Hash()); unknown == nil {
		return nil
	}
	return err
}

// NonceTaken reports whether a node refused a transaction because of another
// one of the same wallet. The words are those of every node's transaction pool.
func NonceTaken(err error) bool {
	for _, words := range []string{"nonce too low", "replacement transaction underpriced", "already known"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// sendError tells a wallet without funds from the rest. JSON-RPC has no code
// for it: the words are those of every node's transaction pool.
func (c *Client) sendError(ctx context.Context, w Wallet, method string, err error) error {
	if !strings.Contains(err.Error(), "insufficient funds") && !strings.Contains(err.Error(), "gas required exceeds allowance (0)") {
		return c.rpcError("sending "+method, err)
	}
	balance, balanceErr := c.backend.BalanceAt(ctx, w.Address, nil)
	if balanceErr != nil {
		return c.rpcError("sending "+method, errors.Join(err, balanceErr))
	}
	return &FundsError{w.Address, balance, c.Name, err}
}

// waitLimit bounds the wait for a block; Bellecour seals one in 5 s, Arbitrum
// several in a second.
const waitLimit = 5 * time.Minute

// wait polls for a receipt. A node that fails to answer is asked again.
func (c *Client) wait(ctx context.Context, tx common.Hash) (receipt *types.Receipt, err error) {
	err = c.poll(ctx, "waiting for transaction "+tx.Hex(), func(ctx context.Context) (done bool, err error) {
		receipt, err = c.backend.TransactionReceipt(ctx, tx)
		return err == nil, err
	})
	return receipt, err
}

// Settle waits until all transactions of an account that the node has are in
// blocks, and reports whether any was not.
func (c *Client) Settle(ctx context.Context, account common.Address) (waited bool, err error) {
	act := "waiting for the pending transactions of " + account.Hex()
	err = c.poll(ctx, act, func(ctx context.Context) (done bool, err error) {
		sent, err := c.backend.PendingNonceAt(ctx, account)
		if err != nil {
			return true, c.rpcError(act, err)
		}
		mined, err := c.backend.NonceAt(ctx, account, nil)
		if err != nil {
			return true, c.rpcError(act, err)
		}
		if mined < sent {
			waited = true
			return false, fmt.Errorf("%d of %d are in blocks", mined, sent)
		}
		return true, nil
	})
	return waited, err
}

// poll tries until it is done: soon again at first, for chains that seal at
// once, and every two seconds later on.
func (c *Client) poll(ctx context.Context, act string, try func(context.Context) (done bool, err error)) error {
	limited, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		done, err := try(limited)
		if done {
			return err
		}
		select {
		case <-limited.Done():
			return c.rpcError(act, errors.Join(limited.Err(), err))
		case <-time.After(pause):
		}
	}
}
