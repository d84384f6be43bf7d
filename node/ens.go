package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// NameError says why a name is no address.
type NameError struct {
	Name, Problem string
	Chain         string
}

// Error implements error.
func (e *NameError) Error() string { return fmt.Sprintf("resolving %s: %s", e.Name, e.Problem) }

// Evidence returns which name, and where it was looked for.
func (e *NameError) Evidence() [][2]string {
	return [][2]string{{"name", e.Name}, {"problem", e.Problem}, {"where", e.Chain}}
}

// CheckName says, without asking anybody, why a name cannot be resolved on a chain: it has no
// ENS, or no name there is written so. Its error is a *NameError.
func CheckName(c poco.Chain, name string) error {
	if c.ENS == (common.Address{}) {
		return &NameError{name, "the chain has no registry of names", c.Name}
	}
	if _, err := poco.NameHash(name); err != nil {
		return &NameError{name, err.Error(), c.Name}
	}
	return nil
}

// Resolve asks ENS for the address of a name, where the chain has ENS. Errors: *NameError,
// *RPCError.
func Resolve(ctx context.Context, c *Client, name string) (common.Address, error) {
	fail := func(problem string) (common.Address, error) {
		return common.Address{}, &NameError{name, problem, c.Name}
	}
	if err := CheckName(c.Chain, name); err != nil {
		return common.Address{}, err
	}
	hash, err := poco.NameHash(name)
	if err != nil {
		return common.Address{}, err
	}
	resolver, err := Call[common.Address](ctx, c, Contract{c.ENS, poco.ENSABI()}, "resolver", hash)
	if err != nil {
		return common.Address{}, err
	}
	if resolver == (common.Address{}) {
		return fail("nobody has the name, or it leads nowhere")
	}
	at, err := Call[common.Address](ctx, c, Contract{resolver, poco.ENSABI()}, "addr", hash)
	if failed := new(RPCError); errors.As(err, &failed) && failed.LacksMethod() { // it is whatever the name's owner chose
		return fail(fmt.Sprintf("its resolver %s has no address for it: %v", resolver, failed.Err))
	}
	if err != nil {
		return common.Address{}, err
	}
	if at == (common.Address{}) {
		return fail("the name has no address")
	}
	return at, nil
}
