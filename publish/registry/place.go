package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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
		"the registry lists signatures in its referrers API",
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

// Prove is Place for whoever is about to push. Where that cannot be seen it pushes two
// manifests of some bytes, the same for every release: one that has no name, and one
// that is to the first what a signature is to an image.
func (c Client) Prove(ctx context.Context, repo name.Repository) (Place, error) {
	place, err := c.Place(ctx, repo)
	if err != nil || place != Unknown {
		return place, err
	}
	in, err := c.session(ctx, repo, transport.PushScope)
	if err == nil {
		err = in.writeProbe(ctx)
	}
	if err == nil {
		place, err = in.place(ctx)
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
	return failed("looking at", repo, err)
}

// place looks at the probe of an earlier release, or else at an image that has a tag.
func (s *session) place(ctx context.Context) (Place, error) {
	subject, _, err := probe()
	if err != nil {
		return Unknown, err
	}
	list, err := s.listed(ctx, subject.Digest)
	if err != nil || list.place == ByAPI || list.place == Nowhere {
		return list.place, err
	}
	there, err := s.holdsManifest(subject.Digest)
	if err != nil || there {
		return list.place, err
	}
	tagged, err := s.anyTagged(ctx)
	if err != nil || tagged == nil {
		return Unknown, nil // what cannot be listed cannot be looked at
	}
	list, err = s.listed(ctx, *tagged)
	return list.place, err
}

// listed lists the referrers of a manifest.
func (s *session) listed(ctx context.Context, of v1.Hash) (listing, error) {
	list, err := newBundles(s, s.Digest(of.String())).list(ctx)
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
	tags, _, err := s.tags(ctx)
	if err != nil || len(tags) == 0 {
		return nil, err
	}
	there, err := remote.Head(s.Tag(tags[0]), s.opts...)
	if err != nil {
		return nil, err
	}
	return &there.Digest, nil
}

// probe returns two manifests that say nothing: one without a subject, and one with
// the form of a bundle that refers to it.
func probe() (subject v1.Descriptor, manifests [2]v1.Manifest, err error) {
	config, err := descriptorOf([]byte(emptyConfig), emptyType)
	if err != nil {
		return subject, manifests, err
	}
	manifests[0] = v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: "application/vnd.mrelease.probe", Config: config, Layers: []v1.Descriptor{config}}
	raw, err := json.Marshal(manifests[0])
	if err != nil {
		return subject, manifests, err
	}
	if subject, err = descriptorOf(raw, types.OCIManifestSchema1); err != nil {
		return subject, manifests, err
	}
	manifests[1], err = bundleManifest(subject, []byte(emptyConfig))
	return subject, manifests, err
}

// writeProbe pushes both. A registry that does not take them does not take signatures.
func (s *session) writeProbe(ctx context.Context) error {
	_, manifests, err := probe()
	if err != nil {
		return err
	}
	for _, m := range manifests {
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
