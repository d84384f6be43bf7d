package orders

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// Committed returns the order with a salt that names a document, whatever salt it had: who
// gives their word for the order gives it for the document, too. An owner that is a contract
// signs nothing, so this is how it vouches for the record of a release. document is the
// SHA-256 of its bytes. A generation after the first one, which is 0, is the same offer and
// the same document again, as for [NewGeneration].
//
//	salt = keccak256("mrelease apporder v1 record" ‖ document ‖ hash of the order with salt 0, in its domain)
//	salt = keccak256("mrelease apporder v1 record generation" ‖ the generation, 8 bytes, big endian ‖ document ‖ hash of the order with salt 0)
func Committed(d poco.Domain, order poco.AppOrder, document [sha256.Size]byte, generation uint64) poco.AppOrder {
	order.Salt = common.Hash{}
	unsalted := order.Hash(d)
	if generation == 0 {
		order.Salt = crypto.Keccak256Hash([]byte("mrelease apporder v1 record"), document[:], unsalted[:])
		return order
	}
	number := binary.BigEndian.AppendUint64(nil, generation)
	order.Salt = crypto.Keccak256Hash([]byte("mrelease apporder v1 record generation"), number, document[:], unsalted[:])
	return order
}

// Commits reports whether an order's salt names a document, in whichever generation.
func Commits(d poco.Domain, order poco.AppOrder, document [sha256.Size]byte) bool {
	for generation := range uint64(Generations) {
		if Committed(d, order, document, generation).Salt == order.Salt {
			return true
		}
	}
	return false
}
