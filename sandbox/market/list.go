package market

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// get answers one order, whatever its status is.
func (s *Server) get(r *http.Request, k *kind) (object, error) {
	b, err := s.book(r.URL.Query())
	if err != nil {
		return nil, err
	}
	hash, err := parseBytes32("orderHash", r.PathValue("hash"))
	if err != nil {
		return nil, err
	}
	e := b.find(k, hash)
	if e == nil {
		return nil, &refusal{http.StatusNotFound, k.name + " not found"}
	}
	if err := b.refresh(r.Context(), e); err != nil {
		return nil, err
	}
	return object{
		{"orderHash", e.hash}, {"chainId", strconv.FormatUint(b.id, 10)}, {"order", e.order}, {"remaining", e.remaining},
		{"status", e.status}, {"publicationTimestamp", e.published}, {"signer", e.signer.Hex()},
	}, nil
}

// list answers the open orders that the query asks for, the best one first.
func (s *Server) list(r *http.Request, k *kind) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	wanted, err := k.filters(q)
	if err != nil {
		return nil, err
	}
	skip, limit, err := page(q)
	if err != nil {
		return nil, err
	}
	found, err := b.openEntries(r.Context(), k)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(e *entry) bool {
		return slices.ContainsFunc(wanted, func(want filter) bool { return !want(e) })
	})
	slices.SortFunc(found, k.compare)
	return answerPage("orders", found, skip, limit, func(e *entry) object {
		return object{
			{"order", e.order}, {"orderHash", e.hash}, {"chainId", b.id}, {"publicationTimestamp", e.published},
			{"signer", e.signer.Hex()}, {"status", e.status}, {"remaining", e.remaining},
		}
	}), nil
}

// compare sorts by price: offers by the lowest, requests by the highest.
func (k *kind) compare(x, y *entry) int {
	price := cmp.Compare(x.order.amount(k.price), y.order.amount(k.price))
	if k.registry == "" {
		price = -price
	}
	return cmp.Or(price, strings.Compare(x.published, y.published), strings.Compare(x.hash, y.hash))
}

// answerPage cuts a page out of a list. As in the real market, a full page
// promises a next one even if it was the last.
func answerPage[T any](name string, all []T, skip, limit int, show func(T) object) object {
	items := []object{}
	for i := skip; i < len(all) && i < skip+limit; i++ {
		items = append(items, show(all[i]))
	}
	answer := object{{name, items}, {"count", len(all)}}
	if len(items) == limit {
		answer = append(answer, member{"nextPage", skip + limit})
	}
	return answer
}

// page reads which part of a list is asked for: a page by its number, or by the legacy
// parameter page how many items to leave out.
func page(q url.Values) (skip, limit int, err error) {
	const defaultSize = 20
	var given [3]uint64
	for i, p := range []struct {
		key          string
		least, usual uint64
	}{{"page", 0, 0}, {"pageIndex", 0, 0}, {"pageSize", 10, defaultSize}} {
		given[i] = p.usual
		if !q.Has(p.key) {
			continue
		}
		if given[i], err = parseAmount(p.key, q.Get(p.key), p.least); err != nil {
			return 0, 0, err
		}
	}
	if given[2] > 1000 {
		return 0, 0, invalid("pageSize must be less than or equal to 1000")
	}
	if !q.Has("pageIndex") && !q.Has("pageSize") {
		return int(given[0]), defaultSize, nil
	}
	return int(given[1] * given[2]), int(given[2]), nil
}

// filter reports whether an entry is asked for.
type filter func(*entry) bool

