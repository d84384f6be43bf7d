package names

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Error says that a name cannot be made to lead to an app by a wallet.
type Error struct {
	Name, Problem string
	Chain         string
	cure          string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("name %s: %s", e.Name, e.Problem) }

// Evidence returns which name, and where it was looked for.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"name", e.Name}, {"problem", e.Problem}, {"where", e.Chain}}
}

// Remedy is how the wallet gets to have the name.
func (e *Error) Remedy() string { return e.cure }

// Lead is where a name leads, and by which contracts.
type Lead struct {
	Name string
	At   common.Address // zero: nowhere

	chain    *node.Client
	hash     common.Hash
	owner    common.Address // of the name
	resolver node.Contract
	reverse  common.Address // the registrar of reverse records; zero: there is none
}

// Look asks where a name leads. Errors: *Error for one that nobody has, or that has no
// resolver, and on a chain without names; *node.RPCError.
func Look(ctx context.Context, c *node.Client, name string) (Lead, error) {
	l := Lead{Name: name, chain: c}
	if c.ENS == (common.Address{}) {
		return l, l.error("the chain has no registry of names", "leave out app.ens, or name the registry in chains.<name>.ens")
	}
	var err error
	if l.hash, err = poco.NameHash(name); err != nil {
		return l, l.error(err.Error(), "correct app.ens")
	}
	reverse, err := poco.NameHash("addr.reverse")
	if err != nil {
		return l, err
	}
	registry := node.Contract{Address: c.ENS, ABI: poco.ENSABI()}
	owner, resolver := &node.Question{Contract: registry, Method: "owner", Args: []any{l.hash}}, &node.Question{Contract: registry, Method: "resolver", Args: []any{l.hash}}
	registrar := &node.Question{Contract: registry, Method: "owner", Args: []any{reverse}}
	c.Ask(ctx, owner, resolver, registrar)
	l.resolver.ABI = poco.ENSABI()
	for q, into := range map[*node.Question]*common.Address{owner: &l.owner, resolver: &l.resolver.Address, registrar: &l.reverse} {
		if *into, err = node.Answer[common.Address](q); err != nil {
			return l, err
		}
	}
	switch {
	case l.owner == common.Address{}:
		return l, l.error("nobody has it", "register it with the wallet: "+l.registers())
	case l.resolver.Address == common.Address{}:
		return l, l.error("it has no resolver", "give it one: "+l.registers())
	}
	l.At, err = node.Call[common.Address](ctx, c, l.resolver, "addr", l.hash)
	if failed := new(node.RPCError); errors.As(err, &failed) && failed.LacksMethod() { // it is whatever the name's owner chose
		return l, l.error(fmt.Sprintf("its resolver %s has no address for it: %v", l.resolver.Address, failed.Err), "give it iExec's resolver: "+l.registers())
	}
	return l, err
}

// registers is the command of iExec's program that makes a name the wallet's, with a
// resolver.
func (l Lead) registers() string {
	label, domain, _ := strings.Cut(l.Name, ".")
	return fmt.Sprintf("iexec ens register %s --domain %s --chain %s", label, domain, l.chain.Name)
}

// Resolver is the contract that says where the name leads.
func (l Lead) Resolver() common.Address { return l.resolver.Address }

// Hash is the name's node (EIP-137).
func (l Lead) Hash() common.Hash { return l.hash }

func (l Lead) error(problem, cure string) error { return &Error{l.Name, problem, l.chain.Name, cure} }

// Check asks the resolver whether it lets a wallet change where the name leads, and says
// what that costs: with the app's reverse record, unless to is zero and the name is to lead
// nowhere. An app that is not there yet may stand for any. Errors: *Error, *node.RPCError.
func (l Lead) Check(ctx context.Context, wallet, to common.Address) (cost node.Cost, transactions int, err error) {
	if l.At != to {
		if cost, err = l.chain.Estimate(ctx, wallet, l.resolver, "setAddr", l.hash, to); err != nil {
			return cost, 0, l.refused(err, wallet)
		}
		transactions++
	}
	if to == (common.Address{}) {
		return cost, transactions, nil
	}
	named, err := l.names(ctx, to)
	if err != nil || named || l.reverse == (common.Address{}) {
		return cost, transactions, err
	}
	// As the app would do it, which may not be there.
	record, err := l.chain.Estimate(ctx, to, node.Contract{Address: l.reverse, ABI: poco.ENSABI()}, "setName", l.Name)
	if isRevert(err) {
		return cost, transactions, nil // it is told when it is tried
	}
	if err != nil {
		return cost, transactions, err
	}
	record.Gas += throughApp
	return cost.Plus(record), transactions + 1, nil
}

