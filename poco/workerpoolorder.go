package poco

import (
	"bytes"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
)

// WorkerpoolOrder is the offer of a workerpool's owner to run apps: the struct
// WorkerpoolOrder of IexecLibOrders_v5 without its signature.
type WorkerpoolOrder struct {
	Workerpool      common.Address
	WorkerpoolPrice *big.Int // per run, in nRLC
	Volume          *big.Int // number of runs
	Tag             Tag      // the most that a deal's tag may have
	Category        *big.Int // as that of a RequestOrder
	Trust           *big.Int // the most that a request may ask for

	// Who may use the order, as in an AppOrder.
	AppRestrict       common.Address
	DatasetRestrict   common.Address
	RequesterRestrict common.Address

	Salt common.Hash // makes orders that are alike distinct
}

// Hash returns the order's EIP-712 digest, which the owner signs and by which the hub
// and the market name the order.
func (o WorkerpoolOrder) Hash(d Domain) common.Hash {
	return d.digest(hashStruct(workerpoolOrderType,
		addressWord(o.Workerpool), common.BigToHash(o.WorkerpoolPrice), common.BigToHash(o.Volume), common.Hash(o.Tag),
		common.BigToHash(o.Category), common.BigToHash(o.Trust),
		addressWord(o.AppRestrict), addressWord(o.DatasetRestrict), addressWord(o.RequesterRestrict), o.Salt))
}

// SignedWorkerpoolOrder is a WorkerpoolOrder with the signature of the pool's owner.
type SignedWorkerpoolOrder struct {
	WorkerpoolOrder
	Sign []byte // as that of a SignedAppOrder
}

// Equal reports whether the two are the same offer under the same signature.
func (o SignedWorkerpoolOrder) Equal(p SignedWorkerpoolOrder) bool {
	return o.Hash(Domain{}) == p.Hash(Domain{}) && bytes.Equal(o.Sign, p.Sign)
}

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedWorkerpoolOrder) MarshalJSON() ([]byte, error) { return encode(o.members()) }

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. Only addresses and the
// signature may be missing.
func (o *SignedWorkerpoolOrder) UnmarshalJSON(data []byte) error {
	w, err := decode[workerpoolOrderMembers]("workerpoolorder", data)
	if err == nil {
		*o = w.order()
	}
	return err
}
