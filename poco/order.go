package poco

import (
	"bytes"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// MaxAmount is the highest price (in nRLC) and the highest volume that the
// market takes: 2^53-1. The contracts themselves take any uint256.
const MaxAmount = 1<<53 - 1

// AppOrder is the offer of an app's owner to sell runs of the app: the struct
// AppOrder of IexecLibOrders_v5 without its signature.
type AppOrder struct {
	App      common.Address
	AppPrice *big.Int // per run, in nRLC (1 RLC = 10^9 nRLC)
	Volume   *big.Int // number of runs
	Tag      Tag

	// Who may use the order: the zero address is anybody, another one that
	// address or the members of the group contract there.
	DatasetRestrict    common.Address
	WorkerpoolRestrict common.Address
	RequesterRestrict  common.Address

	Salt common.Hash // makes orders that are alike distinct
}

// Hash returns the order's EIP-712 digest, which the owner signs and by which
// the hub and the market name the order.
func (o AppOrder) Hash(d Domain) common.Hash {
	return d.digest(hashStruct(appOrderType,
		addressWord(o.App), common.BigToHash(o.AppPrice), common.BigToHash(o.Volume), common.Hash(o.Tag),
		addressWord(o.DatasetRestrict), addressWord(o.WorkerpoolRestrict), addressWord(o.RequesterRestrict), o.Salt))
}

// TypedData returns what the owner signs.
func (o AppOrder) TypedData(d Domain) apitypes.TypedData {
	return d.typedData(appOrderType, SignedAppOrder{AppOrder: o}.members())
}

// Equal reports whether the two orders are the same offer.
func (o AppOrder) Equal(p AppOrder) bool { return o.Hash(Domain{}) == p.Hash(Domain{}) }

// SignedAppOrder is an AppOrder with the signature of the app's owner.
type SignedAppOrder struct {
	AppOrder
	Sign []byte // 65 bytes r ‖ s ‖ v; the contract also takes 64 (EIP-2098) and what an ERC-1271 owner accepts
}

// Equal reports whether the two are the same offer under the same signature.
func (o SignedAppOrder) Equal(p SignedAppOrder) bool {
	return o.AppOrder.Equal(p.AppOrder) && bytes.Equal(o.Sign, p.Sign)
}

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedAppOrder) MarshalJSON() ([]byte, error) { return encode(o.members()) }

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. Only addresses and the
// signature may be missing.
func (o *SignedAppOrder) UnmarshalJSON(data []byte) error {
	w, err := decode[appOrderMembers]("apporder", data)
	if err == nil {
		*o = w.order()
	}
	return err
}
