package release

import (
	"context"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
)

// buyers says which workerpools sell runs that the order could be matched with now. An
// order that nobody can run is no error: pools come and go.
func (r *run) buyers(ctx context.Context, order poco.AppOrder) ([]Finding, error) {
	sold, _, err := market.List[poco.SignedWorkerpoolOrder](ctx, r.Market, url.Values{})
	if err != nil {
		return nil, err
	}
	var asking error
	known := map[common.Address]bool{}
	evidence := sellers(order, sold, func(pool common.Address) string {
		is, ok := known[pool]
		switch {
		case !ok && len(known) == maxPools:
			return unasked
		case !ok && asking == nil:
			is, asking = node.IsAllowed(ctx, r.Chain, order.WorkerpoolRestrict, pool)
			known[pool] = is
		}
		if is {
			return ""
		}
		return "of a workerpool that this order does not allow"
	})
	return []Finding{{workerpools, Note, evidence}}, asking
}

// workerpools is the name of the finding.
const workerpools = "workerpools"

// maxPools bounds how many workerpools are looked up in a group: anybody can put orders of
// more into a market.
const maxPools = 100

// unasked is what is told of the orders of the others.
const unasked = "of a workerpool that was not looked up, after 100 others"

// sellers tells of the workerpools' orders that fit an app's.
func sellers(order poco.AppOrder, sold []market.Order[poco.SignedWorkerpoolOrder], refused func(common.Address) string) string {
	pools, reasons := map[common.Address]bool{}, map[string]int{}
	cheapest := map[string]*big.Int{} // by category
	fitting := 0
	for _, o := range sold {
		w := o.Order
		if why := misfit(order, w, refused); why != "" {
			reasons[why]++
			continue
		}
		fitting++
		pools[w.Workerpool] = true
		category := w.Category.String()
		if least := cheapest[category]; least == nil || w.WorkerpoolPrice.Cmp(least) < 0 {
			cheapest[category] = w.WorkerpoolPrice
		}
	}
	if fitting == 0 {
		return "nobody can have it run now: " + unfit(len(sold), reasons)
	}
	var prices []string
	for category, price := range cheapest {
		prices = append(prices, fmt.Sprintf("%s nRLC in category %s", price, category))
	}
	slices.Sort(prices)
	text := fmt.Sprintf("%s of %s can run it now, from %s", printable.Count(fitting, "order"), printable.Count(len(pools), "workerpool"), strings.Join(prices[:min(len(prices), maxCategories)], ", "))
	if n := reasons[unasked]; n > 0 {
		text += fmt.Sprintf("; not counted: %d %s", n, unasked)
	}
	return text
}

// maxCategories is how many categories are told; iExec's chains have five.
const maxCategories = 5

// misfit says why an order of a workerpool cannot be matched with the app's by whoever
// comes; "" when it can. refused says why the app's order does not allow a workerpool.
func misfit(order poco.AppOrder, w poco.SignedWorkerpoolOrder, refused func(common.Address) string) string {
	var anybody common.Address
	switch {
	case !order.Tag.Within(w.Tag):
		return "for another tag"
	case w.AppRestrict != anybody && (order.App == anybody || w.AppRestrict != order.App):
		return "restricted to an app"
	case w.DatasetRestrict != anybody:
		return "restricted to a dataset"
	case w.RequesterRestrict != anybody && w.RequesterRestrict != order.RequesterRestrict:
		return "restricted to a requester"
	}
	return refused(w.Workerpool)
}

func unfit(n int, reasons map[string]int) string {
	if n == 0 {
		return "the market has no open order of a workerpool"
	}
	var lines []string
	for why, n := range reasons {
		lines = append(lines, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(lines)
	return fmt.Sprintf("of %s of workerpools %s", printable.Count(n, "open order"), strings.Join(lines, ", "))
}
