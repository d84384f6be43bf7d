package market

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// maxOpen is how many open orders of a kind a wallet may have.
const maxOpen = 50

// What an order's status can be. A dead order's signer did not own for a while what
// is sold.
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
	block     uint64 // the chain's last one when it was published
	status    string
	remaining uint64
}

// refresh does for an entry what the real market's watcher does at the chain's events:
// whatever happened to the order, it never opens it again.
func (b *book) refresh(ctx context.Context, e *entry) error {
	if b.behind {
		return nil
	}
	left, err := b.remaining(ctx, e.order, e.hash)
	if err != nil {
		return err
	}
	e.remaining = min(e.remaining, left)
	if left > 0 {
		return b.bury(ctx, e)
	}
	closed, err := b.closed(ctx, e.order, e.hash)
	if err != nil {
		return err
	}
	e.status = filled
	if closed {
		e.status = canceled
	}
	return nil
}

// bury lets an open order die when its signer gave away what is sold, if only for
// a while.
func (b *book) bury(ctx context.Context, e *entry) error {
	given, err := b.givenAway(ctx, e.order, e.signer, e.block)
	if given && e.status == open {
		e.status = dead
	}
	return err
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
	o, err := k.parse(given)
	if err != nil {
		return nil, err
	}
	e, err := s.take(r.Context(), b, o, author)
	if err != nil {
		return nil, err
	}
	return object{{"published", object{
		{"orderHash", e.hash}, {"order", e.order}, {"chainId", b.id}, {"publicationTimestamp", e.published},
		{"signer", e.signer.Hex()}, {"status", e.status}, {"remaining", e.remaining},
	}}}, nil
}

// authorized reads what a write has in common: its body, its chain, its author; then
// the body's members.
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
	if err != nil {
		return nil, nil, common.Address{}, err
	}
	fields, err := fieldsOf(given)
	return b, fields, author, err
}

// take checks an order in the sequence in which the real market does.
func (s *Server) take(ctx context.Context, b *book, o *order, author common.Address) (*entry, error) {
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
	if err := s.aside(func() error { return b.checkSigner(ctx, o, hash, author) }); err != nil {
		return nil, err
	}
	remaining, err := b.checkVolume(ctx, o, hash, author)
	if err != nil {
		return nil, err
	}
	block, err := b.client.BlockNumber(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for the last block: %w", err)
	}
	if e == nil {
		if e, err = b.insert(o, hash, author); err != nil {
			return nil, err
		}
	}
	e.block, e.status, e.remaining = block, open, remaining // a dead order keeps its place and its signer
	return e, nil
}

// insert makes an entry for an order that was in no book when it came. The real market's
// table takes a hash once: when the same order came a second time meanwhile, the slower
// publication ends with the database's error.
func (b *book) insert(o *order, hash string, signer common.Address) (*entry, error) {
	if b.find(o.kind, hash) != nil {
		return nil, internal()
	}
	e := &entry{order: o, hash: hash, published: timestamp(time.Now()), signer: signer}
	b.entries[o.kind.name] = append(b.entries[o.kind.name], e)
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
