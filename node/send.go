package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// Transaction is a call of a contract's method that changes the chain.
type Transaction struct {
	Contract Contract
	Method   string
	Args     []any
	Wei      *big.Int // coins for the contract; nil: none
}

// act is what a transaction does.
type act struct {
	from     common.Address
	contract Contract
	method   string
	data     []byte
	wei      *big.Int // coins for the contract; nil: none
}

func (a act) call() ethereum.CallMsg {
	return ethereum.CallMsg{From: a.from, To: &a.contract.Address, Data: a.data, Value: a.wei}
}

// maxSends bounds how often an act is tried whose nonce parallel runs take.
const maxSends = 10

// Send makes a transaction of the wallet's payer and waits until it is in a block, and as deep as the chain's
// profile asks for. It waits for the payer's earlier transactions first, looks whether
// those that this client sent are still in the chain, and tries it without sending: what
// would be reverted is not sent. What several goroutines send while a block is waited for
// gets consecutive nonces, and shares the next block. Of several runs with one wallet each finds its nonce: it
// is for what the contract refuses to do twice. For the rest there is [Client.SendAll].
//
// Errors: *RevertedError, also with a receipt; *FundsError, *FeeError, *RPCError.
func (c *Client) Send(ctx context.Context, w Wallet, contract Contract, method string, args ...any) (*types.Receipt, error) {
	data, err := contract.ABI.Pack(method, args...)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", method, err)
	}
	for try := 1; ; try++ {
		receipts, err := c.act(ctx, w.Payer(), []act{{from: w.Payer().Address, contract: contract, method: method, data: data}})
		var nonce *NonceError
		if errors.As(err, &nonce) && nonce.Taken && try < maxSends {
			c.nodes.say("%s: another transaction of the wallet has the nonce %d: trying the next", method, nonce.Nonce)
			continue
		}
		if len(receipts) == 0 {
			return nil, err
		}
		return receipts[0], err
	}
}

// SendAll makes transactions that do not depend on each other, one after the other with
// consecutive nonces, and then waits until all are in blocks: so they take as long as
// one. Each is tried before any is sent. A transaction that reverts all the same is an
// error. In all else it is [Client.Send], but that it ends when a nonce is taken: see
// [NonceTaken].
func (c *Client) SendAll(ctx context.Context, w Wallet, all []Transaction) error {
	acts := make([]act, len(all))
	for i, t := range all {
		data, err := t.Contract.ABI.Pack(t.Method, t.Args...)
		if err != nil {
			return fmt.Errorf("encoding %s: %w", t.Method, err)
		}
		acts[i] = act{from: w.Payer().Address, contract: t.Contract, method: t.Method, data: data, wei: t.Wei}
	}
	_, err := c.act(ctx, w.Payer(), acts)
	return err
}

// simulate makes a call without a transaction, as the wallet. Errors: *RevertedError,
// *RPCError.
func (c *Client) simulate(ctx context.Context, a act) error {
	_, err := reader{c.nodes}.CallContract(ctx, a.call(), nil)
	return c.tried(a, "trying ", err)
}

func (c *Client) estimate(ctx context.Context, a act) (uint64, error) {
	gas, err := ask(ctx, c.nodes, func(n *ethclient.Client) (uint64, error) { return n.EstimateGas(ctx, a.call()) })
	return gas, c.tried(a, "estimating ", err)
}

func (c *Client) tried(a act, what string, err error) error {
	if err == nil {
		return nil
	}
	failed := c.rpcError(what+a.method, err)
	if data, reverted := revertOf(err); reverted {
		return &RevertedError{Method: a.method, Contract: a.contract.Address, Reason: reason(a.contract.ABI, data), Err: failed}
	}
	return failed
}

// judge is the error of a transaction that is in a block and was reverted there. Its
// reason is not in the block: the call is made again, on the chain as it was after it.
func (c *Client) judge(ctx context.Context, s *sent, receipt *types.Receipt) error {
	if receipt.Status == types.ReceiptStatusSuccessful {
		return nil
	}
	e := &RevertedError{Method: s.method, Contract: s.contract.Address, Tx: receipt.TxHash, Block: receipt.BlockNumber.Uint64()}
	_, err := reader{c.nodes}.CallContract(ctx, s.call(), receipt.BlockNumber)
	data, reverted := []byte(nil), false
	if err != nil {
		data, reverted = revertOf(err)
	}
	switch {
	case reverted:
		e.Reason = reason(s.contract.ABI, data)
	case receipt.GasUsed >= s.gas:
		e.Reason = fmt.Sprintf("it used up its %d gas", s.gas)
	default:
		e.Reason = "which cannot be found out any more"
	}
	return e
}

