package vectors

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/sandbox/world"
)

// proofs adds vectors of changed proofs. Another is a release on the same chain, foreign one
// on another chain.
func (s *set) proofs(b, another, foreign base) error {
	bad := refused(13, badProof)
	swap := func(clause, says string, change func(p *proof.Chain)) error {
		return s.forge(clause, says, b, bad, func(f *evidence.File) error {
			change(f.Proof)
			return nil
		})
	}
	errs := []error{
		s.forge("14.4", "the proof of another app", b, bad, func(f *evidence.File) error {
			f.Proof = another.fork().file.Proof
			return nil
		}),
		s.forge("14.4", "the proof of another chain", b, bad, func(f *evidence.File) error {
			f.Proof = foreign.fork().file.Proof
			return nil
		}),
		s.forge("14.3", "no proof, and a block", b, bad, func(f *evidence.File) error {
			f.Proof, f.Unproven = nil, "the node gives none"
			return nil
		}),
		swap("14.4", "another app's account", func(p *proof.Chain) { p.App = another.file.Proof.App }),
		swap("14.4", "another chain's hub", func(p *proof.Chain) { p.Hub = foreign.file.Proof.Hub }),
		swap("14.4", "another chain's registry of apps", func(p *proof.Chain) { p.Registry = foreign.file.Proof.Registry }),
		swap("14.3", "another chain's header", func(p *proof.Chain) { p.Header = foreign.file.Proof.Header }),
		swap("14.3", "a header that is cut", func(p *proof.Chain) { p.Header = p.Header[:len(p.Header)-1] }),
		swap("14.3", "a header with a byte more", func(p *proof.Chain) { p.Header = append(p.Header, 0) }),
		swap("14.3", "no header", func(p *proof.Chain) { p.Header = nil }),
		swap("14.4", "the app's account in the place of the hub's", func(p *proof.Chain) { p.Hub = p.App }),
		swap("14.4", "the hub's account in the place of the app's", func(p *proof.Chain) { p.App = p.Hub }),
		swap("14.4", "a registry of apps at another address", func(p *proof.Chain) { p.Registry.Address[0] ^= 1 }),
		swap("14.4", "a node that is larger than any", func(p *proof.Chain) { p.App.Proof = append(p.App.Proof, make([]byte, 1<<20)) }),
	}
	for at := 0; at < len(b.file.Proof.Header); at += 40 {
		errs = append(errs, swap("14.3", fmt.Sprintf("a header with another byte %d", at), func(p *proof.Chain) { p.Header[at] ^= 1 }))
	}
	all := accounts()
	for _, name := range sortedKeys(all) {
		of := all[name]
		for at := range of(b.file.Proof).Proof {
			errs = append(errs, swap("14.4", fmt.Sprintf("another byte in node %d of the %s's account", at, name), func(p *proof.Chain) {
				node := of(p).Proof[at]
				node[len(node)/2] ^= 1
			}))
		}
		for at := range of(b.file.Proof).Storage {
			errs = append(errs,
				swap("14.4", fmt.Sprintf("word %d of the %s is not proven", at, name), func(p *proof.Chain) { of(p).Storage[at].Proof = proof.Nodes{} }),
				swap("14.4", fmt.Sprintf("another byte in what proves word %d of the %s", at, name), func(p *proof.Chain) {
					nodes := of(p).Storage[at].Proof
					node := nodes[len(nodes)-1]
					node[len(node)-1] ^= 1
				}))
		}
	}
	return errors.Join(errs...)
}

// accounts are the accounts that a proof is about.
func accounts() map[string]func(*proof.Chain) *proof.Account {
	return map[string]func(*proof.Chain) *proof.Account{
		"hub":      func(p *proof.Chain) *proof.Account { return &p.Hub },
		"registry": func(p *proof.Chain) *proof.Account { return &p.Registry },
		"app":      func(p *proof.Chain) *proof.Account { return &p.App },
	}
}

// presigned is a release whose order the owner presigned, with the words of the hub that say
// so, one for each layout, and those that say it of another order.
type presigned struct {
	base
	words, others []proof.Slot
}

// presigned makes two releases that their owner presigned, and keeps the first. Both are
// proven at one block.
func (m *maker) presigned(ctx context.Context, c world.Chain) (p presigned, err error) {
	var made [2]released
	for i := range made {
		if made[i], err = m.release(ctx, c, plan{}); err != nil {
			return p, err
		}
		if err := unlisted(presign)(ctx, m, &made[i]); err != nil {
			return p, err
		}
	}
	other, err := made[1].keep(ctx, m.world.Sigstore)
	if err != nil {
		return p, err
	}
	if p.base, err = made[0].keep(ctx, m.world.Sigstore); err == nil && p.block != other.block {
		err = errors.New("two releases are proven at two blocks")
	}
	p.words, p.others = p.presignatures(made[0]), other.presignatures(made[1])
	return p, err
}

// presignatures are the words of the hub that say who presigned a release's order.
func (b base) presignatures(r released) (words []proof.Slot) {
	claim := proof.Claim{Domain: r.profile.Domain(), App: common.Address(r.App.Address), Order: r.Order.Hash}
	without := claim.HubSlots()
	for _, slot := range b.file.Proof.Hub.Storage {
		if !slices.Contains(without, slot.Key) {
			words = append(words, slot)
		}
	}
	return words
}

// presignatures adds vectors of what proves, or does not prove, who presigned an order.
func (s *set) presignatures(p presigned) error {
	change := func(says string, want Want, change func(slot *proof.Slot, other proof.Slot)) error {
		return s.forge("2.10", says, p.base, want, func(f *evidence.File) error {
			for i, slot := range f.Proof.Hub.Storage {
				if at := slices.IndexFunc(p.words, func(w proof.Slot) bool { return w.Key == slot.Key }); at >= 0 {
					change(&f.Proof.Hub.Storage[i], p.others[at])
				}
			}
			return nil
		})
	}
	bad := refused(13, badProof)
	return errors.Join(
		s.forge("2.10", "a proof without the word of who presigned the order, as of earlier versions", p.base, incomplete(), func(f *evidence.File) error {
			f.Proof.Hub.Storage = slices.DeleteFunc(f.Proof.Hub.Storage, func(slot proof.Slot) bool {
				return slices.ContainsFunc(p.words, func(w proof.Slot) bool { return w.Key == slot.Key })
			})
			return nil
		}),
		change("the word of who presigned another order", incomplete(), func(slot *proof.Slot, other proof.Slot) { *slot = other }),
		change("the word of who presigned another order, in the place of this one's", bad, func(slot *proof.Slot, other proof.Slot) { slot.Proof = other.Proof }),
		change("another byte in the word of who presigned the order", bad, func(slot *proof.Slot, _ proof.Slot) {
			node := slot.Proof[len(slot.Proof)-1]
			node[len(node)-1] ^= 1
		}),
		change("no nodes to the word of who presigned the order", bad, func(slot *proof.Slot, _ proof.Slot) { slot.Proof = proof.Nodes{} }),
		change("nodes that end before the word of who presigned the order", bad, func(slot *proof.Slot, _ proof.Slot) { slot.Proof = slot.Proof[:len(slot.Proof)-1] }),
	)
}
