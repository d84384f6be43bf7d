package node

import (
	"context"
	"fmt"
	"time"
)

// UnmadeError says that transactions are in blocks, and that what they do is not done.
type UnmadeError struct {
	What  string
	Left  int // transactions that would do it
	Chain string
}

// Error implements error.
func (e *UnmadeError) Error() string {
	return fmt.Sprintf("%s: its transactions are in blocks, and %s shows nothing of %d", e.What, e.Chain, e.Left)
}

// Evidence returns what is read on the chain.
func (e *UnmadeError) Evidence() [][2]string {
	return [][2]string{{"expected", e.What}, {"actual", "not done"}, {"where", e.Chain}}
}

// Until sends the transactions that are left to be made, as left says, together, and
// reads back that none is. An earlier run may have sent them, and other jobs of the wallet
// may do the same at the same time: what they did is not done again. sent tells how many
// this call made.
//
// Errors: those of left, *RevertedError, *UnmadeError, *FundsError, *FeeError, *RPCError.
func (c *Client) Until(ctx context.Context, w Wallet, what string, left func(context.Context) ([]Transaction, error)) (sent int, err error) {
	all, err := left(ctx)
	if err == nil && len(all) > 0 { // an earlier run may have sent them
		all, err = c.afterwards(ctx, w, left)
	}
	for range maxUntil {
		if err != nil || len(all) == 0 {
			return sent, err
		}
		sending := c.SendAll(ctx, w, all)
		if sending == nil {
			still, err := c.untilSeen(ctx, what, left)
			if err == nil && len(still) > 0 {
				err = &UnmadeError{what, len(still), c.Name}
			}
			return sent + len(all) - len(still), err
		}
		// A parallel run may have done it first, or taken the nonce.
		if all, err = c.afterwards(ctx, w, left); err == nil && len(all) > 0 && !NonceTaken(sending) {
			return sent, fmt.Errorf("%s: %w", what, sending)
		}
	}
	return sent, fmt.Errorf("%s: other transactions of %s took every nonce, %d times", what, w.Payer().Address, maxUntil)
}

// maxUntil bounds how often transactions are sent whose nonces other jobs take.
const maxUntil = 5

// afterwards asks what is left once the payer's transactions are in blocks.
func (c *Client) afterwards(ctx context.Context, w Wallet, left func(context.Context) ([]Transaction, error)) ([]Transaction, error) {
	if _, err := c.Settle(ctx, w.Payer().Address); err != nil {
		return nil, err
	}
	return left(ctx)
}

// untilSeen asks what is left for some seconds: a node behind a provider's address may lag
// behind the one that had the block.
func (c *Client) untilSeen(ctx context.Context, what string, left func(context.Context) ([]Transaction, error)) ([]Transaction, error) {
	all, err := left(ctx)
	for pause := 250 * time.Millisecond; err == nil && len(all) > 0 && pause <= 2*time.Second; pause *= 2 {
		select {
		case <-ctx.Done():
			return all, fmt.Errorf("reading back: %s: %w", what, ctx.Err())
		case <-time.After(pause):
		}
		all, err = left(ctx)
	}
	return all, err
}
