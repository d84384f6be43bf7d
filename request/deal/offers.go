package deal

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Trade is where deals are made.
type Trade struct {
	Chain  *node.Client
	Market market.Client
	Pick   Pick
}

// Pick says which orders are to be taken, whatever they cost; the zero hash: the best.
type Pick struct {
	App, Dataset, Workerpool common.Hash
	Private                  *poco.SignedAppOrder // an order for the app that is on no market
}

// Offers are the orders that a request could be matched with.
type Offers struct {
	Apps        []poco.SignedAppOrder
	Datasets    []poco.SignedDatasetOrder // of one element, [poco.NoDataset], for a request without
	Workerpools []poco.SignedWorkerpoolOrder
}

// Offers asks the market for the orders that a request could be matched with: those of
// its app, dataset and category, whoever may use them at whatever price.
//
// Errors: *NoMatchError for an order that was picked and is not open, *market.Error.
func (t Trade) Offers(ctx context.Context, r poco.RequestOrder) (o Offers, err error) {
	if t.Pick.Private != nil {
		o.Apps = []poco.SignedAppOrder{*t.Pick.Private}
	} else if o.Apps, err = offered[poco.SignedAppOrder](ctx, t.Market, pick{OfApp, t.Pick.App}, url.Values{"app": {r.App.Hex()}}); err != nil {
		return o, err
	}
	o.Datasets = []poco.SignedDatasetOrder{poco.NoDataset()}
	if r.Dataset != (common.Address{}) {
		if o.Datasets, err = offered[poco.SignedDatasetOrder](ctx, t.Market, pick{OfDataset, t.Pick.Dataset}, url.Values{"dataset": {r.Dataset.Hex()}}); err != nil {
			return o, err
		}
	}
	o.Workerpools, err = offered[poco.SignedWorkerpoolOrder](ctx, t.Market, pick{OfWorkerpool, t.Pick.Workerpool}, url.Values{"category": {r.Category.String()}})
	return o, err
}

// pick is an order that was picked; none for the zero hash.
type pick struct {
	kind Kind
	hash common.Hash
}

// offered returns the open orders that are asked for, or the one that was picked.
func offered[T market.Signed](ctx context.Context, m market.Client, picked pick, query url.Values) ([]T, error) {
	if picked.hash == (common.Hash{}) {
		found, _, err := market.List[T](ctx, m, query)
		var orders []T
		for _, f := range found {
			orders = append(orders, f.Order)
		}
		return orders, err
	}
	found, err := market.Find[T](ctx, m, picked.hash)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, &NoMatchError{[]Lack{{picked.kind, 0, fmt.Sprintf("the market has no order %s of that kind", picked.hash)}}, m.Node()}
	}
	return []T{found.Order}, market.CheckEnd(m, found)
}

// Kind is what an order sells.
type Kind string

// The kinds of orders that a request is matched with.
const (
	OfApp        Kind = "app"
	OfDataset    Kind = "dataset"
	OfWorkerpool Kind = "workerpool"
)

// Lack is why no order of a kind can be used.
type Lack struct {
	Of     Kind   // "" for orders that can be used, but not together
	Offers int    // open orders of that kind; 0: the market has none
	What   string // what is wrong with how many of them
}

// NoMatchError says why no orders match a request.
type NoMatchError struct {
	Lacks []Lack
	Where string
}

// Error implements error.
func (e *NoMatchError) Error() string {
	var all []string
	for _, l := range e.Lacks {
		all = append(all, l.What)
	}
	return "no orders match the request: " + strings.Join(all, "; ")
}

// Evidence returns the problems.
func (e *NoMatchError) Evidence() [][2]string {
	var facts [][2]string
	for _, l := range e.Lacks {
		facts = append(facts, [2]string{"problem", l.What})
	}
	return append(facts, [2]string{"where", e.Where})
}

// search looks for the best match of a request.
type search struct {
	ctx      context.Context
	chain    *node.Client
	request  poco.SignedRequestOrder
	runs     *big.Int // that are to be bought, all by one deal
	where    string
	private  bool                   // the app's order is the caller's own, who may not have signed it yet
	good     map[common.Hash]bool   // orders of which the chain was asked
	excluded map[common.Hash]string // orders that cannot be used, and why
	groups   map[[2]common.Address]bool
	err      error // of the node, or of a market that lists too much
}

func (t Trade) search(ctx context.Context, request poco.SignedRequestOrder, runs *big.Int) *search {
	return &search{
		ctx: ctx, chain: t.Chain, request: request, runs: runs, where: t.Market.Node(), private: t.Pick.Private != nil,
		good: map[common.Hash]bool{}, excluded: map[common.Hash]string{}, groups: map[[2]common.Address]bool{},
	}
}

