package market

import (
	"context"
	"net/http"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// maxOpen is how many open orders of a kind a wallet may have.
const maxOpen = 50

// What an order's status can be. A dead order's signer does not own any more
// what is sold.
const (
	open     = "open"
	filled   = "filled"
	canceled = "canceled"
	dead     = "dead"
)

// entry is an order in the book.
type entry struct {
	order     *order
	hash      string
	signer    common.Address
	published string
	status    string
	remaining uint64
}

// refresh brings an entry to what the chain says, which the real market does
// when it sees an event.
func (b *book) refresh(ctx context.Context, e *entry) (err error) {
	if e.remaining, err = b.remaining(ctx, e.order, e.hash); err != nil {
		return err
	}
	signer, err := b.hub.signer(ctx, e.order)
	if err != nil {
		return err
	}
	closed := false
	if e.remaining == 0 {
		if closed, err = b.closed(ctx, e.order, e.hash); err != nil {
			return err
		}
	}
	switch {
	case closed:
		e.status = canceled
	case e.remaining == 0:
		e.status = filled
	case signer != e.signer:
		e.status = dead
	default:
		e.status = open
	}
	return nil
}

// openEntries returns the entries of a kind that are open now.
func (b *book) openEntries(ctx context.Context, k *kind) ([]*entry, error) {
	var list []*entry
	for _, e := range b.entries[k.name] {
		if err := b.refresh(ctx, e); err != nil {
			return nil, err
		}
		if e.status == open {
			list = append(list, e)
		}
	}
	return list, nil
}

func (b *book) find(k *kind, hash string) *entry {
	if i := slices.IndexFunc(b.entries[k.name], func(e *entry) bool { return e.hash == hash }); i >= 0 {
		return b.entries[k.name][i]
	}
	return nil
}

// publish takes an order into the book.
func (s *Server) publish(r *http.Request, k *kind) (object, error) {
	b, given, author, err := s.authorized(r)
	if err != nil {
		return nil, err
	}
	o, err := k.parse(given["order"])
	if err != nil {
		return nil, err
	}
	e, err := b.take(r.Context(), o, author)
	if err != nil {
		return nil, err
	}
	return object{{"published", object{
		{"orderHash", e.hash}, {"order", e.order}, {"chainId", b.id}, {"publicationTimestamp", e.published},
		{"signer", e.signer.Hex()}, {"status", e.status}, {"remaining", e.remaining},
	}}}, nil
}

// authorized reads what a write has in common: its body, its chain, its author.
func (s *Server) authorized(r *http.Request) (*book, map[string]any, common.Address, error) {
	given, err := body(r)
	if err != nil {
		return nil, nil, common.Address{}, err
	}
	b, err := s.book(r.URL.Query())
	if err != nil {
		return nil, nil, common.Address{}, err
	}
	author, err := b.authorize(r.Header.Get("Authorization"))
	return b, given, author, err
}

// take checks an order in the sequence in which the real market does.
func (b *book) take(ctx context.Context, o *order, author common.Address) (*entry, error) {
	hash, err := o.hash(b.hub)
	if err != nil {
		return nil, err
	}
	e := b.find(o.kind, hash)
	if e != nil {
		if err := b.refresh(ctx, e); err != nil {
			return nil, err
		}
		if e.status != dead {
			return nil, forbidden("order already published")
		}
	}
	if err := b.checkSigner(ctx, o, hash, author); err != nil {
		return nil, err
	}
	remaining, err := b.checkVolume(ctx, o, hash, author)
	if err != nil {
		return nil, err
	}
	if e == nil { // a dead order keeps its place when its signer owns the resource again
		e = &entry{order: o, hash: hash, published: now()}
		b.entries[o.kind.name] = append(b.entries[o.kind.name], e)
	}
	e.signer, e.status, e.remaining = author, open, remaining
	return e, nil
}

func (b *book) checkSigner(ctx context.Context, o *order, hash string, author common.Address) error {
	signer, err := b.hub.signer(ctx, o)
	if err != nil {
		return err
	}
	if signer != author {
		return forbidden("only order signer %s can publish an order", signer.Hex())
	}
	valid, err := b.verify(ctx, signer, hash, o.text("sign"))
	if err != nil {
		return err
	}
	if !valid {
		return forbidden("invalid sign")
	}
	return nil
}

func (b *book) checkVolume(ctx context.Context, o *order, hash string, author common.Address) (uint64, error) {
	list, err := b.openEntries(ctx, o.kind)
	if err != nil {
		return 0, err
	}
	count := 0
	for _, e := range list {
		if e.signer == author {
			count++
		}
	}
	if count >= maxOpen {
		return 0, forbidden("maximum of %d published open %s has been reached for wallet %s", maxOpen, o.kind.name, author.Hex())
	}
	remaining, err := b.remaining(ctx, o, hash)
	if err != nil {
		return 0, err
	}
	if remaining == 0 {
		return 0, forbidden("order already consumed")
	}
	return remaining, b.checkMatchable(ctx, o, remaining, author)
}
