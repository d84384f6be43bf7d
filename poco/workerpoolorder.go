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

// workerpoolOrderJSON is an order as iExec's SDK and market write it; see appOrderJSON.
type workerpoolOrderJSON struct {
	Workerpool        common.Address        `json:"workerpool"`
	WorkerpoolPrice   *math.HexOrDecimal256 `json:"workerpoolprice"`
	Volume            *math.HexOrDecimal256 `json:"volume"`
	Tag               *Tag                  `json:"tag"`
	Category          *math.HexOrDecimal256 `json:"category"`
	Trust             *math.HexOrDecimal256 `json:"trust"`
	AppRestrict       common.Address        `json:"apprestrict"`
	DatasetRestrict   common.Address        `json:"datasetrestrict"`
	RequesterRestrict common.Address        `json:"requesterrestrict"`
	Salt              *common.Hash          `json:"salt"`
	Sign              hexutil.Bytes         `json:"sign"`
}

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedWorkerpoolOrder) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Workerpool        string        `json:"workerpool"`
		WorkerpoolPrice   string        `json:"workerpoolprice"`
		Volume            string        `json:"volume"`
		Tag               Tag           `json:"tag"`
		Category          string        `json:"category"`
		Trust             string        `json:"trust"`
		AppRestrict       string        `json:"apprestrict"`
		DatasetRestrict   string        `json:"datasetrestrict"`
		RequesterRestrict string        `json:"requesterrestrict"`
		Salt              common.Hash   `json:"salt"`
		Sign              hexutil.Bytes `json:"sign"`
	}{
		o.Workerpool.Hex(), o.WorkerpoolPrice.String(), o.Volume.String(), o.Tag, o.Category.String(), o.Trust.String(),
		o.AppRestrict.Hex(), o.DatasetRestrict.Hex(), o.RequesterRestrict.Hex(), o.Salt, o.Sign,
	})
}

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. A missing amount, tag
// or salt is an error.
func (o *SignedWorkerpoolOrder) UnmarshalJSON(data []byte) error {
	var w workerpoolOrderJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("decoding workerpoolorder: %w", err)
	}
	for _, amount := range []*math.HexOrDecimal256{w.WorkerpoolPrice, w.Volume, w.Category, w.Trust} {
		if amount == nil {
			return fmt.Errorf("decoding workerpoolorder: price, volume, category and trust are required")
		}
	}
	if w.Tag == nil || w.Salt == nil {
		return fmt.Errorf("decoding workerpoolorder: tag and salt are required")
	}
	*o = SignedWorkerpoolOrder{
		WorkerpoolOrder: WorkerpoolOrder{
			Workerpool: w.Workerpool, WorkerpoolPrice: (*big.Int)(w.WorkerpoolPrice), Volume: (*big.Int)(w.Volume), Tag: *w.Tag,
			Category: (*big.Int)(w.Category), Trust: (*big.Int)(w.Trust),
			AppRestrict: w.AppRestrict, DatasetRestrict: w.DatasetRestrict, RequesterRestrict: w.RequesterRestrict, Salt: *w.Salt,
		},
		Sign: w.Sign,
	}
	return nil
}
