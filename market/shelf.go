package market

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// OnSale returns the open orders for apps that a wallet signed, restricted ones too: all
// of the market's list. What the chain knows of them the list may not know yet.
//
// Errors: *Error, *bounds.Error for a list that is longer than is read.
func (m Client) OnSale(ctx context.Context, wallet common.Address) ([]Order[poco.SignedAppOrder], error) {
	all, count, err := List[poco.SignedAppOrder](ctx, m, url.Values{"appOwner": {wallet.Hex()}})
	if err != nil {
		return nil, err
	}
	if count > uint64(len(all)) {
		return nil, &bounds.Error{Where: m.Node(), What: "the number of open orders of " + wallet.Hex(), Most: fmt.Sprint(bounds.Orders), Got: fmt.Sprint(count)}
	}
	for _, o := range all {
		if o.Order.AppPrice == nil {
			return nil, &Error{m.Node(), "GET /apporders", http.StatusOK, "its list has an order that is none", nil}
		}
	}
	return all, nil
}

// StillListedError says that the market took an order off its list, and has it there all
// the same.
type StillListedError struct {
	Hash   common.Hash
	Market string
}

func (e *StillListedError) Error() string {
	return fmt.Sprintf("order %s was taken out of the market, which still has it as open", e.Hash)
}

// Evidence returns the order and where it is.
func (e *StillListedError) Evidence() [][2]string {
	return [][2]string{{"expected", "order " + e.Hash.Hex() + " not open"}, {"actual", string(StatusOpen)}, {"where", e.Market}}
}

// Unpublish takes an order out of the market, and reads back that it is open there no
// more; one that is not open is left. Whoever kept the signed order can still have it
// matched: only closing it on chain ends that. done tells whether this call took it out.
//
// Errors: *StillListedError, *Error.
func (m Client) Unpublish(ctx context.Context, w node.Wallet, hash common.Hash) (done bool, err error) {
	if open, err := m.isOpen(ctx, hash); err != nil || !open {
		return false, err
	}
	taking := m.unpublish(ctx, w, hash)
	for _, wait := range lags() {
		if err := sleep(ctx, wait); err != nil {
			return false, err
		}
		open, err := m.isOpen(ctx, hash)
		if err != nil {
			return false, err
		}
		if !open { // the market may have seen meanwhile that it ended, and refused
			return taking == nil, nil
		}
		if taking != nil {
			return false, fmt.Errorf("taking order out of the market: %w", taking)
		}
	}
	return false, &StillListedError{hash, redact.URL(m.URL)}
}

func (m Client) isOpen(ctx context.Context, hash common.Hash) (bool, error) {
	there, err := Find[poco.SignedAppOrder](ctx, m, hash)
	return err == nil && there != nil && there.Status == StatusOpen, err
}

// unpublish asks for it.
func (m Client) unpublish(ctx context.Context, w node.Wallet, hash common.Hash) error {
	body, err := json.Marshal(map[string]string{"target": "unpublish_orderHash", "orderHash": hash.Hex()})
	if err != nil {
		return fmt.Errorf("encoding request: %w", err)
	}
	return m.loggedIn(ctx, w, request{method: http.MethodPut, path: "/apporders", body: body})
}