// throughApp is what a call through an app takes beside what the app then calls: the proxy,
// and the look at who owns it.
const throughApp = 60_000

// refused says that a wallet may not change the name.
func (l Lead) refused(err error, wallet common.Address) error {
	if !isRevert(err) {
		return err
	}
	return l.error(fmt.Sprintf("it belongs to %s, and its resolver %s does not let the wallet %s change it", l.owner, l.resolver.Address, wallet),
		"have its owner give it to the wallet, or allow the wallet at the resolver; or choose another name in app.ens")
}

func isRevert(err error) bool {
	_, ok := errors.AsType[*node.RevertedError](err)
	return ok
}

// names reports whether an app's reverse record is the name.
func (l Lead) names(ctx context.Context, app common.Address) (bool, error) {
	hash, err := poco.NameHash(strings.ToLower(app.Hex()[2:]) + ".addr.reverse")
	if err != nil {
		return false, err
	}
	registry := node.Contract{Address: l.chain.ENS, ABI: poco.ENSABI()}
	resolver, err := node.Call[common.Address](ctx, l.chain, registry, "resolver", hash)
	if err != nil || resolver == (common.Address{}) {
		return false, err
	}
	name, err := node.Call[string](ctx, l.chain, node.Contract{Address: resolver, ABI: poco.ENSABI()}, "name", hash)
	if failed := new(node.RPCError); errors.As(err, &failed) && failed.LacksMethod() {
		return false, nil
	}
	return name == l.Name, err
}

// Moved is what became of a name.
type Moved struct {
	Transactions int // of this call
	// Unnamed is why the app's reverse record is not the name; empty when it is, or when
	// the name is to lead nowhere.
	Unnamed string
}

// Move has a name lead to an app of the wallet, and the app's reverse record to the name;
// nowhere for the zero address. What is so already stays so. A chain on which apps take no
// reverse record, as Arbitrum's, leaves it out. Errors: those of [Look], *node.RevertedError,
// *node.UnmadeError, *node.FundsError, *node.RPCError.
func Move(ctx context.Context, c *node.Client, w node.Wallet, name string, to common.Address) (done Moved, err error) {
	done.Transactions, err = c.Until(ctx, w, "leading name "+name, func(ctx context.Context) ([]node.Transaction, error) {
		l, err := Look(ctx, c, name)
		if err != nil {
			return nil, err
		}
		var left []node.Transaction
		if l.At != to {
			left = append(left, node.Transaction{Contract: l.resolver, Method: "setAddr", Args: []any{l.hash, to}})
		}
		record, unnamed, err := l.record(ctx, w.Address, to)
		done.Unnamed = unnamed
		return append(left, record...), err
	})
	return done, err
}

// record is the transaction that gives an app its reverse record, if it is to be sent, or
// why it cannot be.
func (l Lead) record(ctx context.Context, wallet, app common.Address) (left []node.Transaction, unnamed string, err error) {
	if app == (common.Address{}) {
		return nil, "", nil
	}
	if l.reverse == (common.Address{}) {
		return nil, "the chain has no registrar of reverse records", nil
	}
	named, err := l.names(ctx, app)
	if err != nil || named {
		return nil, "", err
	}
	t := node.Transaction{Contract: node.Contract{Address: app, ABI: poco.AppABI()}, Method: "setName", Args: []any{l.chain.ENS, l.Name}}
	_, err = l.chain.Estimate(ctx, wallet, t.Contract, t.Method, t.Args...)
	if failed, ok := errors.AsType[*node.RevertedError](err); ok {
		return nil, "the app refuses it: " + failed.Reason, nil
	}
	return []node.Transaction{t}, "", err
}

// Confirm asks whether a name leads to an app; nowhere for the zero address. Errors: those of
// [Look], and an *Error if it does not.
func Confirm(ctx context.Context, c *node.Client, name string, to common.Address) error {
	l, err := Look(ctx, c, name)
	if err == nil && l.At != to {
		err = l.error(fmt.Sprintf("it leads to %s, and not to %s", place(l.At), place(to)), "run the same command again; if it stays so, ask who else may change the name")
	}
	return err
}

func place(at common.Address) string {
	if at == (common.Address{}) {
		return "nothing"
	}
	return at.Hex()
}
