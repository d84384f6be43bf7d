package request

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// AppError says why what was named is no app of the chain.
type AppError struct {
	Named, Problem string
	Err            error
}

// Error implements error.
func (e *AppError) Error() string { return "app " + e.Named + ": " + e.Problem }

// Unwrap returns the cause.
func (e *AppError) Unwrap() error { return e.Err }

// Evidence returns what was named, and why it is none.
func (e *AppError) Evidence() [][2]string {
	return [][2]string{{"app", e.Named}, {"problem", e.Problem}}
}

// CheckApp says, without asking anybody, why what is named is no app of a chain. Errors:
// *AppError, and those of [CheckName].
func CheckApp(c poco.Chain, named string) error {
	if _, isName, err := readApp(c, named); err != nil || !isName {
		return err
	}
	return CheckName(c, named)
}

// CheckName says, without asking anybody, why a name cannot be resolved on a chain. Its
// error is a *node.NameError; what is no name at all has none.
func CheckName(c poco.Chain, named string) error {
	if !poco.IsENSName(named) {
		return nil
	}
	return node.CheckName(c, named)
}

// FindContract returns the address that is meant by an address or a name of ENS; none by "".
// Errors: *node.NameError, *node.RPCError.
func FindContract(ctx context.Context, c *node.Client, named string) (at common.Address, err error) {
	if named == "" {
		return at, nil
	}
	if at.UnmarshalText([]byte(named)) == nil {
		return at, nil
	}
	return node.Resolve(ctx, c, named)
}

// FindApp returns the address that is meant by an address, a name of ENS, or the file of a
// release's record. Nothing of a record but chain and address is looked at: mrelease verify
// is for that. Errors: *AppError, *node.NameError, *node.RPCError.
func FindApp(ctx context.Context, c *node.Client, named string) (common.Address, error) {
	at, isName, err := readApp(c.Chain, named)
	if isName {
		return node.Resolve(ctx, c, named)
	}
	return at, err
}

// readApp reads what this machine knows of what is named: a name must be asked for.
func readApp(c poco.Chain, named string) (at common.Address, isName bool, err error) {
	if at.UnmarshalText([]byte(named)) == nil {
		return at, false, nil
	}
	fail := func(problem string, err error) (common.Address, bool, error) {
		return common.Address{}, false, &AppError{named, problem, err}
	}
	if poco.IsENSName(named) {
		return at, true, nil
	}
	text, err := bounds.ReadJSON(named, bounds.Record)
	if err != nil {
		return fail("it is neither an address (0x and 40 hex digits), nor a name, nor the file of a record", err)
	}
	var record struct {
		App struct {
			ChainID uint64         `json:"chainId"`
			Address common.Address `json:"address"`
		} `json:"app"`
	}
	if err := json.Unmarshal(text, &record); err != nil || record.App.Address == (common.Address{}) {
		return fail("the file is no record of a release", err)
	}
	if record.App.ChainID != c.ID {
		return fail(fmt.Sprintf("it was released on the chain with the id %d, and this one has %d", record.App.ChainID, c.ID), nil)
	}
	return record.App.Address, false, nil
}
