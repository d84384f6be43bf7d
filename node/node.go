package node

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/poco"
)

// Client is a connection to a deployment of the protocol that was found to be what its profile
// says. It may be used by several goroutines, which share one sequence of nonces.
type Client struct {
	poco.Chain // with AppRegistry as the hub names it
	// Patience is how long a transaction waits for a block before another one of its nonce
	// offers more; 45 s when it is 0.
	Patience time.Duration

	nodes   *nodes
	caller  common.Address // of read-only calls: some nodes refuse calls without a sender
	at      common.Hash    // block that they are about; zero: the last one
	sent    []*sent        // what this client sent, which is in blocks
	acting  sync.Mutex     // held by whoever sends, or asks which nonce is next
	waiting turns          // for whoever sends
}

// RPCError says that a node did not answer, or answered with an error.
type RPCError struct {
	URL string // scheme and host only: the rest may hold an API key
	Act string
	Err error
}

func (e *RPCError) Error() string { return fmt.Sprintf("%s at %s: %v", e.Act, e.URL, e.Err) }

// Unwrap returns the node's error.
func (e *RPCError) Unwrap() error { return e.Err }

// Evidence returns where it happened.
func (e *RPCError) Evidence() [][2]string {
	return [][2]string{{"where", e.URL}, {"act", e.Act}, {"because", e.Err.Error()}}
}

// WrongChainError says that a node, or the contract at the hub's address, is
// not the one that the profile describes.
type WrongChainError struct {
	What      string // "chain id", "hub domain", "app registry"
	Got, Want string
	URL       string
}

func (e *WrongChainError) Error() string {
	return fmt.Sprintf("wrong %s at %s: got %s, want %s", e.What, e.URL, e.Got, e.Want)
}

// Evidence returns both values.
func (e *WrongChainError) Evidence() [][2]string {
	return [][2]string{{"expected " + e.What, e.Want}, {"actual " + e.What, e.Got}, {"where", e.URL}}
}

// NotPoCoError says that the contract at the hub's address does not answer as a
// hub does.
type NotPoCoError struct {
	Hub common.Address
	URL string
	Err error
}

func (e *NotPoCoError) Error() string {
	return fmt.Sprintf("the contract %s at %s is no PoCo hub: %v", e.Hub, e.URL, e.Err)
}

// Unwrap returns what the call ended with.
func (e *NotPoCoError) Unwrap() error { return e.Err }

// Evidence returns the address and the answer.
func (e *NotPoCoError) Evidence() [][2]string {
	return [][2]string{{"expected", "domain() answers " + poco.DomainName + " " + poco.DomainVersion}, {"actual", e.Err.Error()}, {"where", e.Hub.Hex() + " at " + e.URL}}
}

// Connect dials a chain's nodes and checks that each is on the chain and the hub is the
// profile's: the chain id, the four values of domain(), and the app registry. A node that
// cannot be reached is left out as long as there is another; one that is on another chain
// is an error, however many are not.
//
// Errors: *RPCError, *WrongChainError, *NotPoCoError.
func Connect(ctx context.Context, profile poco.Chain) (*Client, error) {
	return ConnectAround(ctx, profile, nil)
}

// ConnectAround is Connect with something around what makes the requests, such as what
// keeps the answers.
func ConnectAround(ctx context.Context, profile poco.Chain, around func(http.RoundTripper) http.RoundTripper) (*Client, error) {
	all, err := dial(ctx, profile, around)
	if err != nil {
		return nil, err
	}
	c := &Client{Chain: profile, nodes: all}
	if err := c.check(ctx); err != nil {
		all.close()
		return nil, err
	}
	return c, nil
}

// Node returns the URL of the node that is asked, without the secrets in it.
func (c *Client) Node() string { return c.nodes.current().url }

// TellTo lets a function be told of what is sent and for how much, of what is waited for,
// and of nodes that are left out; also of those that were left out before.
func (c *Client) TellTo(tell func(text string)) { c.nodes.tellTo(tell) }

// check looks at each node: all are asked before any is believed.
func (c *Client) check(ctx context.Context) error {
	var genesis common.Hash
	for _, at := range slices.Clone(c.nodes.all) {
		one := &Client{Chain: c.Chain, nodes: &nodes{all: []*endpoint{at}}, caller: c.caller}
		err := one.checkNode(ctx)
		if err != nil && unanswered(err) && ctx.Err() == nil && c.nodes.drop(at, cause(err)) {
			continue // for good, since nobody knows which chain it is on
		}
		if err != nil {
			return err
		}
		c.AppRegistry = one.AppRegistry
		if len(c.nodes.all) == 1 {
			return nil
		}
		first, err := one.block(ctx, 0)
		if err != nil {
			return err
		}
		if genesis != (common.Hash{}) && first.Hash != genesis {
			return &WrongChainError{"first block", first.Hash.Hex(), genesis.Hex() + ", as at the nodes before it", at.url}
		}
		genesis = first.Hash
	}
	return nil
}

