package orders

import (
	"encoding/binary"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// Private returns an order for one run of the app that nobody but its owner can buy, at
// no price: what one pays to oneself would have to be staked, and shows nothing. A round
// after the first one, which is 0, is another order. Its salt makes it the same on every
// machine:
//
//	salt = keccak256("mrelease private apporder v1" ‖ round, 8 bytes big-endian ‖ hash of the order with salt 0, in its domain)
func Private(d poco.Domain, app, owner common.Address, tag poco.Tag, round uint64) poco.AppOrder {
	order := poco.AppOrder{App: app, AppPrice: new(big.Int), Volume: big.NewInt(1), Tag: tag, RequesterRestrict: owner}
	unsalted := order.Hash(d)
	order.Salt = crypto.Keccak256Hash([]byte("mrelease private apporder v1"), binary.BigEndian.AppendUint64(nil, round), unsalted[:])
	return order
}
