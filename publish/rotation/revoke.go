package rotation

import (
	"context"
	"errors"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Withdrawal is a release that is to be sold no more.
type Withdrawal struct {
	Line
	App    apps.Registration
	Terms  orders.Terms          // under which it would be offered now
	Known  []poco.SignedAppOrder // that records have
	Stated bool                  // it was withdrawn before, and nothing was opened since
}

// Revoke finds the orders by which a release is sold: what the market lists, whoever made
// it, what records have, and those that may have been signed though neither has them. Of
// each offer, under the terms of now, of a record and of what is listed, that is the first
// generation that has runs left: a later one is opened only when the earlier ones came to
// their end. Errors: those of [World.OnSale].
func (w World) Revoke(ctx context.Context, of Withdrawal) (c Change, err error) {
	sales, err := w.everywhere(ctx, of.Owner, of.Known)
	if err != nil {
		return c, err
	}
	seen, offers := map[common.Hash]bool{}, []orders.Terms{of.Terms}
	for _, sale := range sales {
		if sale.Order.App != of.App.Address {
			continue
		}
		seen[sale.Hash] = true
		if terms := orders.TermsOf(sale.Order.AppOrder); sale.Own && !slices.Contains(offers, terms) {
			offers = append(offers, terms)
		}
		if !sale.isOver() {
			c.End = append(c.End, sale)
		}
	}
	for _, terms := range offers {
		hidden, err := w.hidden(ctx, of, terms)
		if err != nil {
			return c, err
		}
		if hidden.Left.Sign() > 0 && !seen[hidden.Hash] {
			c.End = append(c.End, hidden)
		}
	}
	return c, nil
}

// hidden is the order of an offer that somebody may have, though no list has it. Of a
// release that was withdrawn it is the first one only: else each further run would close
// one more, which nobody ever signed.
func (w World) hidden(ctx context.Context, of Withdrawal, terms orders.Terms) (Sale, error) {
	order := orders.New(w.Chain.Domain(), of.App.Address, terms)
	if !of.Stated {
		last, _, err := orders.Opened(ctx, w.Chain, of.App.Address, terms)
		if err != nil && !is[*orders.GenerationsError](err) {
			return Sale{}, err
		}
		if err == nil {
			order = last
		}
	}
	left, err := node.Remaining(ctx, w.Chain, order)
	return Sale{Hash: order.Hash(w.Chain.Domain()), Order: poco.SignedAppOrder{AppOrder: order}, Left: left, App: of.App.App, Own: true}, err
}

// Statement is a revocation that is to be among the statements about a release's image.
type Statement struct {
	record.Revocation
	There bool // the key said so before, perhaps for another reason: that one stays
	app   poco.App
}

// NewStatement says why a release is withdrawn, or finds what the key said before. The
// key must have signed the image: nobody heeds another one. Errors:
// *registry.UnsignedError, *registry.Error, *record.Error for an app of no image.
func (w World) NewStatement(ctx context.Context, c registry.Client, key signing.Party, app apps.Registration, why string) (Statement, error) {
	s := Statement{record.Revocation{Version: apps.Version(app.App), Reason: why, ChainID: w.Chain.ID, App: record.Address(app.Address)}, false, app.App}
	image, err := record.ImageOf(app.App)
	if err != nil {
		return s, err
	}
	said, err := c.Statements(ctx, image, key)
	if err != nil {
		return s, err
	}
	if before := record.Revoked(said, w.Chain.ID, app.Address); before != nil {
		s.Revocation, s.There = *before, true
		return s, nil
	}
	return s, said.CheckSignature()
}

// Image is what the statement is about. Error: *record.Error.
func (s Statement) Image() (name.Digest, error) { return record.ImageOf(s.app) }

// ElsewhereError says that a job's identity signed the image at another reference than the
// one at which it would revoke the release. A record names the identity with its reference,
// so who verifies by the record would not heed the revocation.
type ElsewhereError struct {
	Image name.Digest
	Job   string
}

func (e *ElsewhereError) Error() string {
	return "the image was signed by a job at another reference, and who verifies by the record heeds that one only"
}

// Evidence returns the image and who would revoke.
func (e *ElsewhereError) Evidence() [][2]string {
	return [][2]string{{"expected", "the identity that signed the image, with its reference"}, {"actual", e.Job}, {"image", e.Image.String()}}
}

// exact is a signer that signs for a party which is narrower than the one it was opened as.
type exact interface{ Exactly() signing.Party }

// CheckHeeded asks whether those who verify by a record heed what a signer states. Errors:
// *ElsewhereError, *registry.Error.
func (s Statement) CheckHeeded(ctx context.Context, c registry.Client, key signing.Signer) error {
	job, ok := key.(exact)
	if !ok {
		return nil // a key is the same wherever it signs
	}
	image, err := s.Image()
	if err != nil {
		return err
	}
	err = c.CheckSignature(ctx, image, job.Exactly())
	var unsigned *registry.UnsignedError
	if errors.As(err, &unsigned) {
		return &ElsewhereError{image, job.Exactly().String()}
	}
	return err
}

// Write signs the revocation and reads it back, until it is listed. Errors: those of
// [registry.Client.State] and [registry.Client.Confirm].
func (s Statement) Write(ctx context.Context, c registry.Client, key signing.Signer) (made bool, err error) {
	if s.There {
		return false, nil
	}
	image, err := s.Image()
	if err != nil {
		return false, err
	}
	if made, err = c.Attest(ctx, image, key, s.Attestation()); err != nil {
		return false, err
	}
	return made, c.Confirm(ctx, image, key, s.Attestation())
}

// Known returns of records the orders that a wallet signed on a chain. Others are left
// out: nobody can match them.
func Known(d poco.Domain, wallet common.Address, records []record.Record) (known []poco.SignedAppOrder) {
	for _, r := range records {
		signer, err := node.RecoverSigner(r.Order.Hash, r.Order.Signed.Sign)
		if err == nil && signer == wallet && r.Domain() == d {
			known = append(known, r.Order.Signed)
		}
	}
	return known
}

// Presigned returns of records the orders that a contract must have presigned on a chain. That
// it did is asked where they are read.
func Presigned(d poco.Domain, owner common.Address, records []record.Record) (known []poco.SignedAppOrder) {
	for _, r := range records {
		if r.IsPresigned() && common.Address(r.App.Owner) == owner && r.Domain() == d {
			known = append(known, r.Order.Signed)
		}
	}
	return known
}
