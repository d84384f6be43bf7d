package poco

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
)

// appOrderArgument is an order as the hub's functions take it: the struct AppOrder of
// IexecLibOrders_v5.
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

// appOrderOperation is the struct AppOrderOperation of IexecLibOrders_v5.
type appOrderOperation struct {
	Order     appOrderArgument `abi:"order"`
	Operation uint8            `abi:"operation"`
	Sign      []byte           `abi:"sign"` // of somebody else's transaction
}

// closing is OrderOperationEnum.CLOSE.
const closing = 1

// Closing returns the argument of manageAppOrder with which the app's owner closes the
// order. It needs no signature: the owner sends the transaction.
func (o AppOrder) Closing() any {
	return appOrderOperation{Order: SignedAppOrder{AppOrder: o}.argument(), Operation: closing}
}
