package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// sent is an act of a wallet with one nonce. Its transactions differ in what they offer.
type sent struct {
	act
	wallet      Wallet
	nonce, gas  uint64
	first, last offer
	txs         []*types.Transaction
	since       time.Time // the newest was sent
	receipt     *types.Receipt
	missed      int // how often in a row no node had it
	gap         int // how often in a row it waited for a nonce that nobody has
}

func (s *sent) newest() *types.Transaction { return s.txs[len(s.txs)-1] }

// Waiting.
const (
	// waitLimit bounds the wait for a block; Bellecour seals one in 5 s, Arbitrum
	// several in a second.
	waitLimit = 5 * time.Minute
	// replaceAfter is the patience with a transaction, unless the client's is another.
	replaceAfter = 45 * time.Second
	// missedLimit is how often no node may have a transaction before it is sent again,
	// or given up when its nonce is another's; gapLimit how often it may wait for one
	// that nobody has.
	missedLimit, gapLimit = 3, 7
)

// follow waits until a transaction of an act is in a block that is deep enough. One that nodes forget, or whose block leaves the chain, is sent again; one that
// no block takes is replaced. Errors: *RPCError, of a *NonceError among others.
func (c *Client) follow(ctx context.Context, s *sent) (receipt *types.Receipt, err error) {
	for {
		if receipt, err = c.included(ctx, s); err != nil {
			return nil, err
		}
		deep, err := c.buried(ctx, receipt)
		if err != nil {
			return nil, err
		}
		if deep {
			break
		}
		c.left(s, receipt)
	}
	s.receipt = receipt
	return receipt, nil
}

// left is what is done when the block of an act left the chain.
func (c *Client) left(s *sent, receipt *types.Receipt) {
	c.nodes.gone(receipt.BlockNumber.Uint64())
	c.nodes.say("%s: the block of transaction %s left the chain: waiting for another", s.method, receipt.TxHash)
	s.since = time.Now()
}

// included waits until a transaction of an act is in a block.
func (c *Client) included(ctx context.Context, s *sent) (receipt *types.Receipt, err error) {
	what := "waiting for transaction " + s.newest().Hash().Hex()
	err = c.poll(ctx, what, func(ctx context.Context) (done bool, err error) {
		if receipt, err = c.find(ctx, s); err != nil || receipt != nil {
			return receipt != nil, err
		}
		return c.pursue(ctx, s)
	})
	return receipt, err
}

// find looks for a block with one of an act's transactions, which is in the chain; nil
// when there is none.
func (c *Client) find(ctx context.Context, s *sent) (*types.Receipt, error) {
	for _, tx := range slices.Backward(s.txs) {
		receipt, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*types.Receipt, error) { return n.TransactionReceipt(ctx, tx.Hash()) })
		if errors.Is(err, ethereum.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		canonical, err := c.canonical(ctx, receipt)
		if err != nil {
			return nil, err
		}
		if canonical {
			c.nodes.reached(receipt.BlockNumber.Uint64())
			return receipt, nil
		}
	}
	return nil, nil
}

// canonical reports whether a receipt's block is in the chain.
func (c *Client) canonical(ctx context.Context, receipt *types.Receipt) (bool, error) {
	at, err := c.block(ctx, receipt.BlockNumber.Uint64())
	if errors.Is(err, ethereum.NotFound) {
		return false, nil // the chain is shorter now
	}
	return err == nil && at.Hash == receipt.BlockHash, err
}

// buried waits until a block is as deep as the chain's profile asks for, and reports
// whether it is in the chain then.
func (c *Client) buried(ctx context.Context, receipt *types.Receipt) (stands bool, err error) {
	want := max(c.Confirmations, 1) // its own block is the first
	if want == 1 {
		return c.shown(ctx, receipt)
	}
	act := fmt.Sprintf("waiting until block %d is %d deep", receipt.BlockNumber, want)
	c.nodes.say("transaction %s is in block %d: waiting until that is %d deep", receipt.TxHash, receipt.BlockNumber, want)
	for {
		var head *block
		err := c.poll(ctx, act, func(ctx context.Context) (done bool, err error) {
			if head, err = c.head(ctx); err == nil {
				stands, err = c.canonical(ctx, receipt)
			}
			return err == nil, err
		})
		if err != nil || !stands || uint64(head.Number)+1 >= receipt.BlockNumber.Uint64()+want {
			return stands, err
		}
		if err := c.nextBlock(ctx, head); err != nil {
			return false, err
		}
	}
}

