package orders

import (
	"crypto/sha256"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// Committed returns the order with a salt that names a document, whatever salt it had: who
// gives their word for the order gives it for the document, too. An owner that is a contract
// signs nothing, so this is how it vouches for the record of a release. document is the
// SHA-256 of its bytes.
//
//	salt = keccak256("mrelease apporder v1 record" ‖ document ‖ hash of the order with salt 0, in its domain)
func Committed(d poco.Domain, order poco.AppOrder, document [sha256.Size]byte) poco.AppOrder {
	order.Salt = common.Hash{}
	unsalted := order.Hash(d)
	order.Salt = crypto.Keccak256Hash([]byte("mrelease apporder v1 record"), document[:], unsalted[:])
	return order
}
