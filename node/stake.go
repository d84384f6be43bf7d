package node

import (
	"context"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// Stake is what an account has in the hub, in nRLC (1 RLC = 10^9 nRLC): runs are paid
// from what is free, and what a run may cost is locked until it ended.
type Stake struct{ Free, Locked *big.Int }

// StakeOf asks for the stake of an account. Error: *RPCError.
func StakeOf(ctx context.Context, c *Client, account common.Address) (Stake, error) {
	type answer struct {
		Stake  *big.Int `abi:"stake"`
		Locked *big.Int `abi:"locked"`
	}
	got, err := Call[answer](ctx, c, c.HubContract(), "viewAccount", account)
	return Stake{got.Stake, got.Locked}, err
}

// StakeError says that an account has less in the hub than it would have to pay.
type StakeError struct {
	Account    common.Address
	Free, Want *big.Int // nRLC
	Purse      *big.Int // nRLC that it could deposit; nil: nobody asked
	Chain      string
}

// Error implements error.
func (e *StakeError) Error() string {
	return fmt.Sprintf("the stake of %s on %s is too low by %s nRLC", e.Account, e.Chain, e.Missing())
}

// Missing returns how much is missing, in nRLC.
func (e *StakeError) Missing() *big.Int { return new(big.Int).Sub(e.Want, e.Free) }

// Evidence returns both amounts, and what could be deposited.
func (e *StakeError) Evidence() [][2]string {
	facts := [][2]string{{"expected", e.Want.String() + " nRLC in the hub that are free"}, {"actual", e.Free.String() + " nRLC"}}
	if e.Purse != nil {
		facts = append(facts, [2]string{"could be deposited", e.Purse.String() + " nRLC"})
	}
	return append(facts, [2]string{"where", e.Account.Hex() + " on " + e.Chain})
}

// CheckStake reports whether an account can pay so many nRLC from its stake: a
// *StakeError if not. Other errors: *RPCError.
func CheckStake(ctx context.Context, c *Client, account common.Address, want *big.Int) error {
	stake, err := StakeOf(ctx, c, account)
	if err != nil || stake.Free.Cmp(want) >= 0 {
		return err
	}
	purse, err := PurseOf(ctx, c, account)
	if err != nil {
		return err
	}
	return &StakeError{account, stake.Free, want, purse, c.Name}
}

// nanoRLC is a nRLC in wei, where the chain's coin is RLC.
const nanoRLC = 1e9

// token asks for the RLC token's contract; the zero address where RLC is the chain's coin.
func (c *Client) token(ctx context.Context) (Contract, error) {
	at, err := Call[common.Address](ctx, c, c.HubContract(), "token")
	return Contract{at, poco.TokenABI()}, err
}

// PurseOf asks how many nRLC an account has outside of the hub. Error: *RPCError.
func PurseOf(ctx context.Context, c *Client, account common.Address) (*big.Int, error) {
	token, err := c.token(ctx)
	if err != nil {
		return nil, err
	}
	if token.Address != (common.Address{}) {
		return Call[*big.Int](ctx, c, token, "balanceOf", account)
	}
	wei, err := c.Balance(ctx, account)
	if err != nil {
		return nil, err
	}
	return wei.Div(wei, big.NewInt(nanoRLC)), nil
}

// EnsureStake deposits what a wallet's stake lacks of so many nRLC, and returns how much
// that was. Deposits that an earlier run sent are waited for first, and when another
// transaction seems to have taken a deposit's nonce, the stake is read anew: it may have
// been this deposit, or a parallel run's. So none is made twice. What is deposited is the
// wallet's own, so the wallet itself sends that and pays for it, whoever pays for the rest.
//
// Errors: *StakeError when the wallet has too little outside of the hub as well,
// *FundsError, *RPCError.
func EnsureStake(ctx context.Context, c *Client, w Wallet, want *big.Int) (deposited *big.Int, err error) {
	deposited, w = new(big.Int), w.PaidBy(w)
	for try := 1; ; try++ {
		if _, err := c.Settle(ctx, w.Address); err != nil {
			return nil, err
		}
		stake, err := StakeOf(ctx, c, w.Address)
		if err != nil {
			return nil, err
		}
		if stake.Free.Cmp(want) >= 0 {
			return deposited, nil
		}
		deposited.Sub(want, stake.Free)
		purse, err := PurseOf(ctx, c, w.Address)
		if err != nil {
			return nil, err
		}
		if purse.Cmp(deposited) < 0 {
			return nil, &StakeError{w.Address, stake.Free, want, purse, c.Name}
		}
		err = c.deposit(ctx, w, deposited)
		if err == nil {
			return deposited, CheckStake(ctx, c, w.Address, want)
		}
		if !NonceTaken(err) || try == maxSends {
			return nil, fmt.Errorf("depositing %s nRLC: %w", deposited, err)
		}
	}
}

func (c *Client) deposit(ctx context.Context, w Wallet, amount *big.Int) error {
	token, err := c.token(ctx)
	if err != nil {
		return err
	}
	t := Transaction{Contract: token, Method: "approveAndCall", Args: []any{c.Hub, amount, []byte{}}}
	if token.Address == (common.Address{}) {
		t = Transaction{Contract: c.HubContract(), Method: "deposit", Wei: new(big.Int).Mul(amount, big.NewInt(nanoRLC))}
	}
	return c.SendAll(ctx, w, []Transaction{t})
}
