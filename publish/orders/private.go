package orders

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Private returns an order for one run of the app that nobody but its owner can buy, at
// no price: what one pays to oneself would have to be staked, and shows nothing. A round
// after the first one, which is 0, is another order. Its salt makes it the same on every
// machine:
//
//	salt = keccak256("mrelease private apporder v1" ‖ round, 8 bytes big-endian ‖ hash of the order with salt 0, in its domain)
func Private(d poco.Domain, app, owner common.Address, tag poco.Tag, round uint64) poco.AppOrder {
	order := poco.AppOrder{App: app, AppPrice: new(big.Int), Volume: big.NewInt(1), Tag: tag, RequesterRestrict: owner}
	unsalted := order.Hash(d)
	order.Salt = crypto.Keccak256Hash([]byte("mrelease private apporder v1"), binary.BigEndian.AppendUint64(nil, round), unsalted[:])
	return order
}

// Close closes an order on chain, for good, as the app's owner: nobody can buy runs of it
// any more, wherever it is kept. An order without runs, closed or sold, is left as it is.
// What the hub says of it is read back.
//
// Errors: *node.OrderError when runs are left all the same, *node.FundsError,
// *node.RPCError, also when the wallet does not own the app.
func Close(ctx context.Context, c *node.Client, w node.Wallet, order poco.AppOrder) (closed bool, err error) {
	left, err := settled(ctx, c, w.Address, order)
	if err != nil || left.Sign() <= 0 {
		return false, err
	}
	_, sending := c.Send(ctx, w, c.HubContract(), "manageAppOrder", order.Closing())
	// A parallel run may have closed it first: what counts is what the hub says.
	if left, err = settled(ctx, c, w.Address, order); err != nil {
		return false, err
	}
	switch {
	case left.Sign() <= 0:
		return sending == nil, nil
	case sending != nil:
		return false, fmt.Errorf("closing order: %w", sending)
	}
	return false, &node.OrderError{Hash: order.Hash(c.Domain()), Problem: "was closed, and has runs left on chain", Got: left.String() + " remaining", Want: "none", Where: c.Name}
}

// settled asks for the runs that are left, once the wallet's transactions are in blocks
// when there seem to be some: an earlier run may have sent the one that closes the order.
func settled(ctx context.Context, c *node.Client, wallet common.Address, order poco.AppOrder) (*big.Int, error) {
	left, err := node.Remaining(ctx, c, order)
	if err != nil || left.Sign() <= 0 {
		return left, err
	}
	waited, err := c.Settle(ctx, wallet)
	if err != nil || !waited {
		return left, err
	}
	return node.Remaining(ctx, c, order)
}
