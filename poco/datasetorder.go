package poco

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
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

// datasetOrderJSON is an order as iExec's SDK and market write it; see appOrderJSON.
type datasetOrderJSON struct {
	Dataset            common.Address        `json:"dataset"`
	DatasetPrice       *math.HexOrDecimal256 `json:"datasetprice"`
	Volume             *math.HexOrDecimal256 `json:"volume"`
	Tag                *Tag                  `json:"tag"`
	AppRestrict        common.Address        `json:"apprestrict"`
	WorkerpoolRestrict common.Address        `json:"workerpoolrestrict"`
	RequesterRestrict  common.Address        `json:"requesterrestrict"`
	Salt               *common.Hash          `json:"salt"`
	Sign               hexutil.Bytes         `json:"sign"`
}

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedDatasetOrder) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Dataset            string        `json:"dataset"`
		DatasetPrice       string        `json:"datasetprice"`
		Volume             string        `json:"volume"`
		Tag                Tag           `json:"tag"`
		AppRestrict        string        `json:"apprestrict"`
		WorkerpoolRestrict string        `json:"workerpoolrestrict"`
		RequesterRestrict  string        `json:"requesterrestrict"`
		Salt               common.Hash   `json:"salt"`
		Sign               hexutil.Bytes `json:"sign"`
	}{
		o.Dataset.Hex(), o.DatasetPrice.String(), o.Volume.String(), o.Tag,
		o.AppRestrict.Hex(), o.WorkerpoolRestrict.Hex(), o.RequesterRestrict.Hex(), o.Salt, o.Sign,
	})
}

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. A missing price,
// volume, tag or salt is an error.
func (o *SignedDatasetOrder) UnmarshalJSON(data []byte) error {
	var w datasetOrderJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("decoding datasetorder: %w", err)
	}
	if w.DatasetPrice == nil || w.Volume == nil || w.Tag == nil || w.Salt == nil {
		return fmt.Errorf("decoding datasetorder: datasetprice, volume, tag and salt are required")
	}
	*o = SignedDatasetOrder{
		DatasetOrder: DatasetOrder{
			Dataset: w.Dataset, DatasetPrice: (*big.Int)(w.DatasetPrice), Volume: (*big.Int)(w.Volume), Tag: *w.Tag,
			AppRestrict: w.AppRestrict, WorkerpoolRestrict: w.WorkerpoolRestrict, RequesterRestrict: w.RequesterRestrict, Salt: *w.Salt,
		},
		Sign: w.Sign,
	}
	return nil
}
