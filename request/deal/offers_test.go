package deal

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// The cheapest offer that is told is one that a request could have for its price: none that
// is for somebody else, for another tag or for fewer runs, whatever that costs.
func TestCheapestThatCanBeHad(t *testing.T) {
	app, me := common.Address{1}, common.Address{3}
	request := poco.SignedRequestOrder{RequestOrder: poco.RequestOrder{
		App: app, AppMaxPrice: big.NewInt(2), DatasetMaxPrice: new(big.Int), WorkerpoolMaxPrice: big.NewInt(2), Requester: me,
		Volume: big.NewInt(2), Category: new(big.Int), Trust: big.NewInt(1), Tag: poco.TEE(),
	}}
	sold := func(price int64, change func(*poco.AppOrder)) poco.SignedAppOrder {
		o := poco.AppOrder{App: app, AppPrice: big.NewInt(price), Volume: big.NewInt(2), Tag: poco.TEE()}
		change(&o)
		return poco.SignedAppOrder{AppOrder: o}
	}
	pool := func(price, trust int64, tag poco.Tag) poco.SignedWorkerpoolOrder {
		return poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{
			Workerpool: common.Address{2}, WorkerpoolPrice: big.NewInt(price), Volume: big.NewInt(2), Category: new(big.Int), Trust: big.NewInt(trust), Tag: tag,
		}}
	}
	o := Offers{
		Apps: []poco.SignedAppOrder{
			sold(3, func(o *poco.AppOrder) { o.RequesterRestrict = common.Address{9} }),
			sold(4, func(o *poco.AppOrder) { o.Tag[0] = 1 }),
			sold(5, func(o *poco.AppOrder) { o.Volume = big.NewInt(1) }),
			sold(6, func(o *poco.AppOrder) { o.Tag = poco.Tag{} }),
			sold(7, func(*poco.AppOrder) {}), sold(8, func(*poco.AppOrder) {}),
		},
		Datasets:    []poco.SignedDatasetOrder{poco.NoDataset()},
		Workerpools: []poco.SignedWorkerpoolOrder{pool(3, 0, poco.TEE()), pool(4, 1, poco.Tag{}), pool(5, 1, poco.TEE())},
	}
	s := Trade{Chain: &node.Client{Chain: poco.Chain{ID: 5}}}.search(context.Background(), request, big.NewInt(2))
	s.groups[[2]common.Address{{9}, me}] = false // and no node is asked
	_, err := s.best(o)
	none, ok := errors.AsType[*NoMatchError](err)
	want := []Lack{
		{OfApp, 6, "none of 6 open orders of the app can be used (1: is for fewer runs than are wanted (2); 1: its tag has bits that the request's has not; 1: the app's order is restricted to another requester; 1: the request, or the dataset, wants a TEE, and the app's order has no bit tee; 2: the app costs more than the request's maximum, the cheapest 7 nRLC)"},
		{OfWorkerpool, 3, "none of 3 open orders of the workerpool can be used (1: the request asks for more trust than the workerpool's order has; 1: the workerpool costs more than the request's maximum, the cheapest 5 nRLC; 1: the workerpool's order lacks a bit of the tag that app, dataset and request have together)"},
	}
	if !ok || len(none.Lacks) != 2 || none.Lacks[0] != want[0] || none.Lacks[1] != want[1] {
		t.Errorf("got %v\nwant %v", err, want)
	}
}
