package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Place is where a repository's registry lists what refers to an image.
type Place int

// The places. Unknown is the answer about a repository with nothing in it.
const (
	Unknown    Place = iota
	ByAPI            // in its referrers API
	ByTag            // in an index under a tag, which clients write
	Nowhere          // signatures in cosign's bundle format cannot be found
	InOlderTag       // it does not matter: the layout is [Tags]
)

// String says what it means.
func (p Place) String() string {
	return [...]string{
		"whether the registry can list signatures cannot be seen before something is in the repository: the release finds out before it pushes",
		"the registry has the referrers API, where signatures are listed",
		"signatures are listed under a tag, since the registry has no referrers API",
		"the registry cannot list signatures",
		"signatures are kept under tags, in cosign's older layout",
	}[p]
}

// UnkeptError says that a registry cannot keep signatures and attestations so that
// they are found.
type UnkeptError struct {
	Repository name.Repository
	Because    string
}

func (e *UnkeptError) Error() string {
	return fmt.Sprintf("the registry %s cannot list the signatures of an image: %s", e.Repository.RegistryStr(), e.Because)
}

// Evidence returns what was seen.
func (e *UnkeptError) Evidence() [][2]string {
	return [][2]string{{"expected", "the referrers API of OCI 1.1, or an index under the tag sha256-DIGEST"}, {"actual", e.Because}, {"where", e.Repository.Name()}}
}

// Place finds out where signatures and attestations will be listed, and writes nothing.
//
// Errors: *UnkeptError when that is nowhere, *Error.
func (c Client) Place(ctx context.Context, repo name.Repository) (Place, error) {
	if c.Layout == Tags {
		return InOlderTag, nil
	}
	in, err := c.session(ctx, repo, transport.PushScope)
	if err == nil {
		var place Place
		if place, err = in.place(ctx); err == nil {
			return place, nil
		}
	}
	return Nowhere, unkept(repo, err)
}

// Prove is Place for whoever is about to push. It pushes two manifests of some bytes,
// the same for every release, unless they are there: one that has no name, and one that
// is to the first what a signature is to an image. Whether a registry takes such ones,
// and lists them, is not seen otherwise.
func (c Client) Prove(ctx context.Context, repo name.Repository) (Place, error) {
	place, err := c.Place(ctx, repo)
	if err != nil || place == InOlderTag {
		return place, err
	}
	in, err := c.session(ctx, repo, transport.PushScope)
	if err == nil {
		place, err = in.prove(ctx)
	}
	if err != nil {
		return Nowhere, unkept(repo, err)
	}
	return place, nil
}

func unkept(repo name.Repository, err error) error {
	var nowhere *UnkeptError
	if errors.As(err, &nowhere) {
		return err
	}
	return failed(askingForList, repo, err)
}

// place looks at the probe of an earlier release, or else at an image that has a tag.
func (s *session) place(ctx context.Context) (Place, error) {
	p, err := newProbe()
	if err != nil {
		return Unknown, err
	}
	list, err := s.listed(ctx, p.subject.Digest)
	if err != nil || list.place == Nowhere {
		return list.place, err
	}
	there, err := s.holdsManifest(p.referrer.Digest)
	if err != nil {
		return Unknown, err
	}
	if there {
		return list.place, s.checkListed(list, p)
	}
	if list.place == ByAPI {
		return ByAPI, nil
	}
	tagged, err := s.anyTagged(ctx)
	if err != nil || tagged == nil {
		return Unknown, nil // what cannot be listed cannot be looked at
	}
	list, err = s.listed(ctx, *tagged)
	return list.place, err
}

// checkListed makes sure that the referrers API lists the probe, which is there.
func (s *session) checkListed(list listing, p probe) error {
	if list.place == ByAPI && !slices.ContainsFunc(list.referrers, func(d v1.Descriptor) bool { return d.Digest == p.referrer.Digest }) {
		return &UnkeptError{s.Repository, "its referrers API does not list a manifest that it took and that refers to another"}
	}
	return nil
}

// prove writes the probe, if it is not there, and waits until it is seen.
func (s *session) prove(ctx context.Context) (place Place, err error) {
	p, err := newProbe()
	if err != nil {
		return Unknown, err
	}
	if there, err := s.holdsManifest(p.referrer.Digest); err != nil || !there {
		if err = errors.Join(err, s.writeProbe(ctx, p)); err != nil {
			return Unknown, err
		}
	}
	for _, wait := range patience() {
		select {
		case <-ctx.Done():
			return Unknown, ctx.Err()
		case <-time.After(wait):
		}
		if place, err = s.place(ctx); place != ByAPI || err == nil {
			break
		}
	}
	return place, err
}

// listed lists the referrers of a manifest.
func (s *session) listed(ctx context.Context, of v1.Hash) (listing, error) {
	list, err := newBundles(s, s.Digest(of.String()), "").list(ctx)
	if err == nil && list.place == Nowhere {
		err = &UnkeptError{s.Repository, list.because}
	}
	return list, err
}

func (s *session) holdsManifest(subject v1.Hash) (bool, error) {
	_, err := remote.Head(s.Digest(subject.String()), s.opts...)
	if isNotFound(err) || isRefused(err) { // as of what is not there
		return false, nil
	}
	return err == nil, err
}

// anyTagged returns the digest of what one of the tags names; nil for none.
func (s *session) anyTagged(ctx context.Context) (*v1.Hash, error) {
	var any string
	_, err := s.tags(ctx, func(page []string) bool {
		if len(page) > 0 {
			any = page[0]
		}
		return any == ""
	})
	if err != nil || any == "" {
		return nil, err
	}
	there, err := remote.Head(s.Tag(any), s.opts...)
	if err != nil {
		return nil, err
	}
	return &there.Digest, nil
}

// probe is two manifests that say nothing: a subject, and one with the form of a bundle
// that refers to it.
type probe struct {
	subject, referrer v1.Descriptor
	manifests         [2]v1.Manifest
}

func newProbe() (p probe, err error) {
	config, err := descriptorOf([]byte(emptyConfig), emptyType)
	if err != nil {
		return p, err
	}
	p.manifests[0] = v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: "application/vnd.mrelease.probe", Config: config, Layers: []v1.Descriptor{config}}
	if _, p.subject, err = encodeManifest(p.manifests[0]); err != nil {
		return p, err
	}
	if p.manifests[1], err = bundleManifest(p.subject, []byte(emptyConfig)); err != nil {
		return p, err
	}
	_, p.referrer, err = encodeManifest(p.manifests[1])
	return p, err
}

// writeProbe pushes both. A registry that does not take them does not take signatures.
func (s *session) writeProbe(ctx context.Context, p probe) error {
	for _, m := range p.manifests {
		_, err := s.refer(ctx, m, []byte(emptyConfig))
		if hasStatus(err, http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusMethodNotAllowed, http.StatusUnprocessableEntity) {
			return &UnkeptError{s.Repository, fmt.Sprintf("it does not take their manifests: %v", err)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