// maxGroups bounds how many restrictions are asked for at a node in one search: anybody can
// put restricted orders into a market. Orders with others are passed over, and told.
const maxGroups = 100

// refusal returns why the hub would refuse a match, of refusals that are asked for; "" for
// none. It says so where that hangs on a restriction that was not looked up.
func (s *search) refusal(m poco.Match, of func(poco.Refusal) bool) string {
	no := func(r poco.Refusal) bool { return !of(r) }
	beyond := false
	refused := slices.DeleteFunc(m.Refusals(func(restriction, who common.Address) bool {
		is, known := s.isAllowed(restriction, who)
		beyond = beyond || !known
		return is
	}), no)
	switch {
	case len(refused) == 0:
		return ""
	case !beyond:
		return refused[0].Words()
	}
	sure := slices.DeleteFunc(m.Refusals(func(restriction, who common.Address) bool {
		is, known := s.isAllowed(restriction, who)
		return is || !known
	}), no)
	if len(sure) > 0 {
		return sure[0].Words()
	}
	return fmt.Sprintf("is restricted, and not among the %d restrictions that are looked up", maxGroups)
}

// isAllowed asks the chain where a restriction is another address, which may be a group. It
// is not known once too many were asked for.
func (s *search) isAllowed(restriction, who common.Address) (is, known bool) {
	if restriction == (common.Address{}) || restriction == who {
		return true, true
	}
	key := [2]common.Address{restriction, who}
	if is, known = s.groups[key]; known || len(s.groups) == maxGroups || s.err != nil {
		return is, known
	}
	is, s.err = node.IsAllowed(s.ctx, s.chain, restriction, who)
	s.groups[key] = is
	return is, true
}

// What of the refusals one order is to blame for, whatever the others are.
var (
	ofApp        = []poco.Refusal{"03", "07", "10", "13", "15"}
	ofDataset    = []poco.Refusal{"04", "11", "16", "18"}
	ofWorkerpool = []poco.Refusal{"00", "02", "05", "06", "12", "19", "1a", "1b"}
)

// fits returns why an order cannot be used with any other; "" when it can. That it costs too
// much is the last of the reasons: one that fails for another is no offer at any price.
func (s *search) fits(m poco.Match, hash common.Hash, volume *big.Int, of []poco.Refusal) string {
	if why, out := s.excluded[hash]; out {
		return why
	}
	if volume.Cmp(s.runs) < 0 {
		return fmt.Sprintf("is for fewer runs than are wanted (%s)", s.runs)
	}
	if why := s.refusal(m, func(r poco.Refusal) bool { return slices.Contains(of, r) && !isPrice(r.Words()) }); why != "" {
		return why
	}
	if !m.App.Tag.Within(s.request.Tag) { // the hub would take it, and the run would be another one
		return "its tag has bits that the request's has not"
	}
	return s.refusal(m, func(r poco.Refusal) bool { return slices.Contains(of, r) && isPrice(r.Words()) })
}

// neutral is a match of the request with orders that refuse nothing.
func (s *search) neutral() poco.Match {
	r := s.request
	zero := new(big.Int)
	return poco.Match{
		App:     poco.SignedAppOrder{AppOrder: poco.AppOrder{App: r.App, AppPrice: zero, Volume: s.runs}},
		Dataset: poco.SignedDatasetOrder{DatasetOrder: poco.DatasetOrder{Dataset: r.Dataset, DatasetPrice: zero, Volume: s.runs}},
		Workerpool: poco.SignedWorkerpoolOrder{WorkerpoolOrder: poco.WorkerpoolOrder{
			Workerpool: r.Workerpool, WorkerpoolPrice: zero, Volume: s.runs, Category: r.Category, Trust: r.Trust,
		}},
		Request: r,
	}
}

// usable are the offers of a kind that some match could have, the cheapest first, and
// what is wrong with the others.
type usable[T any] struct {
	orders []T
	lack   *Lack // nil where there are some
}

// sift keeps of a kind's offers those that fit, of those that are alike the cheapest one.
func sift[T market.Signed](s *search, kind Kind, offers []T, read func(T) terms, in func(poco.Match, T) poco.Match, of []poco.Refusal) usable[T] {
	type offer struct {
		order T
		hash  common.Hash
		terms
	}
	all := make([]offer, len(offers))
	for i, o := range offers {
		all[i] = offer{o, o.Hash(s.chain.Domain()), read(o)}
	}
	slices.SortFunc(all, func(a, b offer) int { return cmp.Or(a.price.Cmp(b.price), a.hash.Cmp(b.hash)) })
	var u usable[T]
	seen, reasons, dear := map[string]bool{}, map[string]int{}, ""
	for _, o := range all {
		why := s.fits(in(s.neutral(), o.order), o.hash, o.volume, of)
		switch {
		case isPrice(why):
			dear = cmp.Or(dear, fmt.Sprintf("%s, the cheapest %s nRLC", why, o.price))
			reasons[dear]++
		case why != "":
			reasons[why]++
		case !seen[o.alike]:
			seen[o.alike] = true
			u.orders = append(u.orders, o.order)
		}
	}
	if len(u.orders) == 0 {
		u.lack = &Lack{kind, len(offers), describe(string(kind), len(offers), reasons)}
	}
	return u
}

