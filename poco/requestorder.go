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

// RequestOrder is a requester's offer to buy runs of an app: IexecLibOrders_v5.RequestOrder
// in PoCo. Prices are the most that is paid for a run, in nRLC.
type RequestOrder struct {
	App                common.Address
	AppMaxPrice        *big.Int
	Dataset            common.Address // zero: none
	DatasetMaxPrice    *big.Int
	Workerpool         common.Address // zero: any; also a group contract
	WorkerpoolMaxPrice *big.Int
	Requester          common.Address // who signs and pays
	Volume             *big.Int       // number of runs
	Tag                Tag
	Category           *big.Int // how long a run may take: 0 (XS, 300 s) to 4 (XL, 36,000 s)
	Trust              *big.Int
	Beneficiary        common.Address // whose result it is
	Callback           common.Address // contract that is called with the result; zero: none
	Params             string         // see Params
	Salt               common.Hash    // makes orders that are alike distinct
}

// Hash returns the order's EIP-712 digest, which the requester signs and by which the
// hub and the market name the order.
func (o RequestOrder) Hash(d Domain) common.Hash {
	return d.digest(hashStruct(requestOrderType,
		addressWord(o.App), common.BigToHash(o.AppMaxPrice), addressWord(o.Dataset), common.BigToHash(o.DatasetMaxPrice),
		addressWord(o.Workerpool), common.BigToHash(o.WorkerpoolMaxPrice), addressWord(o.Requester), common.BigToHash(o.Volume),
		common.Hash(o.Tag), common.BigToHash(o.Category), common.BigToHash(o.Trust), addressWord(o.Beneficiary),
		addressWord(o.Callback), hashString(o.Params), o.Salt))
}

// MostPaid returns what all runs of the order may cost together, in nRLC: what the
// requester's stake in the hub has to cover.
func (o RequestOrder) MostPaid() *big.Int {
	run := new(big.Int).Add(o.AppMaxPrice, o.DatasetMaxPrice)
	return run.Add(run, o.WorkerpoolMaxPrice).Mul(run, o.Volume)
}

// SignedRequestOrder is a RequestOrder with the signature of its requester.
type SignedRequestOrder struct {
	RequestOrder
	Sign []byte // as that of a SignedAppOrder
}

// Equal reports whether the two are the same order under the same signature.
func (o SignedRequestOrder) Equal(p SignedRequestOrder) bool {
	return o.Hash(Domain{}) == p.Hash(Domain{}) && bytes.Equal(o.Sign, p.Sign)
}

// requestOrderJSON is an order as iExec's SDK and market write it; see appOrderJSON.
type requestOrderJSON struct {
	App                common.Address        `json:"app"`
	AppMaxPrice        *math.HexOrDecimal256 `json:"appmaxprice"`
	Dataset            common.Address        `json:"dataset"`
	DatasetMaxPrice    *math.HexOrDecimal256 `json:"datasetmaxprice"`
	Workerpool         common.Address        `json:"workerpool"`
	WorkerpoolMaxPrice *math.HexOrDecimal256 `json:"workerpoolmaxprice"`
	Requester          common.Address        `json:"requester"`
	Volume             *math.HexOrDecimal256 `json:"volume"`
	Tag                *Tag                  `json:"tag"`
	Category           *math.HexOrDecimal256 `json:"category"`
	Trust              *math.HexOrDecimal256 `json:"trust"`
	Beneficiary        common.Address        `json:"beneficiary"`
	Callback           common.Address        `json:"callback"`
	Params             *string               `json:"params"`
	Salt               *common.Hash          `json:"salt"`
	Sign               hexutil.Bytes         `json:"sign"`
}

// MarshalJSON writes the order with the values that iExec's SDK writes: addresses with
// their checksum, amounts as decimal strings.
func (o SignedRequestOrder) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		App                string        `json:"app"`
		AppMaxPrice        string        `json:"appmaxprice"`
		Dataset            string        `json:"dataset"`
		DatasetMaxPrice    string        `json:"datasetmaxprice"`
		Workerpool         string        `json:"workerpool"`
		WorkerpoolMaxPrice string        `json:"workerpoolmaxprice"`
		Requester          string        `json:"requester"`
		Volume             string        `json:"volume"`
		Tag                Tag           `json:"tag"`
		Category           string        `json:"category"`
		Trust              string        `json:"trust"`
		Beneficiary        string        `json:"beneficiary"`
		Callback           string        `json:"callback"`
		Params             string        `json:"params"`
		Salt               common.Hash   `json:"salt"`
		Sign               hexutil.Bytes `json:"sign"`
	}{
		o.App.Hex(), o.AppMaxPrice.String(), o.Dataset.Hex(), o.DatasetMaxPrice.String(), o.Workerpool.Hex(), o.WorkerpoolMaxPrice.String(),
		o.Requester.Hex(), o.Volume.String(), o.Tag, o.Category.String(), o.Trust.String(), o.Beneficiary.Hex(), o.Callback.Hex(),
		o.Params, o.Salt, o.Sign,
	})
}

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. A missing amount,
// tag, params or salt is an error.
func (o *SignedRequestOrder) UnmarshalJSON(data []byte) error {
	var w requestOrderJSON
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("decoding requestorder: %w", err)
	}
	for _, amount := range []*math.HexOrDecimal256{w.AppMaxPrice, w.DatasetMaxPrice, w.WorkerpoolMaxPrice, w.Volume, w.Category, w.Trust} {
		if amount == nil {
			return fmt.Errorf("decoding requestorder: the three maximum prices, volume, category and trust are required")
		}
	}
	if w.Tag == nil || w.Params == nil || w.Salt == nil {
		return fmt.Errorf("decoding requestorder: tag, params and salt are required")
	}
	*o = SignedRequestOrder{
		RequestOrder: RequestOrder{
			App: w.App, AppMaxPrice: (*big.Int)(w.AppMaxPrice), Dataset: w.Dataset, DatasetMaxPrice: (*big.Int)(w.DatasetMaxPrice),
			Workerpool: w.Workerpool, WorkerpoolMaxPrice: (*big.Int)(w.WorkerpoolMaxPrice), Requester: w.Requester, Volume: (*big.Int)(w.Volume),
			Tag: *w.Tag, Category: (*big.Int)(w.Category), Trust: (*big.Int)(w.Trust), Beneficiary: w.Beneficiary, Callback: w.Callback,
			Params: *w.Params, Salt: *w.Salt,
		},
		Sign: w.Sign,
	}
	return nil
}
