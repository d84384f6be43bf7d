package node

import (
	"context"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"github.com/mrelease/mrelease/poco"
)

// Cost is what a transaction would cost at present.
type Cost struct {
	Gas     uint64
	Price   *big.Int // wei for a unit of gas; 0 on a chain without fees
	Reserve *big.Int // wei that the wallet must have for the node to take the transaction
}

// Wei returns what would be paid.
func (c Cost) Wei() *big.Int { return new(big.Int).Mul(new(big.Int).SetUint64(c.Gas), c.Price) }

// Plus is what two transactions cost, at the later one's price.
func (c Cost) Plus(d Cost) Cost {
	reserve := new(big.Int)
	for _, one := range []*big.Int{c.Reserve, d.Reserve} {
		if one != nil {
			reserve.Add(reserve, one)
		}
	}
	return Cost{c.Gas + d.Gas, d.Price, reserve}
}

// Estimate returns what a transaction would cost, without making it: the node tries it.
// Errors: *RevertedError when the contract refuses it, *FeeError, *RPCError.
func (c *Client) Estimate(ctx context.Context, from common.Address, contract Contract, method string, args ...any) (Cost, error) {
	data, err := contract.ABI.Pack(method, args...)
	if err != nil {
		return Cost{}, fmt.Errorf("encoding %s: %w", method, err)
	}
	gas, err := c.estimate(ctx, act{from: from, contract: contract, method: method, data: data})
	if err != nil {
		return Cost{}, err
	}
	return c.priced(ctx, gas)
}

// priced returns what so much gas costs at present.
func (c *Client) priced(ctx context.Context, gas uint64) (Cost, error) {
	if c.Fees == poco.FeesLegacy {
		return Cost{gas, new(big.Int), new(big.Int)}, nil
	}
	price, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*big.Int, error) { return n.SuggestGasPrice(ctx) })
	if err != nil {
		return Cost{}, c.rpcError("asking for the gas price", err)
	}
	offer, err := c.offer(ctx)
	if err != nil {
		return Cost{}, err
	}
	return Cost{gas, price, offer.reserve(gas)}, nil
}

// Balance returns an account's coins, in wei.
func (c *Client) Balance(ctx context.Context, account common.Address) (*big.Int, error) {
	balance, err := ask(ctx, c.nodes, func(n *ethclient.Client) (*big.Int, error) { return n.BalanceAt(ctx, account, nil) })
	if err != nil {
		return nil, c.rpcError("asking for the balance", err)
	}
	return balance, nil
}

// IsContract reports whether there is code at an address. Error: *RPCError.
func (c *Client) IsContract(ctx context.Context, address common.Address) (bool, error) {
	code, err := ask(ctx, c.nodes, func(n *ethclient.Client) ([]byte, error) { return n.CodeAt(ctx, address, nil) })
	if err != nil {
		return false, c.rpcError("asking for the code of "+address.Hex(), err)
	}
	return len(code) > 0, nil
}

// CheckFunds reports whether an account can pay for a transaction. Its error is
// a *FundsError if not.
func (c *Client) CheckFunds(ctx context.Context, account common.Address, cost Cost) (balance *big.Int, err error) {
	if balance, err = c.Balance(ctx, account); err != nil {
		return nil, err
	}
	if balance.Cmp(cost.Reserve) < 0 {
		err = &FundsError{account, balance, c.Name, fmt.Errorf("up to %s wei are needed", cost.Reserve)}
	}
	return balance, err
}

// LastBlock returns the time of the chain's last block.
func (c *Client) LastBlock(ctx context.Context) (time.Time, error) {
	head, err := c.head(ctx)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(head.Time), 0).UTC(), nil
}

// Coins writes an amount of wei in whole coins, exactly.
func Coins(wei *big.Int) string {
	text := new(big.Rat).SetFrac(wei, big.NewInt(params.Ether)).FloatString(18)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