// shown waits until what is read shows a block: a node tells of a receipt a moment before
// its state is the block's. It reports whether the block is in the chain then.
func (c *Client) shown(ctx context.Context, receipt *types.Receipt) (stands bool, err error) {
	act := fmt.Sprintf("waiting for the state of block %d", receipt.BlockNumber)
	err = c.poll(ctx, act, func(ctx context.Context) (done bool, err error) {
		head, err := c.head(ctx)
		if err != nil {
			return false, err
		}
		if stands = uint64(head.Number) >= receipt.BlockNumber.Uint64(); stands {
			return true, nil
		}
		stands, err = c.canonical(ctx, receipt)
		return err == nil && !stands, err
	})
	return stands, err
}

// nextBlock waits until the chain's last block is another one.
func (c *Client) nextBlock(ctx context.Context, last *block) error {
	return c.poll(ctx, fmt.Sprintf("waiting for the block after %d", last.Number), func(ctx context.Context) (bool, error) {
		head, err := c.head(ctx)
		return err == nil && head.Hash != last.Hash, err
	})
}

// pursue does what is to be done about an act that is in no block.
func (c *Client) pursue(ctx context.Context, s *sent) (done bool, err error) {
	pending, err := c.known(ctx, s.newest().Hash())
	if err != nil && !errors.Is(err, ethereum.NotFound) {
		return false, err
	}
	if err != nil {
		return c.missing(ctx, s)
	}
	s.missed = 0
	if !pending {
		return false, errors.New("the node has the transaction, and not yet its receipt")
	}
	if gone, err := c.behindGap(ctx, s); gone || err != nil {
		return gone, err
	}
	patience := c.Patience
	if patience == 0 {
		patience = replaceAfter
	}
	if time.Since(s.since) < patience || len(s.txs) > maxReplacements {
		return false, errors.New("no block has taken it")
	}
	return c.replace(ctx, s)
}

// missing sends a transaction again that the node does not have, unless its nonce went to
// another one.
func (c *Client) missing(ctx context.Context, s *sent) (done bool, err error) {
	mined, err := ask(ctx, c.nodes, func(n *ethclient.Client) (uint64, error) { return n.NonceAt(ctx, s.from, nil) })
	if err != nil {
		return false, err
	}
	if s.missed++; s.missed < missedLimit {
		return false, errors.New("the node does not have it")
	}
	s.missed = 0
	if mined > s.nonce {
		return true, c.rpcError("sending "+s.method, &NonceError{Tx: s.newest().Hash(), Nonce: s.nonce, Taken: true})
	}
	c.nodes.say("%s: the node lost transaction %s: sending it again", s.method, s.newest().Hash())
	s.since = time.Now()
	err = c.submit(ctx, s)
	return NonceTaken(err), err
}

// behindGap finds a transaction that can get into no block, since one of a lower nonce is
// missing: the node gave a nonce that was too high.
func (c *Client) behindGap(ctx context.Context, s *sent) (bool, error) {
	next, err := ask(ctx, c.nodes, func(n *ethclient.Client) (uint64, error) { return n.PendingNonceAt(ctx, s.from) })
	if err != nil {
		return false, err
	}
	if next >= s.nonce { // equal at nodes that do not count what waits
		s.gap = 0
		return false, nil
	}
	if s.gap++; s.gap < gapLimit {
		return false, fmt.Errorf("the node waits for the nonce %d first", next)
	}
	return true, c.rpcError("sending "+s.method, &NonceError{Tx: s.newest().Hash(), Nonce: s.nonce, Next: next})
}

