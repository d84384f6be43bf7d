package poco

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
)

// What follows are the structs of IexecLibOrders_v5 as the hub's functions take them.

type appOrderArgument struct {
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

func (o SignedAppOrder) argument() appOrderArgument {
	return appOrderArgument{o.App, o.AppPrice, o.Volume, o.Tag, o.DatasetRestrict, o.WorkerpoolRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

type datasetOrderArgument struct {
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

func (o SignedDatasetOrder) argument() datasetOrderArgument {
	return datasetOrderArgument{o.Dataset, o.DatasetPrice, o.Volume, o.Tag, o.AppRestrict, o.WorkerpoolRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

type workerpoolOrderArgument struct {
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

func (o SignedWorkerpoolOrder) argument() workerpoolOrderArgument {
	return workerpoolOrderArgument{o.Workerpool, o.WorkerpoolPrice, o.Volume, o.Tag, o.Category, o.Trust, o.AppRestrict, o.DatasetRestrict, o.RequesterRestrict, o.Salt, o.Sign}
}

type requestOrderArgument struct {
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

func (o SignedRequestOrder) argument() requestOrderArgument {
	return requestOrderArgument{
		o.App, o.AppMaxPrice, o.Dataset, o.DatasetMaxPrice, o.Workerpool, o.WorkerpoolMaxPrice, o.Requester, o.Volume, o.Tag,
		o.Category, o.Trust, o.Beneficiary, o.Callback, o.Params, o.Salt, o.Sign,
	}
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

// closing is OrderOperationEnum.CLOSE.
const closing = 1

// Closing returns the hub's method and its argument with which the app's owner closes the
// order. It needs no signature: the owner sends the transaction.
func (o AppOrder) Closing() (method string, argument any) {
	return "manageAppOrder", operation[appOrderArgument]{Order: SignedAppOrder{AppOrder: o}.argument(), Operation: closing}
}

// Closing returns those with which the requester closes the order, likewise.
func (o RequestOrder) Closing() (method string, argument any) {
	return "manageRequestOrder", operation[requestOrderArgument]{Order: SignedRequestOrder{RequestOrder: o}.argument(), Operation: closing}
}
