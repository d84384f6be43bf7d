package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/poco"
)

// Backend is a connection to an Ethereum node: go-ethereum's own interfaces, as
// ethclient.Client implements them.
type Backend interface {
	bind.Backend
	ChainID(ctx context.Context) (*big.Int, error)
	BalanceAt(ctx context.Context, account common.Address, block *big.Int) (*big.Int, error)
	NonceAt(ctx context.Context, account common.Address, block *big.Int) (uint64, error)
	TransactionByHash(ctx context.Context, hash common.Hash) (tx *types.Transaction, pending bool, err error)
}

// Client is a connection to a deployment of the protocol that was found to be what its profile
// says.
type Client struct {
	poco.Chain // with AppRegistry as the hub names it
	backend    Backend
	caller     common.Address // of read-only calls: some nodes refuse calls without a sender
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

// Connect dials a chain's node and checks that the node is on the chain and the
// hub is the profile's: the chain id, the four values of domain(), and the app
// registry.
//
// Errors: *RPCError, *WrongChainError, *NotPoCoError.
func Connect(ctx context.Context, profile poco.Chain) (*Client, error) {
	at, err := url.Parse(profile.RPC)
	if err != nil {
		return nil, &RPCError{redact.URL(profile.RPC), "dialing", redact.Error(err)}
	}
	client := patient.Client(bounds.Request, outside.Service{Host: at.Host, Most: bounds.RPCAnswer}, nil)
	dialed, err := rpc.DialOptions(ctx, profile.RPC, rpc.WithHTTPClient(client))
	if err != nil {
		return nil, &RPCError{redact.URL(profile.RPC), "dialing", redact.Error(err)}
	}
	c := &Client{Chain: profile, backend: ethclient.NewClient(dialed)}
	if err := c.check(ctx); err != nil {
		dialed.Close()
		return nil, err
	}
	return c, nil
}

// Node returns the node's URL without the secrets in it.
func (c *Client) Node() string { return redact.URL(c.RPC) }

func (c *Client) check(ctx context.Context) error {
	id, err := c.backend.ChainID(ctx)
	if err != nil {
		return c.rpcError("asking for the chain id", err)
	}
	if !id.IsUint64() || id.Uint64() != c.ID {
		return &WrongChainError{"chain id", id.String(), fmt.Sprint(c.ID), redact.URL(c.RPC)}
	}
	if err := c.checkDomain(ctx); err != nil {
		return err
	}
	out, err := c.askHub(ctx, "appregistry")
	if err != nil {
		return err
	}
	registry := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	if c.AppRegistry != (common.Address{}) && registry != c.AppRegistry {
		return &WrongChainError{"app registry", registry.Hex(), c.AppRegistry.Hex(), redact.URL(c.RPC)}
	}
	c.AppRegistry = registry
	return nil
}

// checkDomain compares the EIP-712 domain in which orders will be signed with
// the one that the hub checks them in.
func (c *Client) checkDomain(ctx context.Context) error {
	type domain struct {
		Name, Version     string
		ChainId           *big.Int //nolint:revive // go-ethereum derives the name from the ABI
		VerifyingContract common.Address
	}
	out, err := c.askHub(ctx, "domain")
	if err != nil {
		return err
	}
	got := *abi.ConvertType(out[0], new(domain)).(*domain)
	show := func(name, version string, id, hub any) string {
		return fmt.Sprintf("%s %s %v %v", name, version, id, hub)
	}
	actual := show(got.Name, got.Version, got.ChainId, got.VerifyingContract)
	if want := show(poco.DomainName, poco.DomainVersion, c.ID, c.Hub); actual != want {
		return &WrongChainError{"hub domain", actual, want, redact.URL(c.RPC)}
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
		return nil, &NotPoCoError{c.Hub, redact.URL(c.RPC), err}
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
	return bind.NewBoundContract(contract.Address, contract.ABI, c.backend, c.backend, c.backend)
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
	return &bind.CallOpts{Context: ctx, From: c.caller}
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
	return &RPCError{redact.URL(c.RPC), act, redact.Error(err)}
}

// unreachable reports whether the node could not be asked, in contrast to an
// answer that is an error.
func unreachable(err error) bool {
	var network *url.Error
	var status rpc.HTTPError
	var garbage *json.SyntaxError
	var larger *bounds.Error
	return errors.As(err, &larger) || errors.As(err, &network) || errors.As(err, &status) || errors.As(err, &garbage) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// IsRevert reports whether it is a contract that refused, or is none, and not the node that
// failed.
func (e *RPCError) IsRevert() bool {
	return errors.Is(e.Err, bind.ErrNoCode) || strings.Contains(e.Err.Error(), "revert")
}