// sign makes the transaction with an offer. Those of one act differ in nothing else, so
// of one nonce only one thing can be done.
func (c *Client) sign(ctx context.Context, s *sent, o offer) error {
	tx, err := s.wallet.SignTransaction(ctx, c.transaction(s, o), c.ID, s.contract.ABI.Methods[s.method].Sig)
	if err != nil {
		return fmt.Errorf("signing %s: %w", s.method, err)
	}
	s.txs, s.last, s.since = append(s.txs, tx), o, time.Now()
	return nil
}

// submit hands the newest transaction to the node. The answer may be lost, and a
// parallel run may have sent the very same transaction: what counts is that a node has
// it. Whether one has it is asked by its hash, which was known before.
func (c *Client) submit(ctx context.Context, s *sent) error {
	tx := s.newest()
	var err, looking error
	for range 2 {
		_, err = ask(ctx, c.nodes, func(n *ethclient.Client) (struct{}, error) {
			return struct{}{}, n.SendTransaction(ctx, tx)
		})
		if err == nil {
			return nil
		}
		if _, looking = c.known(ctx, tx.Hash()); looking == nil || strings.Contains(err.Error(), "already known") {
			return nil
		}
		var refused rpc.Error
		if ctx.Err() != nil || errors.As(err, &refused) {
			break
		}
	}
	// Whose the nonce is now can be said only where this transaction was looked for.
	if takes(err) && errors.Is(looking, ethereum.NotFound) {
		return c.rpcError("sending "+s.method, &NonceError{Tx: tx.Hash(), Nonce: s.nonce, Taken: true, Err: err})
	}
	return c.sendError(ctx, s, err)
}

// known asks for a transaction by its hash. Its error is [ethereum.NotFound] when the
// node does not have it.
func (c *Client) known(ctx context.Context, tx common.Hash) (pending bool, err error) {
	return ask(ctx, c.nodes, func(n *ethclient.Client) (bool, error) {
		_, pending, err := n.TransactionByHash(ctx, tx)
		return pending, err
	})
}

// NonceError says that a transaction cannot get into a block with its nonce.
type NonceError struct {
	Tx    common.Hash
	Nonce uint64
	Taken bool   // by another transaction, so that this one never will; else it waits for earlier ones
	Next  uint64 // unless Taken: the nonce that is waited for
	Err   error  // the node's words, if it refused
}

func (e *NonceError) Error() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Taken:
		return fmt.Sprintf("another transaction of the wallet had the nonce %d before transaction %s", e.Nonce, e.Tx)
	}
	return fmt.Sprintf("transaction %s has the nonce %d, and the nodes know none of nonce %d: the node told a wrong number", e.Tx, e.Nonce, e.Next)
}

// Unwrap returns the node's words.
func (e *NonceError) Unwrap() error { return e.Err }

// NonceTaken reports whether an act failed because of the nonce of its transaction: it
// may be tried again once it was looked for.
func NonceTaken(err error) bool {
	var nonce *NonceError
	return errors.As(err, &nonce)
}

// takes reports whether a node refused a transaction because of another one of the same
// wallet. The words are those of every node's transaction pool.
func takes(err error) bool {
	for _, words := range []string{"nonce too low", "replacement transaction underpriced"} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return false
}

// sendError tells a wallet without funds from the rest. JSON-RPC has no code
// for it: the words are those of every node's transaction pool.
func (c *Client) sendError(ctx context.Context, s *sent, err error) error {
	act := fmt.Sprintf("sending %s (transaction %s)", s.method, s.newest().Hash())
	if !strings.Contains(err.Error(), "insufficient funds") && !strings.Contains(err.Error(), "gas required exceeds allowance (0)") {
		return c.rpcError(act, err)
	}
	balance, balanceErr := c.Balance(ctx, s.from)
	if balanceErr != nil {
		return c.rpcError(act, errors.Join(err, balanceErr))
	}
	return &FundsError{s.from, balance, c.Name, err}
}