// filters reads what a list is narrowed by.
func (k *kind) filters(q url.Values) ([]filter, error) {
	if k.needsResource && q.Get(k.resource) == "" && q.Get(k.resource+"Owner") == "" {
		return nil, invalid("%s or %sOwner is required", k.resource, k.resource)
	}
	var list []filter
	for _, read := range []func(url.Values) ([]filter, error){k.addressFilters, k.restrictFilters, k.amountFilters, k.tagFilters} {
		more, err := read(q)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (k *kind) addressFilters(q url.Values) ([]filter, error) {
	var list []filter
	for _, field := range k.equal {
		want, err := addressOrAny(q, field)
		if err != nil {
			return nil, err
		}
		if want != "" && want != "any" {
			list = append(list, func(e *entry) bool { return e.order.text(field) == want })
		}
	}
	if key := k.resource + "Owner"; q.Has(key) && k.registry != "" {
		owner, err := parseAddress(key, q.Get(key))
		if err != nil {
			return nil, err
		}
		list = append(list, func(e *entry) bool { return e.signer.Hex() == owner })
	}
	return list, nil
}

func addressOrAny(q url.Values, key string) (string, error) {
	text := q.Get(key)
	if !q.Has(key) || text == "any" {
		return text, nil
	}
	address, err := parseAddress(key, text)
	if err != nil {
		return "", invalid(`%s is neither "any" nor a valid ethereum address`, key)
	}
	return address, nil
}

// restrictFilters keep orders that are open to everybody and, when an address is
// named, those for that address; strictly: only the latter.
func (k *kind) restrictFilters(q url.Values) ([]filter, error) {
	var list []filter
	for key, field := range k.restrict {
		want, err := addressOrAny(q, key)
		if err != nil {
			return nil, err
		}
		if want == "any" {
			continue
		}
		strictly, err := boolean(q, "is"+strings.ToUpper(key[:1])+key[1:]+"Strict")
		if err != nil {
			return nil, err
		}
		strict := want != "" && strictly
		list = append(list, func(e *entry) bool {
			value := e.order.text(field)
			return value == want || !strict && value == (common.Address{}).Hex()
		})
	}
	return list, nil
}

func (k *kind) amountFilters(q url.Values) ([]filter, error) {
	var list []filter
	for _, f := range []struct {
		key   string
		least uint64
		keep  func(e *entry, n uint64) bool
	}{
		{"minVolume", 1, func(e *entry, n uint64) bool { return e.remaining >= n }},
		{"category", 0, func(e *entry, n uint64) bool { return !k.has("category") || e.order.amount("category") == n }},
		{"minTrust", 0, func(e *entry, n uint64) bool { return !k.has("trust") || n <= 1 || e.order.amount("trust") >= n }},
		{"maxTrust", 0, func(e *entry, n uint64) bool { return !k.has("trust") || e.order.amount("trust") <= n }},
	} {
		if !q.Has(f.key) {
			continue
		}
		n, err := parseAmount(f.key, q.Get(f.key), f.least)
		if err != nil {
			return nil, err
		}
		list = append(list, func(e *entry) bool { return f.keep(e, n) })
	}
	bulk, err := boolean(q, "bulkOnly")
	if err != nil {
		return nil, err
	}
	if k.name == "datasetorder" && bulk {
		list = append(list, func(e *entry) bool {
			return e.order.amount("volume") >= poco.MaxAmount-1 && e.order.amount(k.price) == 0
		})
	}
	return list, nil
}

// tagFilters keep orders whose tag has all bits of minTag and none beyond maxTag.
func (k *kind) tagFilters(q url.Values) ([]filter, error) {
	var list []filter
	for key, keep := range map[string]func(tag, bound string) bool{
		"minTag": func(t, bound string) bool { return containsBits(t, bound) },
		"maxTag": func(t, bound string) bool { return containsBits(bound, t) },
	} {
		if !q.Has(key) {
			continue
		}
		bound, err := parseBytes32(key, q.Get(key))
		if err != nil {
			return nil, err
		}
		list = append(list, func(e *entry) bool { return keep(e.order.text("tag"), bound) })
	}
	return list, nil
}

func containsBits(all, some string) bool {
	b := tag(some)
	return b.AndNot(b, tag(all)).Sign() == 0
}
