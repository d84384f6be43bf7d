package groups

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// What the hub looks for: GROUPMEMBER_PURPOSE of PoCo, and ERC-734's number for a key of
// elliptic curves, which addresses are.
const (
	member = 4
	ecdsa  = 1
)

// Error says that a wallet cannot change who is in a group.
type Error struct {
	Group   common.Address
	Problem string
	Chain   string
	cure    string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("group %s: %s", e.Group, e.Problem) }

// Evidence returns which group, and where it is.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"group", e.Group.Hex()}, {"problem", e.Problem}, {"where", e.Chain}}
}

// Remedy is what the group's manager is to do.
func (e *Error) Remedy() string { return e.cure }

// Change is whether an app is to be in a group.
type Change struct {
	Group common.Address
	In    bool // it is to be; else it is not
}

// Key is what a group knows an app by.
func Key(app common.Address) common.Hash { return common.BytesToHash(app[:]) }

func contract(group common.Address) node.Contract {
	return node.Contract{Address: group, ABI: poco.GroupABI()}
}

// Transaction is the call that makes the change of an app.
func (c Change) Transaction(app common.Address) node.Transaction {
	t := node.Transaction{Contract: contract(c.Group), Method: "removeKey", Args: []any{Key(app), big.NewInt(member)}}
	if c.In {
		t.Method, t.Args = "addKey", append(t.Args, big.NewInt(ecdsa))
	}
	return t
}

// isDone asks the group. A group that does not answer is an *Error.
func (c Change) isDone(ctx context.Context, n *node.Client, app common.Address) (bool, error) {
	in, err := node.Call[bool](ctx, n, contract(c.Group), "keyHasPurpose", Key(app), big.NewInt(member))
	if failed := new(node.RPCError); errors.As(err, &failed) && failed.LacksMethod() {
		return false, &Error{c.Group, fmt.Sprintf("it is no ERC-734 contract: %v", failed.Err), n.Name, "correct app.groups"}
	}
	return in == c.In, err
}

// Left returns of changes those that an app needs still. Errors: *Error for what is no
// group, *node.RPCError.
func Left(ctx context.Context, n *node.Client, app common.Address, all []Change) (left []Change, err error) {
	for _, c := range all {
		done, err := c.isDone(ctx, n, app)
		if err != nil {
			return nil, err
		}
		if !done {
			left = append(left, c)
		}
	}
	return left, nil
}

// Check asks each group whether it lets a wallet make a change, and says what all cost. An
// app that is not there yet may stand for any. Errors: *Error, *node.RPCError.
func Check(ctx context.Context, n *node.Client, wallet, app common.Address, all []Change) (cost node.Cost, err error) {
	for _, c := range all {
		t := c.Transaction(app)
		one, err := n.Estimate(ctx, wallet, t.Contract, t.Method, t.Args...)
		if failed, ok := errors.AsType[*node.RevertedError](err); ok {
			return cost, &Error{c.Group, fmt.Sprintf("it does not let the wallet %s change who is in it: %s", wallet, failed.Reason), n.Name,
				"have its manager give the wallet a key of purpose 1 (management) there, or leave the group out of app.groups"}
		}
		if err != nil {
			return cost, err
		}
		cost = cost.Plus(one)
	}
	return cost, nil
}

// Make makes changes of an app, and reads them back. What is so already stays so. Errors:
// those of [Left], *node.RevertedError, *node.UnmadeError, *node.FundsError, *node.RPCError.
func Make(ctx context.Context, n *node.Client, w node.Wallet, app common.Address, all []Change) (transactions int, err error) {
	return n.Until(ctx, w, "changing the groups of app "+app.Hex(), func(ctx context.Context) (ts []node.Transaction, err error) {
		left, err := Left(ctx, n, app, all)
		for _, c := range left {
			ts = append(ts, c.Transaction(app))
		}
		return ts, err
	})
}

// Confirm asks whether changes of an app are made. Errors: those of [Left], and an *Error if
// one is not.
func Confirm(ctx context.Context, n *node.Client, app common.Address, all []Change) error {
	left, err := Left(ctx, n, app, all)
	if err == nil && len(left) > 0 {
		state := "it has the app"
		if left[0].In {
			state = "it does not have the app"
		}
		err = &Error{left[0].Group, state + " " + app.Hex(), n.Name, "run the same command again; if it stays so, ask who else manages the group"}
	}
	return err
}
