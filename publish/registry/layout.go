package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Layout is how statements about an image are kept beside it.
type Layout string

const (
	// Referrers are bundles that refer to the image (OCI 1.1): the registry lists them,
	// or, where it has no such API, an index under the tag sha256-DIGEST does.
	Referrers Layout = "referrers"
	// Tags is cosign's older layout: signatures are layers of an image under the tag
	// sha256-DIGEST.sig, attestations under sha256-DIGEST.att.
	Tags Layout = "tags"
)

// Layouts are all.
func Layouts() []Layout { return []Layout{Referrers, Tags} }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (l *Layout) UnmarshalText(text []byte) error {
	if !slices.Contains(Layouts(), Layout(text)) {
		return fmt.Errorf("want one of %v, got %q", Layouts(), text)
	}
	*l = Layout(text)
	return nil
}

// shelf is where a layout keeps statements about an image.
type shelf interface {
	// read adds what is there to statements.
	read(ctx context.Context, party signing.Party, s *Statements) error
	// sign makes of a statement what will be kept.
	sign(ctx context.Context, signer signing.Signer, said statement, data []byte) (kept, error)
	// add keeps all of them, in as few writes as can be; some may be there already.
	add(ctx context.Context, all []kept) error
}

// kept is a signed statement in the form of its layout.
type kept struct {
	content       []byte // a bundle, the text that was signed, or an envelope
	predicateType string
	signature     string // base64 of that beside the content; empty when it is within
}

func (c Client) shelf(in *session, image name.Digest, layout Layout) shelf {
	if layout == Tags {
		return older{in, image}
	}
	return newBundles(in, image, "")
}

// readable are the layouts that are read.
func (c Client) readable() []Layout {
	if c.Layout == "" {
		return Layouts()
	}
	return []Layout{c.Layout}
}

// written is the layout that is written.
func (c Client) written() Layout { return cmp.Or(c.Layout, Referrers) }

// encode returns a statement and its JSON.
func encode(image name.Digest, a Attestation) (s statement, data []byte, err error) {
	if s, err = newStatement(image, a); err == nil {
		data, err = json.Marshal(s)
	}
	return s, data, err
}
