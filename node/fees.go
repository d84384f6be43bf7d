package node

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"

	"github.com/mrelease/mrelease/poco"
)

// offer is what a transaction pays for a unit of gas, in wei (EIP-1559). On a chain
// without fees both are 0.
type offer struct{ tip, cap *big.Int }

// reserve is what the wallet must have.
func (o offer) reserve(gas uint64) *big.Int {
	return new(big.Int).Mul(o.cap, new(big.Int).SetUint64(gas))
}

// FeeError says that the chain asks for more than the settings let a transaction offer.
type FeeError struct {
	Chain           string
	BaseFee, Allows *big.Int // wei for a unit of gas
}

func (e *FeeError) Error() string {
	return fmt.Sprintf("transactions on %s cost more than max-fee-per-gas allows", e.Chain)
}

// Evidence returns both.
func (e *FeeError) Evidence() [][2]string {
	return [][2]string{{"expected", fmt.Sprintf("at most %s wei for a unit of gas", e.Allows)}, {"actual", fmt.Sprintf("a base fee of %s wei", e.BaseFee)}}
}

// offer is what is offered at first: the tip that the node suggests, and twice the base
// fee with it, within what is allowed. Errors: *RPCError, *FeeError.
func (c *Client) offer(ctx context.Context) (offer, error) {
	if c.Fees == poco.FeesLegacy {
		return offer{new(big.Int), new(big.Int)}, nil
	}
	tip, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*big.Int, error) { return n.SuggestGasTipCap(ctx) })
	if err != nil {
		return offer{}, c.rpcError("asking for the tip", err)
	}
	head, err := c.head(ctx)
	if err != nil {
		return offer{}, err
	}
	base := new(big.Int)
	if head.BaseFee != nil {
		base = head.BaseFee.ToInt()
	}
	limit := new(big.Int).Lsh(base, 1)
	o := offer{tip, limit.Add(limit, tip)}
	if c.MaxFeePerGas == 0 {
		return o, nil
	}
	allows := new(big.Int).SetUint64(c.MaxFeePerGas)
	if base.Cmp(allows) > 0 {
		return offer{}, &FeeError{c.Name, base, allows}
	}
	return o.within(allows), nil
}

// within lowers an offer to a ceiling.
func (o offer) within(ceiling *big.Int) offer {
	return offer{smaller(o.tip, ceiling), smaller(o.cap, ceiling)}
}

func smaller(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

func larger(a, b *big.Int) *big.Int {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

// Replacing. Nodes want a tenth more at least, of the tip and of the cap.
const (
	ceilingTimes    = 10 // of the first offer, where no ceiling is set
	maxReplacements = 8
)

// raised is the offer that replaces another: a quarter more, or what is offered at
// present if that is more. It is false where the ceiling leaves less than a tenth more.
func (o offer) raised(now offer, ceiling *big.Int) (offer, bool) {
	up := offer{larger(more(o.tip, 125), now.tip), larger(more(o.cap, 125), now.cap)}.within(ceiling)
	up.tip = smaller(up.tip, up.cap)
	return up, up.tip.Cmp(more(o.tip, 110)) >= 0 && up.cap.Cmp(more(o.cap, 110)) >= 0
}

// more returns percent of a value, rounded up, and one more at least.
func more(v *big.Int, percent int64) *big.Int {
	up := new(big.Int).Mul(v, big.NewInt(percent))
	up.Add(up, big.NewInt(99)).Div(up, big.NewInt(100))
	return larger(up, new(big.Int).Add(v, big.NewInt(1)))
}

// ceiling is what no transaction offers more than.
func (c *Client) ceiling(first offer) *big.Int {
	if c.MaxFeePerGas > 0 {
		return new(big.Int).SetUint64(c.MaxFeePerGas)
	}
	return new(big.Int).Mul(first.cap, big.NewInt(ceilingTimes))
}

// MaxFee is what no transaction offers more than for a unit of gas, in wei: as it is set,
// else as it follows from what would be offered now; 0 on a chain without fees. Errors:
// *RPCError, *FeeError.
func (c *Client) MaxFee(ctx context.Context) (*big.Int, error) {
	first, err := c.offer(ctx)
	if err != nil {
		return nil, err
	}
	if c.Fees == poco.FeesLegacy {
		return new(big.Int), nil
	}
	return c.ceiling(first), nil
}

// transaction writes an act as the chain takes it.
func (c *Client) transaction(s *sent, o offer) types.TxData {
	to := s.contract.Address
	if c.Fees == poco.FeesLegacy {
		return &types.LegacyTx{Nonce: s.nonce, GasPrice: o.cap, Gas: s.gas, To: &to, Value: s.wei, Data: s.data}
	}
	return &types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(c.ID), Nonce: s.nonce, GasTipCap: o.tip, GasFeeCap: o.cap, Gas: s.gas, To: &to, Value: s.wei, Data: s.data,
	}
}
