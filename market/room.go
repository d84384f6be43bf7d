package market

import (
	"context"
	"fmt"
	"net/url"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// MaxOpen is how many open orders for apps iExec's market takes of a wallet.
const MaxOpen = 50

// FullError says that the market takes no more orders of a wallet.
type FullError struct {
	Wallet common.Address
	Open   uint64
	Ended  int // of those that it lists; it lags behind the chain
	Market string
}

func (e *FullError) Error() string {
	return fmt.Sprintf("wallet %s has %d open orders in the market, which takes %d", e.Wallet, e.Open, MaxOpen)
}

// Evidence returns both numbers, and how many of the orders have ended.
func (e *FullError) Evidence() [][2]string {
	lines := [][2]string{{"expected", fmt.Sprintf("less than %d open orders", MaxOpen)}, {"actual", fmt.Sprint(e.Open)}}
	if e.Ended > 0 {
		lines = append(lines, [2]string{"of these", fmt.Sprintf("%d have no runs left on chain, which the market has not seen yet", e.Ended)})
	}
	return append(lines, [2]string{"where", e.Market})
}

// CheckRoom counts a wallet's open orders for apps, and refuses with a *FullError where
// one more would be. The market's word is all there is of it: the chain knows of an order
// when it is matched or closed, so it tells only which of those that are listed have ended.
// c may be nil: then it is not asked. Other errors: *Error, *node.RPCError.
func (m Client) CheckRoom(ctx context.Context, c *node.Client, wallet common.Address) (open uint64, err error) {
	p, err := list[poco.SignedAppOrder](ctx, m, 0, url.Values{"appOwner": {wallet.Hex()}})
	if err != nil {
		return 0, err
	}
	if *p.Count < MaxOpen {
		return *p.Count, nil
	}
	full := &FullError{Wallet: wallet, Open: *p.Count, Market: redact.URL(m.URL)}
	if c == nil {
		return full.Open, full
	}
	for _, o := range p.Orders {
		left, err := node.Remaining(ctx, c, o.Order.AppOrder)
		if err != nil {
			return full.Open, err
		}
		if left.Sign() <= 0 {
			full.Ended++
		}
	}
	return full.Open, full
}
