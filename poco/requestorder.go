package poco

import (
	"bytes"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
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

// TypedData returns what the requester signs.
func (o RequestOrder) TypedData(d Domain) apitypes.TypedData {
	return d.typedData(requestOrderType, SignedRequestOrder{RequestOrder: o}.members())
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

// MarshalJSON writes the order as iExec's SDK does: addresses with their checksum,
// amounts as decimal strings.
func (o SignedRequestOrder) MarshalJSON() ([]byte, error) { return encode(o.members()) }

// UnmarshalJSON reads an order as iExec's SDK or market wrote it. Only addresses and the
// signature may be missing.
func (o *SignedRequestOrder) UnmarshalJSON(data []byte) error {
	w, err := decode[requestOrderMembers]("requestorder", data)
	if err == nil {
		*o = w.order()
	}
	return err
}
