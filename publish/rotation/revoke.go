package rotation

import (
	"context"
	"errors"

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

// Revoke finds the orders by which a release is sold: what the market lists, whoever made
// it, what records have, and the order of these terms, which may have been signed though
// the market does not have it. Errors: those of [World.OnSale].
func (w World) Revoke(ctx context.Context, line Line, app apps.Registration, terms orders.Terms, known []poco.SignedAppOrder) (c Change, err error) {
	sales, err := w.everywhere(ctx, line.Owner, known)
	if err != nil {
		return c, err
	}
	own := orders.New(w.Chain.Domain(), app.Address, terms)
	seen := false
	for _, sale := range sales {
		seen = seen || sale.Hash == own.Hash(w.Chain.Domain())
		if sale.Order.App == app.Address && !sale.isOver() {
			c.End = append(c.End, sale)
		}
	}
	left, err := node.Remaining(ctx, w.Chain, own)
	if err == nil && !seen && left.Sign() > 0 {
		c.End = append(c.End, Sale{Hash: own.Hash(w.Chain.Domain()), Order: poco.SignedAppOrder{AppOrder: own}, Left: left, App: app.App, Own: true})
	}
	return c, err
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
