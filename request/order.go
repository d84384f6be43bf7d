package request

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// OrderError says why an order is not signed.
type OrderError struct{ Problem string }

// Error implements error.
func (e *OrderError) Error() string { return "request order: " + e.Problem }

// Evidence returns why.
func (e *OrderError) Evidence() [][2]string { return [][2]string{{"problem", e.Problem}} }

// CheckParams says why no run can be given params, for an order's tag. Its error is an
// [*OrderError].
func CheckParams(text string, tag poco.Tag) error {
	params, err := poco.ParseParams(text)
	if err == nil {
		err = params.Check(tag)
	}
	if err != nil {
		return &OrderError{err.Error()}
	}
	return nil
}

// SignOrder signs an order as its requester. An order without a salt is given a random
// one: each request is a new one, although it asks for the same. Its error is an
// [*OrderError], or the wallet's.
func SignOrder(ctx context.Context, w node.Wallet, d poco.Domain, o poco.RequestOrder) (poco.SignedRequestOrder, error) {
	if o.Requester != w.Address {
		return poco.SignedRequestOrder{}, &OrderError{fmt.Sprintf("the requester is %s, and the wallet %s", o.Requester, w.Address)}
	}
	if err := CheckParams(o.Params, o.Tag); err != nil {
		return poco.SignedRequestOrder{}, err
	}
	if o.Salt == (common.Hash{}) {
		if _, err := rand.Read(o.Salt[:]); err != nil {
			return poco.SignedRequestOrder{}, fmt.Errorf("making salt: %w", err)
		}
	}
	sign, err := w.SignTypedData(ctx, o.TypedData(d))
	return poco.SignedRequestOrder{RequestOrder: o, Sign: sign}, err
}
