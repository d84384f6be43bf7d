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
	evidence := sellers(order, sold, func(pool common.Address) bool {
		is, ok := known[pool]
		if !ok && len(known) < maxPools && asking == nil {
			is, asking = node.IsAllowed(ctx, r.Chain, order.WorkerpoolRestrict, pool)
			known[pool] = is
		}
		return is
	})
	return []Finding{{workerpools, Note, evidence}}, asking
}

// workerpools is the name of the finding.
const workerpools = "workerpools"

// maxPools bounds how many workerpools are looked up in a group.
const maxPools = 100

// sellers tells of the workerpools' orders that fit an app's.
func sellers(order poco.AppOrder, sold []market.Order[poco.SignedWorkerpoolOrder], allowed func(common.Address) bool) string {
	pools, reasons := map[common.Address]bool{}, map[string]int{}
	cheapest := map[string]*big.Int{} // by category
	fitting := 0
	for _, o := range sold {
		w := o.Order
		if why := misfit(order, w, allowed); why != "" {
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
	return fmt.Sprintf("%s of %s can run it now, from %s", printable.Count(fitting, "order"), printable.Count(len(pools), "workerpool"), strings.Join(prices[:min(len(prices), maxCategories)], ", "))
}

// maxCategories is how many categories are told; iExec's chains have five.
const maxCategories = 5

// misfit says why an order of a workerpool cannot be matched with the app's by whoever
// comes; "" when it can. allowed says whether the app's order allows a workerpool.
func misfit(order poco.AppOrder, w poco.SignedWorkerpoolOrder, allowed func(common.Address) bool) string {
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
	case !allowed(w.Workerpool):
		return "of a workerpool that this order does not allow"
	}
	return ""
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
