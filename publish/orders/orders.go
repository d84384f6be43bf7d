package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Terms are what the owner of an app asks of those who run it.
type Terms struct {
	Price  uint64 // per run, in nRLC
	Volume uint64 // number of runs
	Tag    poco.Tag

	DatasetRestrict    common.Address
	WorkerpoolRestrict common.Address
	RequesterRestrict  common.Address
}

// New returns the app's order under the terms. Its salt is derived from
// the order itself, so that the same release makes the same order on every
// machine:
//
//	salt = keccak256("mrelease apporder v1" ‖ hash of the order with salt 0, in its domain)
func New(d poco.Domain, app common.Address, terms Terms) poco.AppOrder {
	order := terms.Unsalted(app)
	order.Salt = salt(d, order, 0)
	return order
}

// Unsalted returns the app's order under the terms without a salt, which no order is
// offered without.
func (terms Terms) Unsalted(app common.Address) poco.AppOrder {
	return poco.AppOrder{
		App:                app,
		AppPrice:           new(big.Int).SetUint64(terms.Price),
		Volume:             new(big.Int).SetUint64(terms.Volume),
		Tag:                terms.Tag,
		DatasetRestrict:    terms.DatasetRestrict,
		WorkerpoolRestrict: terms.WorkerpoolRestrict,
		RequesterRestrict:  terms.RequesterRestrict,
	}
}

// Offering is an order's place in the market.
type Offering struct {
	Order     poco.SignedAppOrder
	Hash      common.Hash
	Published bool // by this call; else it was there before
	Remaining uint64
}

// Sign signs an order as the app's owner.
func Sign(ctx context.Context, d poco.Domain, w node.Wallet, order poco.AppOrder) (poco.SignedAppOrder, error) {
	sig, err := w.SignTypedData(ctx, order.TypedData(d))
	return poco.SignedAppOrder{AppOrder: order, Sign: sig}, err
}

// Offer signs an order and puts it into the market. One that is there already, signed by
// the wallet, is used with the signature that it has there: a wallet may make another one
// each time. Else, and when it is dead there, it is published and read back: by its hash,
// and in the list of the app's orders.
//
// Errors: *node.OrderError when the order came to its end on chain (a release is
// withdrawn for good by cancelling its order), *market.FullError, *market.UnlistedError, *market.Error,
// *node.RPCError.
func Offer(ctx context.Context, c *node.Client, m market.Client, w node.Wallet, order poco.AppOrder) (Offering, error) {
	if err := market.CheckOpen(ctx, c, m, order); err != nil {
		return Offering{}, err
	}
	offering, err := FindOffer(ctx, c, m, poco.SignedAppOrder{AppOrder: order}, w.Address)
	if CanPublish(err) {
		offering, err = publish(ctx, c, m, w, order)
	}
	if err != nil {
		return Offering{}, err
	}
	// In another form than wallets write, which contracts take too, it is signed anew for
	// what else it is to be shown to.
	_ = w.RecallTypedData(order.TypedData(c.Domain()), offering.Order.Sign)
	return offering, m.CheckListed(ctx, order.App, offering.Hash)
}

// publish signs an order, puts it into the market and reads it back.
func publish(ctx context.Context, c *node.Client, m market.Client, w node.Wallet, order poco.AppOrder) (Offering, error) {
	signed, err := Sign(ctx, c.Domain(), w, order)
	if err != nil {
		return Offering{}, err
	}
	if _, err := market.CheckOrder(ctx, c, m, signed, w.Address); err != nil {
		return Offering{}, err
	}
	published := market.Publish(ctx, m, w, signed)
	offering, err := FindOffer(ctx, c, m, signed, w.Address)
	if err != nil && published != nil { // refused, and no parallel run of the same release put it there
		return Offering{}, whyRefused(ctx, c, m, w, published)
	}
	offering.Published = published == nil
	return offering, err
}

// whyRefused returns why the market did not take an order: its words, or that it takes no
// more of the wallet, of whom other jobs may publish too.
func whyRefused(ctx context.Context, c *node.Client, m market.Client, w node.Wallet, published error) error {
	if market.Answered(published, http.StatusForbidden) {
		var full *market.FullError
		if _, err := m.CheckRoom(ctx, c, w.Address); errors.As(err, &full) {
			return full
		}
	}
	return fmt.Errorf("publishing order: %w", published)
}

// CanPublish reports whether an order that was looked for with this outcome would be
// taken by the market: it is not there, or dead.
func CanPublish(err error) bool {
	var absent *NotOfferedError
	var end *node.OrderError
	return errors.As(err, &absent) || errors.As(err, &end) && end.State == node.Dead
}

// NotOfferedError says that the market does not have an order.
type NotOfferedError struct {
	Hash   common.Hash
	Market string
}

func (e *NotOfferedError) Error() string {
	return fmt.Sprintf("the market does not have order %s", e.Hash)
}

// Evidence returns where it was looked for.
func (e *NotOfferedError) Evidence() [][2]string {
	return [][2]string{{"order", e.Hash.Hex()}, {"where", e.Market}}
}

// FindOffer reads an order back from the market and compares it. Another signature there
// than the one that is known, if any is, must be the owner's too. Errors: *NotOfferedError,
// *node.OrderError when it is not open or not the same, *market.Error, *node.RPCError.
func FindOffer(ctx context.Context, c *node.Client, m market.Client, order poco.SignedAppOrder, owner common.Address) (Offering, error) {
	there, err := FindOrder(ctx, c, m, order.AppOrder)
	if err != nil {
		return Offering{}, err
	}
	if len(order.Sign) == 0 || !there.Order.Equal(order) {
		signed, err := node.IsSigned(ctx, c, there.Order, owner)
		if err != nil {
			return Offering{}, err
		}
		if !signed {
			return Offering{}, another(m, there, order)
		}
	}
	return Offering{Order: there.Order, Hash: there.Hash, Remaining: there.Remaining}, nil
}

// FindOrder is FindOffer for whom it does not matter who signed it: it compares all but
// that.
func FindOrder(ctx context.Context, c *node.Client, m market.Client, order poco.AppOrder) (*market.Order[poco.SignedAppOrder], error) {
	hash := order.Hash(c.Domain())
	there, err := market.Find[poco.SignedAppOrder](ctx, m, hash)
	if err != nil {
		return nil, err
	}
	if there == nil {
		return nil, &NotOfferedError{hash, redact.URL(m.URL)}
	}
	if there.Hash != hash || !there.Order.AppOrder.Equal(order) {
		there.Hash = hash
		return nil, another(m, there, poco.SignedAppOrder{AppOrder: order})
	}
	if err := market.CheckEnd(m, there); err != nil {
		return nil, err
	}
	if left := new(big.Int).SetUint64(there.Remaining); left.Cmp(order.Volume) > 0 {
		return nil, &node.OrderError{
			Hash: hash, Problem: "has more runs in the market than it is for",
			Got: left.String() + " remaining", Want: "at most " + order.Volume.String(), Where: redact.URL(m.URL),
		}
	}
	return there, nil
}

func another(m market.Client, there *market.Order[poco.SignedAppOrder], want poco.SignedAppOrder) error {
	return &node.OrderError{
		Hash: there.Hash, Problem: "is another one in the market",
		Got: describeOrder(there.Order), Want: describeOrder(want), Where: redact.URL(m.URL),
	}
}

// describeOrder is for people; an order that cannot be encoded does not occur.
func describeOrder(o poco.SignedAppOrder) string {
	text, err := json.Marshal(o)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
