package market

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// CheckOrder is [node.CheckOrder], and asks the market which end an order without
// runs came to.
func CheckOrder(ctx context.Context, c *node.Client, m Client, order poco.SignedAppOrder, owner common.Address) (left *big.Int, err error) {
	left, err = node.CheckOrder(ctx, c, order, owner)
	return left, m.whichEnd(ctx, err)
}

// CheckOpen is [node.CheckOpen], likewise.
func CheckOpen(ctx context.Context, c *node.Client, m Client, order poco.AppOrder) error {
	return m.whichEnd(ctx, node.CheckOpen(ctx, c, order))
}

// Runs says how many runs of an open order are left: of what the market and the chain
// say, the least.
func Runs(left *big.Int, inMarket uint64) string {
	market := new(big.Int).SetUint64(inMarket)
	least, aside := left, ""
	if market.Cmp(left) < 0 {
		least = market
	}
	if market.Cmp(left) != 0 {
		aside = fmt.Sprintf(" (the market says %s, the chain %s)", market, left)
	}
	if least.Cmp(big.NewInt(1)) == 0 {
		return "1 run remaining" + aside
	}
	return fmt.Sprintf("%s runs remaining%s", least, aside)
}

// whichEnd tells an order that was sold out from one that was cancelled, as far as
// the market knows: it may lag behind the chain, or not have the order.
func (m Client) whichEnd(ctx context.Context, err error) error {
	var spent *node.OrderError
	if !errors.As(err, &spent) || spent.State != node.Spent {
		return err
	}
	there, asking := Find[poco.SignedAppOrder](ctx, m, spent.Hash)
	if asking != nil || there == nil || there.Hash != spent.Hash {
		return err
	}
	if state, words := end(there); state == node.SoldOut || state == node.Cancelled {
		spent.State, spent.Problem = state, words
	}
	return err
}

// CheckEnd refuses an order that came to its end in the market.
func CheckEnd[T Signed](m Client, there *Order[T]) error {
	state, words := end(there)
	if state == "" && there.Status == StatusOpen {
		return nil
	}
	return &node.OrderError{
		Hash: there.Hash, State: state, Problem: words + ", the market says",
		Got: fmt.Sprintf("%s, %d remaining", there.Status, there.Remaining), Want: string(StatusOpen), Where: redact.URL(m.URL),
	}
}

// end returns the end that an order came to, in words too.
func end[T Signed](o *Order[T]) (node.OrderState, string) {
	switch {
	case o.Status == StatusCanceled:
		return node.Cancelled, "was cancelled on chain"
	case o.Status == StatusDead:
		return node.Dead, "is dead: the app had another owner since it was published"
	case o.Status == StatusFilled, o.Status == StatusOpen && o.Remaining == 0:
		return node.SoldOut, "is sold out"
	}
	return "", "has a status that nobody knows"
}
