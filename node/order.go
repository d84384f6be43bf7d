package node

import (
	"context"
	"errors"
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

// CheckOrder asks the hub whether an order can be matched: the signature is the owner's, or
// without one the owner presigned it, and the volume is not consumed. It returns how many
// runs are left, which is nil only when the hub does not say so. Its error is an *OrderError
// if not.
func CheckOrder(ctx context.Context, c *Client, order poco.SignedAppOrder, owner common.Address) (left *big.Int, err error) {
	hash := order.Hash(c.Domain())
	whose, sold := signedBy(c, hash, order.Sign, owner), soldOf(c, hash)
	c.Ask(ctx, whose, sold)
	consumed, err := Answer[*big.Int](sold)
	if err != nil {
		return nil, err
	}
	left = new(big.Int).Sub(order.Runs(), consumed)
	signed, err := isSigned(whose)
	if err != nil {
		return left, err
	}
	if !signed && len(order.Sign) == 0 {
		return left, &OrderError{hash, "", "is not presigned by the app's owner", "neither a signature nor a transaction of the owner", "a presignature by " + owner.Hex(), c.Name}
	}
	if !signed {
		return left, &OrderError{hash, "", "is not signed by the app's owner", fmt.Sprintf("signature 0x%x", order.Sign), "a signature of " + owner.Hex(), c.Name}
	}
	return left, CheckLeft(c, order.AppOrder, left)
}

// signedBy asks for the signature; where there is none, for the presignature.
func signedBy(c *Client, order common.Hash, signature []byte, by common.Address) *Question {
	if len(signature) == 0 {
		return &Question{Contract: c.HubContract(), Method: "verifyPresignature", Args: []any{by, order}}
	}
	return &Question{Contract: c.HubContract(), Method: "verifySignature", Args: []any{by, order, signature}}
}

func soldOf(c *Client, order common.Hash) *Question {
	return &Question{Contract: c.HubContract(), Method: "viewConsumed", Args: []any{order}}
}

func isSigned(asked *Question) (bool, error) {
	valid, err := Answer[bool](asked)
	if err != nil && strings.Contains(err.Error(), "revert") { // as the hub does for a malformed signature
		return false, nil
	}
	return valid, err
}

// IsSigned asks the hub whether it takes an order's signature for somebody's; of an order
// without one, whether they presigned it. Error: *RPCError.
func IsSigned(ctx context.Context, c *Client, order poco.SignedAppOrder, by common.Address) (bool, error) {
	asked := signedBy(c, order.Hash(c.Domain()), order.Sign, by)
	c.Ask(ctx, asked)
	return isSigned(asked)
}

// IsOf asks the hub whether an order, of whatever kind, is somebody's: signed by them, or
// known to it as theirs without a signature. Error: *RPCError.
func IsOf(ctx context.Context, c *Client, order common.Hash, signature []byte, whose common.Address) (bool, error) {
	is, err := Call[bool](ctx, c, c.HubContract(), "verifyPresignatureOrSignature", whose, order, signature)
	if failed := new(RPCError); errors.As(err, &failed) && failed.IsRevert() { // as for a malformed signature
		return false, nil
	}
	return is, err
}

// CheckOpen asks the hub whether runs of an order are left, whoever signed it.
// Its error is an *OrderError if not.
func CheckOpen(ctx context.Context, c *Client, order poco.AppOrder) error {
	left, err := Remaining(ctx, c, order)
	if err != nil {
		return err
	}
	return CheckLeft(c, order, left)
}

// CheckLeft is [CheckOpen] of an order of which it is known how many runs are left.
func CheckLeft(c *Client, order poco.AppOrder, left *big.Int) error {
	if left.Sign() <= 0 {
		consumed := new(big.Int).Sub(order.Volume, left)
		return &OrderError{order.Hash(c.Domain()), Spent, "has no runs left on chain: it was sold out or cancelled", "consumed " + consumed.String(), "less than " + order.Volume.String(), c.Name}
	}
	return nil
}

// Order is an order of any kind.
type Order interface {
	Hash(d poco.Domain) common.Hash
	Runs() *big.Int // that it is for
}

// Remaining asks the hub how many runs of an order are left. A closed order has none.
// Error: *RPCError.
func Remaining(ctx context.Context, c *Client, order Order) (*big.Int, error) {
	consumed, err := Consumed(ctx, c, order.Hash(c.Domain()))
	if err != nil {
		return nil, err
	}
	return new(big.Int).Sub(order.Runs(), consumed), nil
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
