package deal

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// A market may list as much as is read of it, none of which matches: the search for a match
// ends soon all the same, and what is the cheapest is not guessed.
func TestAttackFloodOfOrders(t *testing.T) {
	const each = bounds.Orders
	app, dataset := common.Address{1}, common.Address{2}
	request := poco.SignedRequestOrder{RequestOrder: poco.RequestOrder{
		App: app, Dataset: dataset, AppMaxPrice: big.NewInt(9), DatasetMaxPrice: big.NewInt(9), WorkerpoolMaxPrice: big.NewInt(9),
		Volume: big.NewInt(1), Category: new(big.Int), Trust: new(big.Int), Tag: poco.TEE(),
	}}
	number := func(i int) common.Address { return common.BigToAddress(big.NewInt(int64(i + 1000))) }
	var o Offers
	for i := range each {
		price := big.NewInt(int64(i % 7))
		tag := poco.TEE()
		tag[0], tag[1] = byte(i), byte(i>>8)
		o.Apps = append(o.Apps, poco.SignedAppOrder{AppOrder: poco.AppOrder{App: app, AppPrice: price, Volume: big.NewInt(1), Tag: poco.TEE(), WorkerpoolRestrict: number(i)}})
		o.Datasets = append(o.Datasets, poco.SignedDatasetOrder{DatasetOrder: poco.DatasetOrder{Dataset: dataset, DatasetPrice: price, Volume: big.NewInt(1), Tag: poco.TEE(), WorkerpoolRestrict: number(i + each)}})
		o.Workerpools = append(o.Workerpools, poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{Workerpool: number(i), WorkerpoolPrice: price, Volume: big.NewInt(1), Category: new(big.Int), Trust: new(big.Int), Tag: poco.TEE()}})
	}
	trade := Trade{Chain: &node.Client{Chain: poco.Chain{ID: 5}}}
	s := trade.search(context.Background(), request, big.NewInt(1))
	for i := range maxGroups { // nobody is in any group, and no node is asked
		s.groups[[2]common.Address{{byte(i), 9}}] = false
	}
	began := time.Now()
	_, err := s.best(o)
	var larger *bounds.Error
	if took := time.Since(began); !errors.As(err, &larger) || took > 2*time.Minute {
		t.Errorf("after %s: %v", took, err)
	}
}

// A market may list as many restricted orders as it likes, of which some are looked up: the
// others are passed over, and told as that, not as restricted to somebody else.
func TestAttackManyRestrictions(t *testing.T) {
	app, pool, me := common.Address{1}, common.Address{2}, common.Address{3}
	request := poco.SignedRequestOrder{RequestOrder: poco.RequestOrder{
		App: app, AppMaxPrice: big.NewInt(9), DatasetMaxPrice: new(big.Int), WorkerpoolMaxPrice: big.NewInt(9), Requester: me,
		Volume: big.NewInt(1), Category: new(big.Int), Trust: new(big.Int), Tag: poco.TEE(),
	}}
	sold := func(price int64, restrict common.Address) poco.SignedAppOrder {
		return poco.SignedAppOrder{AppOrder: poco.AppOrder{App: app, AppPrice: big.NewInt(price), Volume: big.NewInt(1), Tag: poco.TEE(), RequesterRestrict: restrict}}
	}
	o := Offers{
		Apps: []poco.SignedAppOrder{sold(1, common.Address{0, 9}), sold(2, common.Address{99, 99})}, Datasets: []poco.SignedDatasetOrder{poco.NoDataset()},
		Workerpools: []poco.SignedWorkerpoolOrder{{WorkerpoolOrder: poco.WorkerpoolOrder{Workerpool: pool, WorkerpoolPrice: big.NewInt(3), Volume: big.NewInt(1), Category: new(big.Int), Trust: new(big.Int), Tag: poco.TEE()}}},
	}
	s := Trade{Chain: &node.Client{Chain: poco.Chain{ID: 5}}}.search(context.Background(), request, big.NewInt(1))
	for i := range maxGroups { // the requester is in none of these, and no node is asked
		s.groups[[2]common.Address{{byte(i), 9}, me}] = false
	}
	_, err := s.best(o)
	var none *NoMatchError
	want := "none of 2 open orders of the app can be used (1: is restricted, and not among the 100 restrictions that are looked up; 1: the app's order is restricted to another requester)"
	if !errors.As(err, &none) || len(none.Lacks) != 1 || none.Lacks[0] != (Lack{OfApp, 2, want}) {
		t.Errorf("%v", err)
	}
	o.Apps = append(o.Apps, sold(5, common.Address{}))
	if m, err := s.best(o); err != nil || m.App.AppPrice.Int64() != 5 {
		t.Errorf("%v, %v", m.App, err)
	}
}
