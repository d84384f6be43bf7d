package market

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/publish/internal/redact"
)

// MaxOpen is how many open orders for apps iExec's market takes of a wallet.
const MaxOpen = 50

// FullError says that the market takes no more orders of a wallet.
type FullError struct {
	Wallet common.Address
	Open   uint64
	Market string
}

func (e *FullError) Error() string {
	return fmt.Sprintf("wallet %s has %d open orders in the market, which takes %d", e.Wallet, e.Open, MaxOpen)
}

// Evidence returns both numbers.
func (e *FullError) Evidence() [][2]string {
	return [][2]string{{"expected", fmt.Sprintf("less than %d open orders", MaxOpen)}, {"actual", fmt.Sprint(e.Open)}, {"where", e.Market}}
}

// CheckRoom counts a wallet's open orders for apps, and refuses with a *FullError where
// one more would be. Other errors: *Error.
func (m Client) CheckRoom(ctx context.Context, wallet common.Address) (open uint64, err error) {
	var answer struct {
		Count uint64 `json:"count"`
	}
	query := url.Values{"appOwner": {wallet.Hex()}, "pageSize": {"10"}}
	for _, who := range []string{"dataset", "workerpool", "requester"} {
		query.Set(who, "any") // or restricted orders are left out
	}
	if err := m.do(ctx, request{method: http.MethodGet, path: "/apporders", query: query}, &answer); err != nil {
		return 0, err
	}
	if answer.Count >= MaxOpen {
		return answer.Count, &FullError{wallet, answer.Count, redact.URL(m.URL)}
	}
	return answer.Count, nil
}