func (c *Client) checkNode(ctx context.Context) error {
	id, domain, registries, err := c.checkTogether(ctx)
	if err != nil {
		return err
	}
	if got := id.ToInt(); !got.IsUint64() || got.Uint64() != c.ID {
		return &WrongChainError{"chain id", got.String(), fmt.Sprint(c.ID), c.Node()}
	}
	if err := c.checkDomain(ctx, domain); err != nil {
		return err
	}
	if registries == nil {
		if registries, err = c.askHub(ctx, "appregistry"); err != nil {
			return err
		}
	}
	registry := *abi.ConvertType(registries[0], new(common.Address)).(*common.Address)
	if c.AppRegistry != (common.Address{}) && registry != c.AppRegistry {
		return &WrongChainError{"app registry", registry.Hex(), c.AppRegistry.Hex(), c.Node()}
	}
	c.AppRegistry = registry
	return nil
}

// checkDomain compares the EIP-712 domain in which orders will be signed with
// the one that the hub checks them in, which is asked for unless it was answered already.
func (c *Client) checkDomain(ctx context.Context, out []any) (err error) {
	type domain struct {
		Name, Version     string
		ChainId           *big.Int //nolint:revive // go-ethereum derives the name from the ABI
		VerifyingContract common.Address
	}
	if out == nil {
		if out, err = c.askHub(ctx, "domain"); err != nil {
			return err
		}
	}
	got := *abi.ConvertType(out[0], new(domain)).(*domain)
	show := func(name, version string, id, hub any) string {
		return fmt.Sprintf("%s %s %v %v", name, version, id, hub)
	}
	actual := show(got.Name, got.Version, got.ChainId, got.VerifyingContract)
	if want := show(poco.DomainName, poco.DomainVersion, c.ID, c.Hub); actual != want {
		return &WrongChainError{"hub domain", actual, want, c.Node()}
	}
	return nil
}

// askHub calls the contract at the hub's address, which may be anything. Errors:
// *RPCError, *NotPoCoError.
func (c *Client) askHub(ctx context.Context, method string) (out []any, err error) {
	err = c.bind(c.HubContract()).Call(c.callOpts(ctx), &out, method)
	if unreachable(err) {
		return nil, c.rpcError("calling "+method, err)
	}
	if err != nil {
		return nil, &NotPoCoError{c.Hub, c.Node(), err}
	}
	return out, nil
}

// Contract is a contract of a chain, by the methods of it that are known.
type Contract struct {
	Address common.Address
	ABI     abi.ABI
}

// HubContract returns the hub, by what of it is known.
func (c *Client) HubContract() Contract { return Contract{c.Hub, poco.HubABI()} }

func (c *Client) bind(contract Contract) *bind.BoundContract {
	return bind.NewBoundContract(contract.Address, contract.ABI, reader{c.nodes}, nil, nil)
}

// Read makes a read-only call and returns what it answers. Error: *RPCError, also when
// the contract reverts.
func (c *Client) Read(ctx context.Context, contract Contract, method string, args ...any) (out []any, err error) {
	if err := c.bind(contract).Call(c.callOpts(ctx), &out, method, args...); err != nil {
		return nil, c.rpcError("calling "+method, err)
	}
	return out, nil
}

func (c *Client) callOpts(ctx context.Context) *bind.CallOpts {
	return &bind.CallOpts{Context: ctx, From: c.caller, BlockHash: c.at}
}

// Call is [Client.Read] of a method that answers one value.
func Call[T any](ctx context.Context, c *Client, contract Contract, method string, args ...any) (T, error) {
	out, err := c.Read(ctx, contract, method, args...)
	if err != nil {
		var zero T
		return zero, err
	}
	return *abi.ConvertType(out[0], new(T)).(*T), nil
}

func (c *Client) rpcError(act string, err error) error {
	return &RPCError{c.Node(), act, redact.Error(err)}
}

// cause is why a node could not be asked, without where.
func cause(err error) string {
	var r *RPCError
	if errors.As(err, &r) {
		err = r.Err
	}
	return redact.Error(err).Error()
}

// IsRevert reports whether it is a contract that refused, or is none, and not the node that
// failed.
func (e *RPCError) IsRevert() bool {
	_, reverted := revertOf(e.Err)
	return reverted || errors.Is(e.Err, bind.ErrNoCode) || strings.Contains(e.Err.Error(), "revert")
}

// LacksMethod reports whether it is a contract that has no such method as was called: one
// that refused, or is none, or answered what the method does not. Only of contracts that
// somebody chose is that to be asked: of iExec's, such an answer is a failure of the node.
func (e *RPCError) LacksMethod() bool {
	return e.IsRevert() || strings.HasPrefix(e.Err.Error(), "abi: ")
}
