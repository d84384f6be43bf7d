package requests

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/docker/go-units"
	"github.com/ethereum/go-ethereum/common"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/settings"
)

// place is the chain that a command works on, with all that is around it.
type place struct {
	settings settings.Settings
	profile  poco.Chain
	trade    deal.Trade
}

// requestError is what went wrong with a request's own order.
type requestError struct{ error }

func (e *requestError) Unwrap() error { return e.error }

// place returns the chain that is meant, of which nobody is asked anything yet: what a
// command is given is looked at first.
func (s *shell) place(command string) (place, error) {
	cfg, err := s.load()
	if err != nil {
		return place{}, err
	}
	profile, err := s.profile(command, cfg)
	book := market.Client{URL: profile.Market, ChainID: profile.ID, Tell: s.tell}
	return place{cfg, profile, deal.Trade{Market: book}}, err
}

// connect opens the chain.
func (p *place) connect(ctx context.Context) (err error) {
	p.trade.Chain, err = node.Connect(ctx, p.profile)
	return err
}

func (s *shell) tell(text string) { s.Note("%s", text) }

func (p place) domain() poco.Domain { return p.profile.Domain() }

// hashText matches the hash of an order, and the id of a deal or task.
var hashText = regexp.MustCompile(`^0x[0-9a-fA-F]{64}$`)

// parseHash reads a hash that a flag has; "" is none.
func parseHash(command, flag, text string) (common.Hash, error) {
	if text == "" {
		return common.Hash{}, nil
	}
	if !hashText.MatchString(text) {
		return common.Hash{}, usage.Errorf(command, "--%s: want 0x and 64 hex digits, got %q", flag, text)
	}
	return common.HexToHash(text), nil
}

// order returns the request that is named by a file, or by its hash in the market. The chain
// need not be open.
func (p place) order(ctx context.Context, named string) (poco.SignedRequestOrder, error) {
	if !hashText.MatchString(named) {
		return request.ReadOrder(named, p.domain())
	}
	hash := common.HexToHash(named)
	there, err := market.Find[poco.SignedRequestOrder](ctx, p.trade.Market, hash)
	if err != nil {
		return poco.SignedRequestOrder{}, err
	}
	if there == nil || there.Order.Hash(p.domain()) != hash {
		return poco.SignedRequestOrder{}, &requestError{&node.OrderError{
			Hash: hash, Problem: "is not in the market", Got: "none", Want: "the request", Where: p.trade.Market.Node(),
		}}
	}
	return there.Order, nil
}

// deals opens the chain, and returns the deals that are named: by the id of one, or by a
// request, whose file is read before.
func (p *place) deals(ctx context.Context, named string) ([]deal.Deal, error) {
	if !hashText.MatchString(named) {
		o, err := p.order(ctx, named)
		if err == nil {
			err = p.connect(ctx)
		}
		if err != nil {
			return nil, err
		}
		return p.dealsOf(ctx, o)
	}
	if err := p.connect(ctx); err != nil {
		return nil, err
	}
	d, err := deal.Read(ctx, p.trade.Chain, common.HexToHash(named))
	var none *deal.NoDealError
	if err == nil || !errors.As(err, &none) {
		return []deal.Deal{d}, err
	}
	o, err := p.order(ctx, named)
	if err != nil {
		return nil, err
	}
	return p.dealsOf(ctx, o)
}

// dealsOf returns the deals of a request, one at least.
func (p *place) dealsOf(ctx context.Context, o poco.SignedRequestOrder) ([]deal.Deal, error) {
	deals, err := deal.OfRequest(ctx, p.trade.Chain, o.RequestOrder)
	if err == nil && len(deals) == 0 {
		err = &requestError{&node.OrderError{
			Hash: o.Hash(p.domain()), Problem: "was not matched", Got: "no deal", Want: "a deal", Where: p.profile.Name,
		}}
	}
	return deals, err
}

// runs writes how many runs there are.
func runs(n *big.Int) string {
	if n.IsUint64() && n.Uint64() == 1 {
		return "1 run"
	}
	return n.String() + " runs"
}

// amount is a flag with an amount of nRLC, or another number that the contracts have.
type amount struct{ *big.Int }

// String implements [pflag.Value].
func (a amount) String() string {
	if a.Int == nil {
		return ""
	}
	return a.Int.String()
}

// Set implements [pflag.Value].
func (a amount) Set(text string) error {
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || n.Cmp(big.NewInt(poco.MaxAmount)) > 0 {
		return fmt.Errorf("want a whole number from 0 to %d", uint64(poco.MaxAmount))
	}
	a.Int.Set(n)
	return nil
}

// Type implements [pflag.Value].
func (a amount) Type() string { return "uint" }

// amountFlag makes a flag with a number.
func amountFlag(c *cobra.Command, name string, usual int64, use string) *big.Int {
	n := big.NewInt(usual)
	c.Flags().Var(amount{n}, name, use)
	return n
}

// address is a flag with an address.
type address struct{ *common.Address }

// String implements [pflag.Value].
func (a address) String() string {
	if a.Address == nil || *a.Address == (common.Address{}) {
		return ""
	}
	return a.Hex()
}

// Set implements [pflag.Value].
func (a address) Set(text string) error {
	if a.UnmarshalText([]byte(text)) != nil {
		return fmt.Errorf("want an address: 0x and 40 hex digits")
	}
	return nil
}

// Type implements [pflag.Value].
func (a address) Type() string { return "address" }

// contract is a flag with the address of a contract, or its name.
type contract struct{ named *string }

// String implements [pflag.Value].
func (c contract) String() string {
	if c.named == nil {
		return ""
	}
	return *c.named
}

// Set implements [pflag.Value].
func (c contract) Set(text string) error {
	if new(common.Address).UnmarshalText([]byte(text)) != nil && !poco.IsENSName(text) {
		return fmt.Errorf("want an address (0x and 40 hex digits), or a name of ENS, got %q", text)
	}
	*c.named = text
	return nil
}

// Type implements [pflag.Value]. It has no name: what is wrong with one Set knows best.
func (c contract) Type() string { return "" }

func addressFlag(c *cobra.Command, name, use string) *common.Address {
	var at common.Address
	c.Flags().Var(address{&at}, name, use)
	return &at
}

// maxSize bounds what may be asked for of a result.
const maxSize = 1 << 40

// size is a flag with a number of bytes, as Docker's --memory has them; a number without a
// unit is one of GiB.
type size struct{ bytes *int64 }

// String implements [pflag.Value].
func (s size) String() string {
	if s.bytes == nil {
		return ""
	}
	return units.BytesSize(float64(*s.bytes))
}

// Set implements [pflag.Value].
func (s size) Set(text string) error {
	written := text
	if strings.TrimRight(text, "0123456789.") != text {
		text += "GiB"
	}
	n, err := units.RAMInBytes(text)
	if err != nil || n < 1 || n > maxSize {
		return fmt.Errorf("want a size up to %s, such as 500MiB, or a number of GiB, got %q", units.BytesSize(maxSize), written)
	}
	*s.bytes = n
	return nil
}

// Type implements [pflag.Value]. It has no name: what is wrong with one Set knows best.
func (s size) Type() string { return "" }

// limitFlag makes the flag that bounds a result.
func limitFlag(c *cobra.Command) *int64 {
	n := int64(bounds.ResultContent)
	c.Flags().Var(size{&n}, "limit", "what the files of a result may have together: a `size` such as 500MiB, or a number of GiB")
	return &n
}
