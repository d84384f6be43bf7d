package node

import (
	"context"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// OrderState is the end that an order came to.
type OrderState string

// The ends that have a name. The chain keeps one number for an order that was sold
// out and for one that was cancelled, so it tells only that no runs are left; the
// market knows which it was.
const (
	Spent     OrderState = "spent" // sold out or cancelled
	SoldOut   OrderState = "sold out"
	Cancelled OrderState = "cancelled"
	Dead      OrderState = "dead" // in the market, for the app had another owner for a while
)

// OrderError says that an order cannot be matched: it came to an end, or is not the
// order that was expected.
type OrderError struct {
	Hash      common.Hash
	State     OrderState // empty: not the one that was expected
	Problem   string
	Got, Want string
	Where     string // the chain's name, or the market's host
}

func (e *OrderError) Error() string { return fmt.Sprintf("order %s %s", e.Hash, e.Problem) }

// Evidence returns both values.
func (e *OrderError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.Where}}
}

// CheckOrder asks the hub whether an order can be matched: the signature is the
// owner's, and the volume is not consumed. Its error is an *OrderError if not.
func CheckOrder(ctx context.Context, c *Client, order poco.SignedAppOrder, owner common.Address) error {
	signed, err := IsSigned(ctx, c, order, owner)
	if err != nil {
		return err
	}
	if !signed {
		return &OrderError{order.Hash(c.Domain()), "", "is not signed by the app's owner", fmt.Sprintf("signature 0x%x", order.Sign), "a signature of " + owner.Hex(), c.Name}
	}
	return CheckOpen(ctx, c, order.AppOrder)
}

// IsSigned asks the hub whether it takes an order's signature for somebody's. Error:
// *RPCError.
func IsSigned(ctx context.Context, c *Client, order poco.SignedAppOrder, by common.Address) (bool, error) {
	valid, err := Call[bool](ctx, c, c.HubContract(), "verifySignature", by, order.Hash(c.Domain()), order.Sign)
	if err != nil && strings.Contains(err.Error(), "revert") { // as the hub does for a malformed signature
		return false, nil
	}
	return valid, err
}

// CheckOpen asks the hub whether runs of an order are left, whoever signed it.
// Its error is an *OrderError if not.
func CheckOpen(ctx context.Context, c *Client, order poco.AppOrder) error {
	left, err := Remaining(ctx, c, order)
	if err != nil {
		return err
	}
	if left.Sign() <= 0 {
		consumed := new(big.Int).Sub(order.Volume, left)
		return &OrderError{order.Hash(c.Domain()), Spent, "has no runs left on chain: it was sold out or cancelled", "consumed " + consumed.String(), "less than " + order.Volume.String(), c.Name}
	}
	return nil
}

// Remaining asks the hub how many runs of an order are left. A closed order has none.
// Error: *RPCError.
func Remaining(ctx context.Context, c *Client, order poco.AppOrder) (*big.Int, error) {
	consumed, err := Consumed(ctx, c, order.Hash(c.Domain()))
	if err != nil {
		return nil, err
	}
	return new(big.Int).Sub(order.Volume, consumed), nil
}

// Consumed asks the hub how many runs of an order, of whatever kind, were matched: all of
// them for one that was closed. Error: *RPCError.
func Consumed(ctx context.Context, c *Client, order common.Hash) (*big.Int, error) {
	return Call[*big.Int](ctx, c, c.HubContract(), "viewConsumed", order)
}

// IsAllowed asks whether somebody is who an order's restriction means: anybody for the zero
// address, else that address, or a member of the group contract there. Error: *RPCError.
func IsAllowed(ctx context.Context, c *Client, restriction, who common.Address) (bool, error) {
	if restriction == (common.Address{}) || restriction == who {
		return true, nil
	}
	const member = 4 // GROUPMEMBER_PURPOSE of the hub
	group := Contract{restriction, poco.GroupABI()}
	var out []any
	err := c.bind(group).Call(c.callOpts(ctx), &out, "keyHasPurpose", common.BytesToHash(who[:]), big.NewInt(member))
	if unreachable(err) {
		return false, c.rpcError("calling keyHasPurpose", err)
	}
	if err != nil { // no contract, or no group: the hub takes it for a no, too
		return false, nil
	}
	is, _ := out[0].(bool)
	return is, nil
}

// Closable is an order that who signed it can close: its argument of the hub's method for
// that, which is given by name.
type Closable interface {
	Hash(d poco.Domain) common.Hash
	Closing() any
}

// Close closes an order on chain, for good: nobody can match what is left of it, wherever
// it is kept. One without runs, closed or sold, is left as it is. What the hub says of it
// is read back.
//
// Errors: *OrderError when runs are left all the same, *FundsError, *RPCError, also when
// the wallet may not close it.
func Close(ctx context.Context, c *Client, w Wallet, method string, order Closable, volume *big.Int) (closed bool, err error) {
	hash := order.Hash(c.Domain())
	left, err := settled(ctx, c, w.Address, hash, volume)
	if err != nil || left.Sign() <= 0 {
		return false, err
	}
	_, sending := c.Send(ctx, w, c.HubContract(), method, order.Closing())
	// A parallel run may have closed it first: what counts is what the hub says.
	if left, err = settled(ctx, c, w.Address, hash, volume); err != nil {
		return false, err
	}
	switch {
	case left.Sign() <= 0:
		return sending == nil, nil
	case sending != nil:
		return false, fmt.Errorf("closing order: %w", sending)
	}
	return false, &OrderError{Hash: hash, Problem: "was closed, and has runs left on chain", Got: left.String() + " remaining", Want: "none", Where: c.Name}
}

// settled asks for the runs that are left, once the wallet's transactions are in blocks
// when there seem to be some: an earlier run may have sent the one that closes the order.
func settled(ctx context.Context, c *Client, wallet common.Address, hash common.Hash, volume *big.Int) (*big.Int, error) {
	for {
		consumed, err := Consumed(ctx, c, hash)
		if err != nil {
			return nil, err
		}
		left := new(big.Int).Sub(volume, consumed)
		if left.Sign() <= 0 {
			return left, nil
		}
		if waited, err := c.Settle(ctx, wallet); err != nil || !waited {
			return left, err
		}
	}
}
