package orders

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Generations bounds how often an order that was closed is opened anew.
const Generations = 64

// NewGeneration returns the order that is opened when those of the generations before
// were closed or sold out: the same offer, with another salt. Generation 0 is that of
// [New]; for the others
//
//	salt = keccak256("mrelease apporder v1 generation" ‖ the generation, 8 bytes, big endian ‖ hash of the order with salt 0)
func NewGeneration(d poco.Domain, app common.Address, terms Terms, generation uint64) poco.AppOrder {
	order := terms.Unsalted(app)
	order.Salt = salt(d, order, generation)
	return order
}

// salt does not look at the salt that the order has.
func salt(d poco.Domain, order poco.AppOrder, generation uint64) common.Hash {
	order.Salt = common.Hash{}
	unsalted := order.Hash(d)
	if generation == 0 {
		return crypto.Keccak256Hash([]byte("mrelease apporder v1"), unsalted[:])
	}
	number := binary.BigEndian.AppendUint64(nil, generation)
	return crypto.Keccak256Hash([]byte("mrelease apporder v1 generation"), number, unsalted[:])
}

// IsOwn reports whether mrelease made an order: its salt is derived as mrelease's are.
// Anybody can derive it, but the order is its owner's only with the owner's signature.
func IsOwn(d poco.Domain, order poco.AppOrder) bool {
	for generation := range uint64(Generations) {
		if salt(d, order, generation) == order.Salt {
			return true
		}
	}
	return false
}

// GenerationsError says that an order was closed and opened anew as often as is done.
type GenerationsError struct {
	App   common.Address
	Chain string
}

func (e *GenerationsError) Error() string {
	return fmt.Sprintf("the order of app %s was closed, or sold out, %d times", e.App, Generations)
}

// Evidence returns which app's order it is.
func (e *GenerationsError) Evidence() [][2]string {
	return [][2]string{{"expected", fmt.Sprintf("runs left in one of %d generations of the order", Generations)}, {"actual", "none"}, {"where", e.App.Hex() + " on " + e.Chain}}
}

// Opened returns the order of the first generation of which runs are left, whether or not
// it was offered: each machine finds the same one. Errors: *GenerationsError,
// *node.RPCError.
func Opened(ctx context.Context, c *node.Client, app common.Address, terms Terms) (order poco.AppOrder, generation uint64, err error) {
	for n := range uint64(Generations) {
		order := NewGeneration(c.Domain(), app, terms, n)
		left, err := node.Remaining(ctx, c, order)
		if err != nil || left.Sign() > 0 {
			return order, n, err
		}
	}
	return poco.AppOrder{}, 0, &GenerationsError{app, c.Name}
}

// TermsOf are the terms of an order. Amounts that the market would not take are not
// kept: no order that it had has such.
func TermsOf(o poco.AppOrder) Terms {
	return Terms{
		Price: o.AppPrice.Uint64(), Volume: o.Volume.Uint64(), Tag: o.Tag,
		DatasetRestrict: o.DatasetRestrict, WorkerpoolRestrict: o.WorkerpoolRestrict, RequesterRestrict: o.RequesterRestrict,
	}
}
