package market

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// category is one of the hub's categories: how long a task may take.
type category struct {
	event
	id   *big.Int
	view categoryView
}

type categoryView struct {
	Name, Description string
	WorkClockTimeRef  *big.Int
}

// readCategory reads a category from the event that it was made by.
func (h *hub) readCategory(ctx context.Context, l types.Log) (category, error) {
	if len(l.Data) < 32 {
		return category{}, fmt.Errorf("reading event CreateCategory: want an id, got %d bytes", len(l.Data))
	}
	c := category{id: common.BytesToHash(l.Data[:32]).Big()}
	var err error
	if c.event, err = h.when(ctx, l); err != nil {
		return category{}, err
	}
	c.view, err = ask[categoryView](ctx, h, h.address, "viewCategory", c.id)
	return c, err
}

func (c category) show(chain uint64) object {
	return object{
		{"catid", c.id}, {"blockNumber", c.block}, {"blockTimestamp", c.time}, {"chainId", chain}, {"description", c.view.Description},
		{"name", c.view.Name}, {"transactionHash", c.tx}, {"workClockTimeRef", c.view.WorkClockTimeRef},
	}
}

// categories lists the hub's categories, the shortest first.
func (s *Server) categories(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	inside, err := clockFilter(q)
	if err != nil {
		return nil, err
	}
	skip, limit, err := page(q)
	if err != nil {
		return nil, err
	}
	if err := b.watch(r.Context()); err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(slices.Clone(b.created), func(c category) bool { return !inside(c) })
	slices.SortFunc(list, func(x, y category) int {
		return cmp.Or(x.view.WorkClockTimeRef.Cmp(y.view.WorkClockTimeRef), x.id.Cmp(y.id))
	})
	return answerPage("categories", list, skip, limit, func(c category) object { return c.show(b.id) }), nil
}

// clockFilter reads between which lengths of a task the categories lie that are asked for.
func clockFilter(q url.Values) (func(category) bool, error) {
	var bounds [2]*big.Int
	for i, key := range []string{"minWorkClockTimeRef", "maxWorkClockTimeRef"} {
		if !q.Has(key) {
			continue
		}
		n, err := parseAmount(key, q.Get(key), 0)
		if err != nil {
			return nil, err
		}
		bounds[i] = new(big.Int).SetUint64(n)
	}
	return func(c category) bool {
		clock := c.view.WorkClockTimeRef
		return (bounds[0] == nil || clock.Cmp(bounds[0]) >= 0) && (bounds[1] == nil || clock.Cmp(bounds[1]) <= 0)
	}, nil
}

// category answers one category.
func (s *Server) category(r *http.Request) (object, error) {
	q := r.URL.Query()
	b, err := s.book(q)
	if err != nil {
		return nil, err
	}
	id, err := parseAmount("catid", r.PathValue("id"), 0)
	if err != nil {
		return nil, err
	}
	if err := b.watch(r.Context()); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(b.created, func(c category) bool { return c.id.IsUint64() && c.id.Uint64() == id })
	if i < 0 {
		return nil, &refusal{http.StatusNotFound, "category not found"}
	}
	c := b.created[i]
	return object{
		{"catid", id}, {"chainId", q.Get("chainId")}, {"name", c.view.Name}, {"description", c.view.Description},
		{"workClockTimeRef", c.view.WorkClockTimeRef}, {"transactionHash", c.tx}, {"blockNumber", c.block}, {"blockTimestamp", c.time},
	}, nil
}
