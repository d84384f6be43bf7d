package request

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Publish puts a request into the market, where workerpools may match it by themselves,
// and reads it back. One that is there already is left as it is: then published is false.
// Errors: *node.OrderError when it came to its end, or another one is in its place;
// *market.Error.
func Publish(ctx context.Context, m market.Client, w node.Wallet, d poco.Domain, o poco.SignedRequestOrder) (published bool, err error) {
	there, err := find(ctx, m, d, o)
	if err != nil || there {
		return false, err
	}
	sending := market.Publish(ctx, m, w, o)
	if there, err = find(ctx, m, d, o); err == nil && !there { // whatever became of the answer
		err = fmt.Errorf("publishing request: %w", errors.Join(sending, absent(sending, m, o.Hash(d))))
	}
	return sending == nil && err == nil, err
}

// absent says that the market took a request and does not have it.
func absent(sending error, m market.Client, hash common.Hash) error {
	if sending != nil {
		return nil
	}
	return &node.OrderError{Hash: hash, Problem: "was taken by the market, which does not have it", Got: "none", Want: "the order", Where: m.Node()}
}

// find reports whether a market has a request, which is open.
func find(ctx context.Context, m market.Client, d poco.Domain, o poco.SignedRequestOrder) (bool, error) {
	hash := o.Hash(d)
	there, err := market.Find[poco.SignedRequestOrder](ctx, m, hash)
	if err != nil || there == nil {
		return false, err
	}
	if there.Hash != hash || !there.Order.Equal(o) {
		return false, &node.OrderError{Hash: hash, Problem: "is another one in the market", Got: there.Order.Hash(d).Hex(), Want: hash.Hex(), Where: m.Node()}
	}
	return true, market.CheckEnd(m, there)
}

// Cancel closes a request on chain, as its requester; see [node.Close].
func Cancel(ctx context.Context, c *node.Client, w node.Wallet, o poco.RequestOrder) (cancelled bool, err error) {
	return node.Close(ctx, c, w, o)
}
