package node

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"golang.org/x/sync/errgroup"
)

// turn is what one caller wants done with one wallet: acts that are sent one after the
// other. What several callers want while a block is waited for is sent together, with
// consecutive nonces, so that they share the next block.
type turn struct {
	ctx    context.Context // of the caller: when it ends, what of it is not sent yet is not
	wallet Wallet
	all    []*sent

	receipts []*types.Receipt
	err      error
	served   bool
	again    bool // nothing of it was sent: one before it failed, whose nonce may be taken or not, or has to be paid first
}

// turns are those that wait.
type turns struct {
	mu  sync.Mutex
	all []*turn
}

func (q *turns) add(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = append(q.all, t)
}

// maxTogether is how many callers' acts are sent before a block is waited for. Nodes keep at
// least 16 transactions of a wallet for the next block, and mostly 64.
const maxTogether = 16

// take takes out the first turns of a wallet.
func (q *turns) take(of common.Address) (taken []*turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all = slices.DeleteFunc(q.all, func(t *turn) bool {
		takes := t.wallet.Address == of && len(taken) < maxTogether
		if takes {
			taken = append(taken, t)
		}
		return takes
	})
	return taken
}

// act does acts once, with consecutive nonces. Of several callers the first does it for all
// that wait with it; none of them is told of what becomes of the others, unless it is that
// what was sent before left the chain and cannot be sent again.
func (c *Client) act(ctx context.Context, w Wallet, acts []act) ([]*types.Receipt, error) {
	for {
		t := &turn{ctx: ctx, wallet: w}
		for _, a := range acts {
			t.all = append(t.all, &sent{act: a, wallet: w})
		}
		c.waiting.add(t)
		if c.serveUntil(t); !t.again {
			return t.receipts, t.err
		}
	}
}

// serveUntil waits until a turn was served, and serves while nobody else does.
func (c *Client) serveUntil(t *turn) {
	c.acting.Lock()
	defer c.acting.Unlock()
	for !t.served {
		c.serve(c.waiting.take(t.wallet.Address))
	}
}

// serve does what the turns want, all of one wallet.
func (c *Client) serve(all []*turn) {
	ctx, cancel := untilAllGo(all)
	defer cancel()
	if err := c.send(ctx, all); err != nil {
		for _, t := range all {
			t.err = err
		}
	} else {
		c.followTurns(all)
	}
	for _, t := range all {
		t.served = true
	}
}

// untilAllGo returns a context that ends when those of all callers have.
func untilAllGo(all []*turn) (context.Context, context.CancelFunc) {
	if len(all) == 1 {
		return context.WithCancel(all[0].ctx)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(all[0].ctx))
	var left sync.WaitGroup
	var stops []func() bool
	for _, t := range all {
		left.Add(1)
		stops = append(stops, context.AfterFunc(t.ctx, left.Done))
	}
	go func() { left.Wait(); cancel() }()
	return ctx, func() {
		cancel()
		for _, stop := range stops {
			if stop() {
				left.Done()
			}
		}
	}
}

// send sends what can be sent. Its error is that of all turns; else each has its own.
func (c *Client) send(ctx context.Context, all []*turn) error {
	if err := c.recheck(ctx); err != nil {
		return err
	}
	from := all[0].wallet.Address
	nonce, _, err := c.settled(ctx, from)
	if err != nil {
		return err
	}
	balance, err := c.prepare(ctx, from, all)
	if err != nil {
		return err
	}
	for i, t := range all {
		if t.err != nil || t.again {
			continue
		}
		if nonce, err = c.sendTurn(t, nonce, balance); err != nil {
			t.err = err
			for _, later := range all[i+1:] {
				later.again = later.err == nil
			}
			return nil
		}
	}
	return nil
}

// sendTurn signs and sends a turn's acts, and returns the next nonce. What was not signed is
// the turn's own error, and took no nonce.
func (c *Client) sendTurn(t *turn, nonce uint64, balance *big.Int) (uint64, error) {
	for _, s := range t.all {
		s.nonce = nonce
		if t.err = c.sign(t.ctx, s, s.first); t.err != nil {
			return nonce, nil
		}
		c.nodes.say("%s: transaction %s, nonce %d, up to %s coins (%d gas); the wallet has %s", s.method, s.newest().Hash(), s.nonce, Coins(s.first.reserve(s.gas)), s.gas, Coins(balance))
		if err := c.submit(t.ctx, s); err != nil {
			return nonce, err
		}
		nonce++
	}
	return nonce, nil
}

// prepare tries what is to be sent, and finds what it takes. A turn that would be reverted,
// or that the wallet cannot pay for, has its error; one that it cannot pay for beside those
// before it has its turn after them. The error that is returned is that of all.
func (c *Client) prepare(ctx context.Context, from common.Address, all []*turn) (balance *big.Int, err error) {
	var first offer
	group, asked := errgroup.WithContext(ctx)
	group.Go(func() (err error) { first, err = c.offer(asked); return err })
	group.Go(func() (err error) { balance, err = c.Balance(asked, from); return err })
	for _, t := range all {
		group.Go(func() error { t.err = c.try(t); return nil })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	needs := new(big.Int)
	for _, t := range all {
		if t.err != nil {
			continue
		}
		own := t.reserve(first)
		switch together := new(big.Int).Add(needs, own); {
		case balance.Cmp(together) >= 0:
			needs = together
		case balance.Cmp(own) >= 0: // what is reserved for those before it may be left over
			t.again = true
		default:
			t.err = &FundsError{from, balance, c.Name, fmt.Errorf("up to %s wei are needed", own)}
		}
	}
	return balance, nil
}

// try tries the acts of a turn.
func (c *Client) try(t *turn) error {
	group, asked := errgroup.WithContext(t.ctx)
	for _, s := range t.all {
		group.Go(func() error { return c.simulate(asked, s.act) })
		group.Go(func() (err error) { s.gas, err = c.estimate(asked, s.act); return err })
	}
	return group.Wait()
}

// reserve is what the acts cost at most with an offer.
func (t *turn) reserve(first offer) *big.Int {
	needs := new(big.Int)
	for _, s := range t.all {
		s.first = first
		needs.Add(needs, first.reserve(s.gas))
		if s.wei != nil {
			needs.Add(needs, s.wei)
		}
	}
	return needs
}

// followTurns follows what was sent, and judges how it ended.
func (c *Client) followTurns(all []*turn) {
	var group sync.WaitGroup
	for _, t := range all {
		if t.err == nil && !t.again {
			group.Go(func() { t.receipts, t.err = c.followAll(t) })
		}
	}
	group.Wait()
	for _, t := range all {
		if t.receipts != nil {
			c.sent = append(c.sent, t.all...)
		}
	}
}

// followAll follows the acts of a turn.
func (c *Client) followAll(t *turn) ([]*types.Receipt, error) {
	receipts := make([]*types.Receipt, len(t.all))
	group, following := errgroup.WithContext(t.ctx)
	for i, s := range t.all {
		group.Go(func() (err error) {
			receipts[i], err = c.follow(following, s)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for i, s := range t.all {
		if err := c.judge(t.ctx, s, receipts[i]); err != nil {
			return receipts, err
		}
	}
	return receipts, nil
}
