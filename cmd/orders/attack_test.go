package orders

import (
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// A record of the wallet's app that a stranger signed does not say for how much the wallet
// sells it, and is not signed by the wallet.
func TestAttackRecordOfAStranger(t *testing.T) {
	owner, stranger, app := common.Address{1}, common.Address{2}, common.Address{3}
	chain := &node.Client{Chain: poco.Chain{Name: "here", ID: 5, Hub: common.Address{4}}}
	sold := func(by common.Address) recorded {
		return recorded{"record.json", record.Record{
			App:   record.App{ChainID: chain.ID, Hub: record.Address(chain.Hub), Address: record.Address(app), Owner: record.Address(by)},
			Order: record.Order{Signed: poco.SignedAppOrder{AppOrder: poco.AppOrder{App: app, AppPrice: big.NewInt(1), Volume: big.NewInt(2), RequesterRestrict: by}}},
		}}
	}
	d := &desk{World: rotation.World{Chain: chain}, line: rotation.Line{Owner: owner}}
	d.settings.Order.Price = 100
	for name, c := range map[string]struct {
		records []recorded
		price   uint64
		refused bool
	}{
		"no record":     {nil, 100, false},
		"the owner's":   {[]recorded{sold(owner)}, 1, false},
		"a stranger's":  {[]recorded{sold(stranger)}, 0, true},
		"both of them":  {[]recorded{sold(stranger), sold(owner)}, 0, true},
		"another chain": {[]recorded{{"record.json", record.Record{App: record.App{ChainID: 6, Address: record.Address(app), Owner: record.Address(stranger)}}}}, 100, false},
	} {
		d.records = c.records
		terms, err := d.terms(app)
		var refused *record.Error
		if errors.As(err, &refused) != c.refused || !c.refused && (err != nil || terms.Price != c.price) {
			t.Errorf("%s: %+v, %v", name, terms, err)
		}
	}
}
