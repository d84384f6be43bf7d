package poco

import (
	"bytes"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
)

// DatasetOrder is the offer of a dataset's owner to let runs use it: the struct
// DatasetOrder of IexecLibOrders_v5 without its signature.
type DatasetOrder struct {
	Dataset      common.Address
	DatasetPrice *big.Int // per run, in nRLC
	Volume       *big.Int // number of runs
	Tag          Tag      // what a deal's tag must have

	// Who may use the order, as in an AppOrder.
	AppRestrict        common.Address
	WorkerpoolRestrict common.Address
	RequesterRestrict  common.Address

	Salt common.Hash // makes orders that are alike distinct
}

// Hash returns the order's EIP-712 digest, which the owner signs and by which the hub
// and the market name the order.
func (o DatasetOrder) Hash(d Domain) common.Hash {
	return d.digest(hashStruct(datasetOrderType,
		addressWord(o.Dataset), common.BigToHash(o.DatasetPrice), common.BigToHash(o.Volume), common.Hash(o.Tag),
		addressWord(o.AppRestrict), addressWord(o.WorkerpoolRestrict), addressWord(o.RequesterRestrict), o.Salt))
}

// SignedDatasetOrder is a DatasetOrder with the signature of the dataset's owner.
type SignedDatasetOrder struct {
	DatasetOrder
	Sign []byte // as that of a SignedAppOrder
}

// Equal reports whether the two are the same offer under the same signature.
func (o SignedDatasetOrder) Equal(p SignedDatasetOrder) bool {
	return o.Hash(Domain{}) == p.Hash(Domain{}) && bytes.Equal(o.Sign, p.Sign)
}

// NoDataset returns the order that stands for none in a match.
func NoDataset() SignedDatasetOrder {
	return SignedDatasetOrder{DatasetOrder: DatasetOrder{DatasetPrice: new(big.Int), Volume: new(big.Int)}}
}

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedDatasetOrder) MarshalJSON() ([]byte, error) { return encode(o.members()) }

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. Only addresses and the
// signature may be missing.
func (o *SignedDatasetOrder) UnmarshalJSON(data []byte) error {
	w, err := decode[datasetOrderMembers]("datasetorder", data)
	if err == nil {
		*o = w.order()
	}
	return err
}
