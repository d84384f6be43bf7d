package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
)

// Statements are what a key states about an image, in any of the bundles among the
// image's referrers. Anybody who may push can add referrers, so one that cannot be
// read, is no bundle or does not verify is counted and does no harm.
type Statements struct {
	Others     int // bundles that do not verify with the key
	Foreign    int // referrers that are no bundles
	Unreadable int // referrers that are listed and cannot be read
	Beyond     int // referrers beyond bounds.Referrers, which were not looked at

	image    name.Digest
	verified []statement
	reasons  error // why bundles do not verify, and referrers cannot be read; some of them
	outage   error // a reason that may be gone when it is tried again; nil: none
}

// maxReasons is how many reasons are kept; they may be a thousand times the same.
const maxReasons = 5

// readers is how many referrers are read at a time: each may take some of a bundle's
// size many times over.
const readers = 4

// Statements reads an image's referrers, each once. Its error is an [*Error], when
// they cannot be listed.
func (c Client) Statements(ctx context.Context, image name.Digest, key PublicKey) (Statements, error) {
	s := Statements{image: image}
	listed, err := c.referrers(ctx, image)
	if err != nil {
		return s, failed("listing referrers of", image, err)
	}
	bundlesFirst(listed)
	if n := len(listed); n > bounds.Referrers {
		listed, s.Beyond = listed[:bounds.Referrers], n-bounds.Referrers
	}
	read := make([]func(*Statements), len(listed)) // in the order of the list
	var group errgroup.Group
	group.SetLimit(readers)
	for i, r := range listed {
		group.Go(func() error {
			read[i] = c.read(ctx, image.Digest(r.Digest.String()), image, key)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return s, failed("reading referrers of", image, err)
	}
	for _, add := range read {
		add(&s)
	}
	return s, nil
}

func (c Client) referrers(ctx context.Context, image name.Digest) ([]v1.Descriptor, error) {
	index, err := remote.Referrers(image, c.options(ctx, image)...)
	if err != nil {
		return nil, err
	}
	raw, err := index.RawManifest()
	if err != nil {
		return nil, err
	}
	if err := bounds.CheckJSON(raw); err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	return manifest.Manifests, nil
}

// bundleType begins the media type of a bundle, and the artifact type of its manifest.
const bundleType = "application/vnd.dev.sigstore.bundle"

// emptyType is the media type of a configuration that says nothing, which the manifest
// of a bundle has (OCI image specification 1.1, guidelines for artifact usage).
const emptyType = "application/vnd.oci.empty.v1+json"

// bundlesFirst puts what is listed as a bundle before what is listed as something else,
// in the order of the list, so that a thousand other referrers do not hide a signature.
// It is no more than an order: registries do not agree on the artifact type they list
// (some take the media type of the configuration for it, which is an empty one here).
func bundlesFirst(listed []v1.Descriptor) {
	rank := func(d v1.Descriptor) int {
		switch {
		case strings.HasPrefix(d.ArtifactType, bundleType):
			return 0
		case d.ArtifactType == "" || d.ArtifactType == emptyType:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(listed, func(a, b v1.Descriptor) int { return rank(a) - rank(b) })
}

// read reads a referrer, and returns what it adds to the statements.
func (c Client) read(ctx context.Context, referrer, image name.Digest, key PublicKey) func(*Statements) {
	raw, err := c.bundle(ctx, referrer)
	if err != nil {
		return func(s *Statements) { s.unreadable(referrer, err) }
	}
	if raw == nil {
		return func(s *Statements) { s.Foreign++ }
	}
	said, err := verifyBundle(raw, image, key)
	if err != nil {
		return func(s *Statements) {
			s.Others++
			s.because(err)
		}
	}
	return func(s *Statements) { s.verified = append(s.verified, said) }
}

func (s *Statements) unreadable(referrer name.Digest, err error) {
	s.Unreadable++
	err = failed("reading referrer", referrer, err)
	if s.outage == nil && isOutage(err) {
		s.outage = err
	}
	s.because(err)
}

// isOutage tells an error that may be gone at the next try from an answer, which
// whoever may push can bring about.
func isOutage(err error) bool {
	var answer *transport.Error
	var network *url.Error
	var slow *bounds.SlowError
	var inside *bounds.AddressError
	switch {
	case errors.As(err, &answer):
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests
	case errors.As(err, &inside):
		return false
	}
	return errors.As(err, &network) || errors.As(err, &slow)
}

func (s *Statements) because(err error) {
	if n := s.Others + s.Unreadable; n <= maxReasons {
		s.reasons = errors.Join(s.reasons, err)
	} else if n == maxReasons+1 {
		s.reasons = errors.Join(s.reasons, errors.New("and so on"))
	}
}

// of returns the predicates of a type.
func (s Statements) of(predicateType string) (found []statement, others int) {
	for _, v := range s.verified {
		if v.PredicateType == predicateType {
			found = append(found, v)
		}
	}
	return found, s.Others + len(s.verified) - len(found)
}

// Aside tells of the referrers that were not taken into account; it is empty when
// there are none.
func (s Statements) Aside() string {
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{
		{s.Unreadable, "cannot be read"}, {s.Foreign, "are no bundles"},
		{s.Beyond, fmt.Sprintf("are beyond the %d that are read", bounds.Referrers)},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	if parts == nil {
		return ""
	}
	return "of its other referrers " + strings.Join(parts, ", ")
}

// bundle returns nil for a referrer that is no bundle, by the media type of its
// layer: registries do not agree on the artifact type that they list.
func (c Client) bundle(ctx context.Context, referrer name.Digest) ([]byte, error) {
	there, err := remote.Get(referrer, c.options(ctx, referrer)...)
	if err != nil {
		return nil, err
	}
	if !there.MediaType.IsImage() || bounds.CheckJSON(there.Manifest) != nil {
		return nil, nil
	}
	image, err := there.Image()
	if err != nil {
		return nil, err
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		return nil, nil // a manifest that is malformed is no bundle either
	}
	mediaType, err := layers[0].MediaType()
	if err != nil || !strings.HasPrefix(string(mediaType), bundleType) {
		return nil, nil
	}
	content, err := layers[0].Compressed() // as stored: a bundle is not compressed
	if err != nil {
		return nil, err
	}
	raw, err := bounds.ReadAll(content, bounds.Bundle)
	if err := errors.Join(err, content.Close()); err != nil {
		return nil, err
	}
	return raw, nil
}
