package release

import (
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/poco"
)

func TestSellers(t *testing.T) {
	app, pool := common.HexToAddress("0xa"), common.HexToAddress("0x1")
	tag := func(name string) poco.Tag {
		t.Helper()
		parsed, err := poco.ParseTag(name)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	sold := func(change func(*poco.WorkerpoolOrder)) market.Order[poco.SignedWorkerpoolOrder] {
		o := poco.WorkerpoolOrder{Workerpool: pool, WorkerpoolPrice: big.NewInt(7), Volume: big.NewInt(1), Tag: tag("tee,scone"), Category: new(big.Int), Trust: new(big.Int)}
		change(&o)
		return market.Order[poco.SignedWorkerpoolOrder]{Order: poco.SignedWorkerpoolOrder{WorkerpoolOrder: o}}
	}
	type orders = []market.Order[poco.SignedWorkerpoolOrder]
	asItIs := sold(func(*poco.WorkerpoolOrder) {})
	for name, c := range map[string]struct {
		sold orders
		want string
	}{
		"none":               {nil, "nobody can have it run now: the market has no open order of a workerpool"},
		"one":                {orders{asItIs}, "1 order of 1 workerpool can run it now, from 7 nRLC in category 0"},
		"the cheapest":       {orders{asItIs, sold(func(o *poco.WorkerpoolOrder) { o.WorkerpoolPrice = big.NewInt(5) })}, "2 orders of 1 workerpool can run it now, from 5 nRLC in category 0"},
		"of each category":   {orders{asItIs, sold(func(o *poco.WorkerpoolOrder) { o.Category = big.NewInt(2) })}, "from 7 nRLC in category 0, 7 nRLC in category 2"},
		"for our app":        {orders{sold(func(o *poco.WorkerpoolOrder) { o.AppRestrict = app })}, "1 order of 1 workerpool"},
		"no TEE":             {orders{sold(func(o *poco.WorkerpoolOrder) { o.Tag = poco.Tag{} })}, "nobody can have it run now: of 1 open order of workerpools 1 for another tag"},
		"another app":        {orders{sold(func(o *poco.WorkerpoolOrder) { o.AppRestrict = pool })}, "1 restricted to an app"},
		"a dataset":          {orders{sold(func(o *poco.WorkerpoolOrder) { o.DatasetRestrict = pool })}, "1 restricted to a dataset"},
		"a requester":        {orders{sold(func(o *poco.WorkerpoolOrder) { o.RequesterRestrict = pool })}, "1 restricted to a requester"},
		"a pool not allowed": {orders{sold(func(o *poco.WorkerpoolOrder) { o.Workerpool = app })}, "1 of a workerpool that this order does not allow"},
	} {
		got := sellers(poco.AppOrder{App: app, Tag: poco.TEE()}, c.sold, func(p common.Address) string {
			if p == pool {
				return ""
			}
			return "of a workerpool that this order does not allow"
		})
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// What was not looked up is told, whatever else was found.
	other := sold(func(o *poco.WorkerpoolOrder) { o.Workerpool = app })
	for text, list := range map[string]orders{
		"0; not counted: 1 of a workerpool that was not looked up":                     {asItIs, other},
		"now: of 1 open order of workerpools 1 of a workerpool that was not looked up": {other},
	} {
		got := sellers(poco.AppOrder{App: app, Tag: poco.TEE()}, list, func(p common.Address) string {
			if p == pool {
				return ""
			}
			return unasked
		})
		if !strings.Contains(got, text) {
			t.Errorf("not looked up: %q, want %q", got, text)
		}
	}
	// Of an app that is not there yet no order of a workerpool can know.
	unknown := sellers(poco.AppOrder{Tag: poco.TEE()}, orders{sold(func(o *poco.WorkerpoolOrder) { o.AppRestrict = app })}, func(common.Address) string { return "" })
	if !strings.Contains(unknown, "1 restricted to an app") {
		t.Errorf("an app that is not there yet: %q", unknown)
	}
}
