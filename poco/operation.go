package poco

import (
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/signer/core/apitypes"
)

// What follows are the structs of IexecLibOrders_v5: the arguments of the hub's functions,
// and, under the same names, what iExec's SDK and market write.

type appOrderMembers struct {
	App                common.Address `abi:"app"`
	AppPrice           *big.Int       `abi:"appprice"`
	Volume             *big.Int       `abi:"volume"`
	Tag                Tag            `abi:"tag"`
	DatasetRestrict    common.Address `abi:"datasetrestrict"`
	WorkerpoolRestrict common.Address `abi:"workerpoolrestrict"`
	RequesterRestrict  common.Address `abi:"requesterrestrict"`
	Salt               common.Hash    `abi:"salt"`
	Sign               []byte         `abi:"sign"`
}

func (o SignedAppOrder) members() appOrderMembers {
	return appOrderMembers{o.App, o.AppPrice, o.Volume, o.Tag, o.DatasetRestrict, o.WorkerpoolRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

func (m appOrderMembers) order() SignedAppOrder {
	return SignedAppOrder{AppOrder{m.App, m.AppPrice, m.Volume, m.Tag, m.DatasetRestrict, m.WorkerpoolRestrict, m.RequesterRestrict, m.Salt}, m.Sign}
}

type datasetOrderMembers struct {
	Dataset            common.Address `abi:"dataset"`
	DatasetPrice       *big.Int       `abi:"datasetprice"`
	Volume             *big.Int       `abi:"volume"`
	Tag                Tag            `abi:"tag"`
	AppRestrict        common.Address `abi:"apprestrict"`
	WorkerpoolRestrict common.Address `abi:"workerpoolrestrict"`
	RequesterRestrict  common.Address `abi:"requesterrestrict"`
	Salt               common.Hash    `abi:"salt"`
	Sign               []byte         `abi:"sign"`
}

func (o SignedDatasetOrder) members() datasetOrderMembers {
	return datasetOrderMembers{o.Dataset, o.DatasetPrice, o.Volume, o.Tag, o.AppRestrict, o.WorkerpoolRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

func (m datasetOrderMembers) order() SignedDatasetOrder {
	return SignedDatasetOrder{DatasetOrder{m.Dataset, m.DatasetPrice, m.Volume, m.Tag, m.AppRestrict, m.WorkerpoolRestrict, m.RequesterRestrict, m.Salt}, m.Sign}
}

type workerpoolOrderMembers struct {
	Workerpool        common.Address `abi:"workerpool"`
	WorkerpoolPrice   *big.Int       `abi:"workerpoolprice"`
	Volume            *big.Int       `abi:"volume"`
	Tag               Tag            `abi:"tag"`
	Category          *big.Int       `abi:"category"`
	Trust             *big.Int       `abi:"trust"`
	AppRestrict       common.Address `abi:"apprestrict"`
	DatasetRestrict   common.Address `abi:"datasetrestrict"`
	RequesterRestrict common.Address `abi:"requesterrestrict"`
	Salt              common.Hash    `abi:"salt"`
	Sign              []byte         `abi:"sign"`
}

func (o SignedWorkerpoolOrder) members() workerpoolOrderMembers {
	return workerpoolOrderMembers{o.Workerpool, o.WorkerpoolPrice, o.Volume, o.Tag, o.Category, o.Trust, o.AppRestrict, o.DatasetRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

func (m workerpoolOrderMembers) order() SignedWorkerpoolOrder {
	return SignedWorkerpoolOrder{WorkerpoolOrder{m.Workerpool, m.WorkerpoolPrice, m.Volume, m.Tag, m.Category, m.Trust, m.AppRestrict, m.DatasetRestrict, m.RequesterRestrict, m.Salt}, m.Sign}
}

type requestOrderMembers struct {
	App                common.Address `abi:"app"`
	AppMaxPrice        *big.Int       `abi:"appmaxprice"`
	Dataset            common.Address `abi:"dataset"`
	DatasetMaxPrice    *big.Int       `abi:"datasetmaxprice"`
	Workerpool         common.Address `abi:"workerpool"`
	WorkerpoolMaxPrice *big.Int       `abi:"workerpoolmaxprice"`
	Requester          common.Address `abi:"requester"`
	Volume             *big.Int       `abi:"volume"`
	Tag                Tag            `abi:"tag"`
	Category           *big.Int       `abi:"category"`
	Trust              *big.Int       `abi:"trust"`
	Beneficiary        common.Address `abi:"beneficiary"`
	Callback           common.Address `abi:"callback"`
	Params             string         `abi:"params"`
	Salt               common.Hash    `abi:"salt"`
	Sign               []byte         `abi:"sign"`
}

func (o SignedRequestOrder) members() requestOrderMembers {
	return requestOrderMembers{
		o.App, o.AppMaxPrice, o.Dataset, o.DatasetMaxPrice, o.Workerpool, o.WorkerpoolMaxPrice, o.Requester, o.Volume, o.Tag,
		o.Category, o.Trust, o.Beneficiary, o.Callback, o.Params, o.Salt, o.Sign,
	}
}

func (m requestOrderMembers) order() SignedRequestOrder {
	return SignedRequestOrder{RequestOrder{
		m.App, m.AppMaxPrice, m.Dataset, m.DatasetMaxPrice, m.Workerpool, m.WorkerpoolMaxPrice, m.Requester, m.Volume, m.Tag,
		m.Category, m.Trust, m.Beneficiary, m.Callback, m.Params, m.Salt,
	}, m.Sign}
}

// operation is the struct AppOrderOperation, RequestOrderOperation and so on.
type operation[T any] struct {
	Order     T      `abi:"order"`
	Operation uint8  `abi:"operation"`
	Sign      []byte `abi:"sign"` // of somebody else's transaction
}

// Runs returns the order's volume.
func (o AppOrder) Runs() *big.Int { return o.Volume }

// Runs returns the order's volume.
func (o RequestOrder) Runs() *big.Int { return o.Volume }

// What OrderOperationEnum names SIGN and CLOSE.
const (
	presigning = 0
	closing    = 1
)

// Presigning returns the hub's method and its argument with which the app's owner gives its
// word for the order by a transaction of its own, in place of a signature. The order is then
// matched without one.
func (o AppOrder) Presigning() (method string, argument any) {
	return "manageAppOrder", operation[appOrderMembers]{SignedAppOrder{AppOrder: o}.members(), presigning, nil}
}

// Closing returns the hub's method and its argument with which the order is closed in the
// name of the app's owner. The owner's own transaction needs no signature; anybody else's
// has the owner's of [AppOrder.ClosingData].
func (o AppOrder) Closing(signature []byte) (method string, argument any) {
	return "manageAppOrder", operation[appOrderMembers]{SignedAppOrder{AppOrder: o}.members(), closing, signature}
}

// Closing returns those with which the order is closed in the requester's name, likewise.
func (o RequestOrder) Closing(signature []byte) (method string, argument any) {
	return "manageRequestOrder", operation[requestOrderMembers]{SignedRequestOrder{RequestOrder: o}.members(), closing, signature}
}

// ClosingData returns what the app's owner signs, so that somebody else can close the order:
// the struct AppOrderOperation of IexecLibOrders_v5.
func (o AppOrder) ClosingData(d Domain) apitypes.TypedData {
	return d.operationData(appOrderType, SignedAppOrder{AppOrder: o}.members())
}

// ClosingData returns what the requester signs, likewise.
func (o RequestOrder) ClosingData(d Domain) apitypes.TypedData {
	return d.operationData(requestOrderType, SignedRequestOrder{RequestOrder: o}.members())
}

// operationData puts what is shown of an order into what is shown of its closing.
func (d Domain) operationData(orderType string, members any) apitypes.TypedData {
	data := d.typedData(orderType, members)
	order := data.PrimaryType
	data.PrimaryType += "Operation"
	data.Types[data.PrimaryType] = []apitypes.Type{{Name: "order", Type: order}, {Name: "operation", Type: "uint256"}}
	data.Message = apitypes.TypedDataMessage{"order": map[string]any(data.Message), "operation": strconv.Itoa(closing)}
	return data
}