// isPrice reports whether an offer is refused for what it costs.
func isPrice(why string) bool {
	return slices.ContainsFunc([]poco.Refusal{"03", "04", "05"}, func(r poco.Refusal) bool { return r.Words() == why })
}

// terms are what of an order decides which one is taken.
type terms struct {
	price, volume *big.Int
	alike         string // the same for orders that can replace each other
}

func describe(kind string, offers int, reasons map[string]int) string {
	if offers == 0 {
		return "the market has no open order of the " + kind
	}
	return fmt.Sprintf("none of %d open orders of the %s can be used (%s)", offers, kind, count(reasons))
}

// count writes how many have each reason.
func count(reasons map[string]int) string {
	var lines []string
	for why, n := range reasons {
		lines = append(lines, fmt.Sprintf("%d: %s", n, why))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// best returns the cheapest match of offers; among equals the one whose orders have the
// lowest price and hash, those of the app before the dataset's and the workerpool's. Its
// error is a *NoMatchError or the node's.
func (s *search) best(o Offers) (poco.Match, error) {
	apps := sift(s, OfApp, o.Apps, func(a poco.SignedAppOrder) terms {
		return terms{a.AppPrice, a.Volume, fmt.Sprint(a.WorkerpoolRestrict, a.Tag)}
	}, func(m poco.Match, a poco.SignedAppOrder) poco.Match { m.App = a; return m }, ofApp)
	datasets := usable[poco.SignedDatasetOrder]{orders: o.Datasets}
	if s.request.Dataset != (common.Address{}) {
		datasets = sift(s, OfDataset, o.Datasets, func(d poco.SignedDatasetOrder) terms {
			return terms{d.DatasetPrice, d.Volume, fmt.Sprint(d.WorkerpoolRestrict, d.Tag)}
		}, func(m poco.Match, d poco.SignedDatasetOrder) poco.Match { m.Dataset = d; return m }, ofDataset)
	}
	pools := sift(s, OfWorkerpool, o.Workerpools, func(w poco.SignedWorkerpoolOrder) terms {
		return terms{w.WorkerpoolPrice, w.Volume, fmt.Sprint(w.Workerpool, w.Tag)}
	}, func(m poco.Match, w poco.SignedWorkerpoolOrder) poco.Match { m.Workerpool = w; return m }, ofWorkerpool)

	best, reasons := s.cheapest(apps.orders, datasets.orders, pools.orders)
	if s.err != nil {
		return poco.Match{}, s.err
	}
	if best != nil {
		return *best, nil
	}
	none := &NoMatchError{Where: s.where}
	for _, l := range []*Lack{apps.lack, datasets.lack, pools.lack} {
		if l != nil {
			none.Lacks = append(none.Lacks, *l)
		}
	}
	if len(none.Lacks) == 0 {
		pairs := 0
		for _, n := range reasons {
			pairs += n
		}
		none.Lacks = []Lack{{"", pairs, fmt.Sprintf("the orders that could be used do not go together: none of %d combinations does (%s)", pairs, count(reasons))}}
	}
	return poco.Match{}, none
}

// maxMatches bounds how many combinations of orders are looked at: anybody can put orders
// into a market that match no others.
const maxMatches = 200_000

// cheapest looks at combinations of orders, the cheapest of each kind first, and counts why
// some do not match. What cannot be cheaper than the best is not looked at.
func (s *search) cheapest(apps []poco.SignedAppOrder, datasets []poco.SignedDatasetOrder, pools []poco.SignedWorkerpoolOrder) (best *poco.Match, reasons map[string]int) {
	reasons = map[string]int{}
	tried := 0
	for _, a := range apps {
		for _, d := range datasets {
			for _, w := range pools {
				m := poco.Match{App: a, Dataset: d, Workerpool: w, Request: s.request}
				if best != nil && m.RunPrice().Cmp(best.RunPrice()) >= 0 {
					break
				}
				if tried++; tried > maxMatches {
					s.err = &bounds.Error{Where: s.where, What: "the number of combinations of orders for the request", Most: fmt.Sprint(maxMatches)}
					return nil, nil
				}
				if why := s.refusal(m, func(poco.Refusal) bool { return true }); why != "" {
					reasons[why]++
				} else {
					best = &m
				}
			}
		}
	}
	return best, reasons
}
