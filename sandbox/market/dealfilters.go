package market

import (
	"net/url"

	"github.com/ethereum/go-ethereum/common"
)

// dealFilter reports whether a deal is asked for.
type dealFilter func(deal) bool

// dealFilters reads what the list of deals is narrowed by.
func dealFilters(q url.Values) ([]dealFilter, error) {
	var list []dealFilter
	if q.Has("category") {
		category, err := parseAmount("category", q.Get("category"), 0)
		if err != nil {
			return nil, err
		}
		list = append(list, func(d deal) bool { return d.terms.Category.IsUint64() && d.terms.Category.Uint64() == category })
	}
	for key, of := range map[string]func(terms) common.Address{
		"requester":       func(t terms) common.Address { return t.Requester },
		"beneficiary":     func(t terms) common.Address { return t.Beneficiary },
		"app":             func(t terms) common.Address { return t.App.Pointer },
		"dataset":         func(t terms) common.Address { return t.Dataset.Pointer },
		"workerpool":      func(t terms) common.Address { return t.Workerpool.Pointer },
		"appOwner":        func(t terms) common.Address { return t.App.Owner },
		"datasetOwner":    func(t terms) common.Address { return t.Dataset.Owner },
		"workerpoolOwner": func(t terms) common.Address { return t.Workerpool.Owner },
	} {
		if !q.Has(key) {
			continue
		}
		want, err := parseAddress(key, q.Get(key))
		if err != nil {
			return nil, err
		}
		list = append(list, func(d deal) bool { return of(d.terms).Hex() == want })
	}
	for i, k := range kinds() {
		key := k.name + "Hash"
		if !q.Has(key) {
			continue
		}
		want, err := parseBytes32(key, q.Get(key))
		if err != nil {
			return nil, err
		}
		list = append(list, func(d deal) bool { return d.orders[i] == common.HexToHash(want) })
	}
	return list, nil
}
