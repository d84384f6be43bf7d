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
	order.Salt = committing(order.Hash(d), document, generation)
	return order
}

// committing is the salt of an order that has the hash unsalted with salt 0.
func committing(unsalted common.Hash, document [sha256.Size]byte, generation uint64) common.Hash {
	if generation == 0 {
		return crypto.Keccak256Hash([]byte("mrelease apporder v1 record"), document[:], unsalted[:])
	}
	number := binary.BigEndian.AppendUint64(nil, generation)
	return crypto.Keccak256Hash([]byte("mrelease apporder v1 record generation"), number, document[:], unsalted[:])
}

// Commits reports whether an order's salt names a document, in whichever generation.
func Commits(d poco.Domain, order poco.AppOrder, document [sha256.Size]byte) bool {
	salt := order.Salt
	order.Salt = common.Hash{}
	unsalted := order.Hash(d)
	for generation := range uint64(Generations) {
		if committing(unsalted, document, generation) == salt {
			return true
		}
	}
	return false
}
