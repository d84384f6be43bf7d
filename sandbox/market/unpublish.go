package market

import (
	"net/http"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// unpublish takes orders out of the book: one by its hash, or the last one or
// all of a wallet for what it sells. It does not touch the chain.
func (s *Server) unpublish(r *http.Request, k *kind) (object, error) {
	b, given, author, err := s.authorized(r)
	if err != nil {
		return nil, err
	}
	target, _ := given["target"].(string)
	if target == "" {
		target = "unpublish_orderHash"
	}
	var gone []*entry
	switch target {
	case "unpublish_orderHash":
		gone, err = b.unpublishOne(r, k, given, author)
	case "unpublish_last", "unpublish_all":
		gone, err = b.unpublishOwn(r, k, given, author)
		if target == "unpublish_last" && err == nil {
			gone = gone[:1]
		}
	default:
		err = invalid("target must be one of the following values: unpublish_orderHash, unpublish_last, unpublish_all")
	}
	if err != nil {
		return nil, err
	}
	var hashes []string
	for _, e := range gone {
		hashes = append(hashes, e.hash)
	}
	b.entries[k.name] = slices.DeleteFunc(b.entries[k.name], func(e *entry) bool { return slices.Contains(gone, e) })
	return object{{"unpublished", hashes}}, nil
}

func (b *book) unpublishOne(r *http.Request, k *kind, given map[string]any, author common.Address) ([]*entry, error) {
	hash, err := parseField("orderHash", "bytes32", given["orderHash"])
	if err != nil {
		return nil, err
	}
	e := b.find(k, hash.(string))
	if e != nil {
		if err := b.refresh(r.Context(), e); err != nil {
			return nil, err
		}
	}
	if e == nil || e.status != open {
		return nil, forbidden("%s with orderHash %s is not published", k.name, hash)
	}
	if e.signer != author {
		return nil, forbidden("only order signer %s can unpublish an order", e.signer.Hex())
	}
	return []*entry{e}, nil
}

// unpublishOwn finds the author's open orders for a resource, newest first.
func (b *book) unpublishOwn(r *http.Request, k *kind, given map[string]any, author common.Address) ([]*entry, error) {
	resource, err := parseField(k.resource, "address", given[k.resource])
	if err != nil {
		return nil, err
	}
	list, err := b.openEntries(r.Context(), k)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e *entry) bool { return e.signer != author || e.order.text(k.resource) != resource })
	if len(list) == 0 {
		return nil, forbidden("no open %s published by signer %s for %s %s", k.name, author.Hex(), k.resource, resource)
	}
	slices.Reverse(list)
	return list, nil
}