// replace sends the same act with the same nonce for more, if the ceiling and the wallet
// allow it.
func (c *Client) replace(ctx context.Context, s *sent) (done bool, err error) {
	now, err := c.offer(ctx)
	if err != nil {
		return false, err
	}
	up, can := s.last.raised(now, c.ceiling(s.first))
	if !can {
		return false, errors.New("no block has taken it, and it may not offer more")
	}
	balance, err := c.Balance(ctx, s.from)
	if err != nil {
		return false, err
	}
	if balance.Cmp(up.reserve(s.gas)) < 0 {
		return false, errors.New("no block has taken it, and the wallet cannot offer more")
	}
	old := s.newest().Hash()
	if err := c.sign(ctx, s, up); err != nil {
		return true, err
	}
	c.nodes.say("%s: no block has taken transaction %s: replacing it by %s, which offers up to %s coins", s.method, old, s.newest().Hash(), Coins(up.reserve(s.gas)))
	if err := c.submit(ctx, s); err != nil {
		// The one before may be in a block by now, or the node asks for more still: it is
		// looked for either way. So is this one, unless a node refused it: only the answer
		// may have been lost.
		s.since = time.Now()
		if refused := rpc.Error(nil); errors.As(err, &refused) {
			s.txs = s.txs[:len(s.txs)-1]
		}
		return false, err
	}
	return false, errors.New("it was replaced just now")
}

// recheck looks whether what this client sent is still in the chain: blocks may have left
// it since. What is not is waited for, or sent again.
func (c *Client) recheck(ctx context.Context) error {
	seen := map[common.Hash]bool{} // of several transactions in one block it is asked once
	for _, s := range slices.Clone(c.sent) {
		if seen[s.receipt.BlockHash] {
			continue
		}
		stands, err := c.canonical(ctx, s.receipt)
		if err != nil {
			return err
		}
		if stands {
			seen[s.receipt.BlockHash] = true
			continue
		}
		c.left(s, s.receipt)
		receipt, err := c.follow(ctx, s)
		if err == nil {
			err = c.judge(ctx, s, receipt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Stands returns the receipt of a transaction that this client sent and that is in the
// chain now: its block may have left the chain, and the transaction may have been
// replaced. It is for whoever is about to do what cannot be undone. The receipt is nil for
// a transaction of somebody else. Errors: those of [Client.Send].
func (c *Client) Stands(ctx context.Context, tx common.Hash) (*types.Receipt, error) {
	c.acting.Lock()
	defer c.acting.Unlock()
	if err := c.recheck(ctx); err != nil {
		return nil, err
	}
	for _, s := range c.sent {
		if slices.ContainsFunc(s.txs, func(t *types.Transaction) bool { return t.Hash() == tx }) {
			return s.receipt, nil
		}
	}
	return nil, nil
}

// Settle waits until all transactions of an account that the nodes have are in
// blocks, and reports whether any was not. What this client sent is waited for by whoever
// sent it.
func (c *Client) Settle(ctx context.Context, account common.Address) (waited bool, err error) {
	c.acting.Lock()
	defer c.acting.Unlock()
	_, waited, err = c.settled(ctx, account)
	return waited, err
}

// settled is Settle, and returns the nonce of the next transaction, which all nodes agree
// on.
func (c *Client) settled(ctx context.Context, account common.Address) (nonce uint64, waited bool, err error) {
	act := "waiting for the pending transactions of " + account.Hex()
	differ := time.Now()
	err = c.poll(ctx, act, func(ctx context.Context) (done bool, err error) {
		mined, pending, err := c.survey(ctx, account)
		var split *WrongChainError
		var behind *lateError
		if (errors.As(err, &split) || errors.As(err, &behind)) && time.Since(differ) < agreeLimit {
			return false, err
		}
		if err != nil {
			return true, err
		}
		differ, nonce = time.Now(), mined
		if mined < pending {
			waited = true
			return false, fmt.Errorf("%d of %d are in blocks", mined, pending)
		}
		return true, nil
	})
	return nonce, waited, err
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
