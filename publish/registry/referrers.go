package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// bundles are the referrers of an image, of which those count that hold a bundle.
type bundles struct {
	*session
	image name.Digest
	kind  string                    // of the documents that are looked for; empty: none are
	seen  map[string]*v1.Descriptor // in the index under the tag, in any of its answers

	sought map[string]bool // digests of referrers of which one is looked for in the list
}

func newBundles(in *session, image name.Digest, kind string) *bundles {
	return &bundles{session: in, image: image, kind: kind, seen: map[string]*v1.Descriptor{}, sought: map[string]bool{}}
}

// readers is how many referrers are read at a time: each may take some of a bundle's
// size many times over.
const readers = 4

func (b *bundles) read(ctx context.Context, party signing.Party, s *Statements) error {
	list, err := b.list(ctx)
	if err != nil {
		return err
	}
	s.Beyond += list.beyond
	s.hidden += list.hidden
	s.Endless = s.Endless || list.endless
	read := make([]func(*Statements), len(list.referrers)) // in the order of the list
	var group errgroup.Group
	group.SetLimit(readers)
	for i, r := range list.referrers {
		group.Go(func() error {
			read[i] = b.readOne(b.Digest(r.Digest.String()), party)
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, add := range read {
		add(s)
	}
	return nil
}

// bundleType begins the media type of a bundle, and the artifact type of its manifest;
// what is written ends with bundleVersion.
const (
	bundleType    = "application/vnd.dev.sigstore.bundle"
	bundleVersion = ".v0.3+json"
)

// predicateAnnotationOfBundle is how the manifest of a bundle states the type of its
// predicate, and a registry that lists it.
const predicateAnnotationOfBundle = "dev.sigstore.bundle.predicateType"

// emptyType is the media type of a configuration that says nothing, which the manifest
// of a bundle has (OCI image specification 1.1, guidelines for artifact usage).
const emptyType = "application/vnd.oci.empty.v1+json"

const emptyConfig = "{}"

// bundleManifest is cosign's manifest of a bundle.
func bundleManifest(subject v1.Descriptor, content []byte) (v1.Manifest, error) {
	return referrerManifest(subject, bundleType+bundleVersion, content)
}

// referrerManifest is that of a manifest with one layer that refers to another.
func referrerManifest(subject v1.Descriptor, kind types.MediaType, content []byte) (m v1.Manifest, err error) {
	layer, err := descriptorOf(content, kind)
	if err != nil {
		return m, err
	}
	config, err := descriptorOf([]byte(emptyConfig), emptyType)
	if err != nil {
		return m, err
	}
	config.ArtifactType = string(layer.MediaType)
	return v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(layer.MediaType), Config: config, Layers: []v1.Descriptor{layer},
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}, nil
}

// embedded bounds what a manifest holds of its layer, in bytes: some registries take no
// manifest that is large, and whoever lists an image's manifests reads this too.
const embedded = 32 << 10

// embed puts the layer's content into the manifest too, as OCI's descriptors allow, so that
// it takes one request to read. The layer is pushed all the same, for other readers.
func embed(m *v1.Manifest, content []byte) {
	if len(content) <= embedded {
		m.Layers[0].Data = content
	}
}

// readOne reads a referrer, and returns what it adds to the statements.
func (b *bundles) readOne(referrer name.Digest, party signing.Party) func(*Statements) {
	raw, err := b.bundle(referrer)
	if errors.Is(err, errDocument) {
		return func(*Statements) {}
	}
	if err != nil {
		return func(s *Statements) { s.unreadable(referrer, err) }
	}
	if raw == nil {
		return func(s *Statements) { s.Foreign++ }
	}
	said, err := verifyBundle(raw, b.image, party)
	if err != nil {
		return func(s *Statements) {
			s.Others++
			s.because(err)
		}
	}
	said.proof = proof{raw, verifyBundle}
	return func(s *Statements) { s.verified = append(s.verified, said) }
}

// bundle returns nil for a referrer that is no bundle, by the media type of its
// layer: registries do not agree on the artifact type that they list.
func (b *bundles) bundle(referrer name.Digest) ([]byte, error) {
	layer, err := b.only(referrer)
	switch {
	case err != nil || layer == nil:
		return nil, err
	case strings.HasPrefix(string(layer.MediaType), DocumentType):
		return nil, errDocument
	case !strings.HasPrefix(string(layer.MediaType), bundleType):
		return nil, nil
	}
	return b.content(*layer, bounds.Bundle)
}

// errDocument says that a referrer is a document of ours, which states nothing by a key.
var errDocument = errors.New("it is a document")

func (b *bundles) sign(ctx context.Context, signer signing.Signer, said statement, data []byte) (kept, error) {
	signed, err := signer.Bundle(ctx, &sign.DSSEData{Data: data, PayloadType: cosigntypes.IntotoPayloadType})
	if err != nil {
		return kept{}, err
	}
	encoded, err := protojson.Marshal(signed)
	if err != nil {
		return kept{}, fmt.Errorf("encoding bundle: %w", err)
	}
	return kept{content: encoded, predicateType: said.PredicateType}, nil
}

// add pushes the bundles, each in a manifest as cosign makes it, and where the registry
// has no list of its own the index with all of them.
func (b *bundles) add(ctx context.Context, all []kept) error {
	var listed []*v1.Descriptor
	for _, k := range all {
		d, err := b.push(ctx, k)
		if err != nil {
			return err
		}
		listed = append(listed, &d)
	}
	list, err := b.list(ctx)
	if err != nil {
		return err
	}
	switch list.place {
	case ByAPI:
		return nil
	case Nowhere:
		return &UnkeptError{b.Repository, list.because}
	}
	return b.index(ctx, list.all, listed)
}

// push pushes a bundle, and returns its entry in the index.
func (b *bundles) push(ctx context.Context, k kept) (v1.Descriptor, error) {
	subject, err := remote.Head(b.image, b.opts...)
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest, err := bundleManifest(*subject, k.content)
	if err != nil {
		return v1.Descriptor{}, err
	}
	embed(&manifest, k.content)
	manifest.Annotations = map[string]string{
		"org.opencontainers.image.created": time.Now().UTC().Format(time.RFC3339),
		"dev.sigstore.bundle.content":      "dsse-envelope",
		predicateAnnotationOfBundle:        k.predicateType,
	}
	return b.refer(ctx, manifest, k.content)
}

// refer pushes a manifest that refers to another.
func (s *session) refer(ctx context.Context, manifest v1.Manifest, content []byte) (v1.Descriptor, error) {
	for _, layer := range []v1.Layer{static.NewLayer([]byte(emptyConfig), emptyType), static.NewLayer(content, manifest.Layers[0].MediaType)} {
		if err := remote.WriteLayer(s.Repository, layer, s.opts...); err != nil {
			return v1.Descriptor{}, err
		}
	}
	raw, d, err := encodeManifest(manifest)
	if err != nil {
		return v1.Descriptor{}, err
	}
	return d, s.put(ctx, d.Digest.String(), d.MediaType, raw)
}

// encodeManifest returns a manifest as it is stored, and its entry in an index.
func encodeManifest(m v1.Manifest) (raw []byte, d v1.Descriptor, err error) {
	if raw, err = json.Marshal(m); err != nil {
		return nil, d, fmt.Errorf("encoding manifest: %w", err)
	}
	d, err = descriptorOf(raw, types.OCIManifestSchema1)
	d.ArtifactType, d.Annotations = m.ArtifactType, m.Annotations
	return raw, d, err
}

// index writes an index of all that was ever seen listed, together with more. There is
// nothing to write when that is as much as is there.
func (b *bundles) index(ctx context.Context, there int, more []*v1.Descriptor) error {
	for _, d := range more {
		b.seen[d.Digest.String()] = d
	}
	if len(b.seen) == there {
		return nil
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, digest := range slices.Sorted(maps.Keys(b.seen)) {
		index.Manifests = append(index.Manifests, *b.seen[digest])
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return fmt.Errorf("encoding list: %w", err)
	}
	return b.put(ctx, tagOf(b.image, "").TagStr(), types.OCIImageIndex, raw)
}
