package buildkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// finisher makes the image of what a builder exported: an index of an image,
// whose new layers have the times at which their steps ran, and the attestation
// of where it comes from.
type finisher struct {
	store   layoutStore
	layers  layerCache
	plan    plan      // the layers and the history of its base stay
	epoch   time.Time // of all entries of new layers
	created time.Time // of the image and its new history
}

// finish leaves the finished image as the layout's only one, and returns what the
// build took. The manifest gets the materials under key, unless that is empty.
func (f finisher) finish(ctx context.Context, index v1.Hash, key string) ([]Material, error) {
	image, materials, err := f.open(index)
	if err != nil {
		return nil, err
	}
	manifest, err := f.manifest(image)
	if err != nil {
		return nil, err
	}
	if err := f.finishImage(ctx, manifest); err != nil {
		return nil, err
	}
	if key != "" && len(materials) > 0 {
		text, err := FormatMaterials(materials)
		if err != nil {
			return nil, err
		}
		manifest.Annotations = maps.Clone(manifest.Annotations)
		if manifest.Annotations == nil {
			manifest.Annotations = map[string]string{}
		}
		manifest.Annotations[key] = text
	}
	return materials, f.index(manifest)
}

// errEmptyImage is how a builder tells of an image that nothing was put into.
var errEmptyImage = errors.New("the index has no image")

// open finds the image in an index, and reads the attestation.
func (f finisher) open(index v1.Hash) (image v1.Hash, materials []Material, err error) {
	raw, err := f.store.bytes(index)
	if err != nil {
		return image, nil, fmt.Errorf("reading index %s: %w", index, err)
	}
	parsed, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return image, nil, fmt.Errorf("reading index %s: %w", index, err)
	}
	images := 0
	for _, m := range parsed.Manifests {
		if m.Annotations[annotationReference] != attestationManifest {
			image = m.Digest
			images++
		} else if materials, err = readMaterials(f.store.bytes, m.Digest); err != nil {
			return image, nil, err
		}
	}
	if images == 0 {
		return image, nil, errEmptyImage
	}
	if images != 1 {
		return image, nil, fmt.Errorf("reading index: %d images, not one", images)
	}
	return image, materials, nil
}

func (f finisher) manifest(image v1.Hash) (*v1.Manifest, error) {
	raw, err := f.store.bytes(image)
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	return manifest, nil
}

// finishImage brings the layers and the configuration into their final form. What
// is not known of a configuration's fields here stays in it.
func (f finisher) finishImage(ctx context.Context, manifest *v1.Manifest) error {
	raw, err := f.store.bytes(manifest.Config.Digest)
	if err != nil {
		return fmt.Errorf("reading image configuration: %w", err)
	}
	var config ocispec.Image
	fields := map[string]json.RawMessage{}
	if err := errors.Join(json.Unmarshal(raw, &config), json.Unmarshal(raw, &fields)); err != nil {
		return fmt.Errorf("parsing image configuration: %w", err)
	}
	if len(config.RootFS.DiffIDs) != len(manifest.Layers) {
		return fmt.Errorf("parsing image configuration: it has %d layers, and the manifest %d", len(config.RootFS.DiffIDs), len(manifest.Layers))
	}
	kept := f.kept(config)
	for _, l := range manifest.Layers[:kept] {
		if err := f.store.place(l.Digest); err != nil {
			return err
		}
	}
	for i := kept; i < len(manifest.Layers); i++ {
		made, err := f.layer(ctx, manifest.Layers[i])
		if err != nil {
			return err
		}
		manifest.Layers[i] = v1.Descriptor{MediaType: f.layers.media, Size: made.Size, Digest: made.Digest}
		config.RootFS.DiffIDs[i] = digest.Digest(made.DiffID.String())
	}
	config.History = f.complete(config.History)
	f.date(config.History)
	for name, value := range map[string]any{"rootfs": config.RootFS, "history": config.History, "created": f.created.UTC()} {
		if fields[name], err = json.Marshal(value); err != nil {
			return fmt.Errorf("encoding image configuration: %w", err)
		}
	}
	if raw, err = json.Marshal(fields); err != nil {
		return fmt.Errorf("encoding image configuration: %w", err)
	}
	manifest.Config, err = f.put(raw, manifest.Config.MediaType)
	return err
}

// kept returns how many of the image's layers are those of its base.
func (f finisher) kept(config ocispec.Image) int {
	for i, id := range config.RootFS.DiffIDs {
		if i >= len(f.plan.base.RootFS.DiffIDs) || f.plan.base.RootFS.DiffIDs[i] != id {
			return i
		}
	}
	return len(config.RootFS.DiffIDs)
}

// complete returns the image's history. Where that of the base tells of fewer layers
// than it has, the builder describes the others by what it knows from other builds;
// they get a description that depends on nothing.
func (f finisher) complete(exported []ocispec.History) []ocispec.History {
	base := f.plan.base.History
	if len(exported) == len(f.plan.history) || len(base) > len(f.plan.history) {
		return exported
	}
	untold := len(f.plan.base.RootFS.DiffIDs)
	for _, h := range base {
		if !h.EmptyLayer {
			untold--
		}
	}
	if untold != len(exported)-len(f.plan.history) {
		return exported
	}
	whole := slices.Clone(base)
	for range untold {
		whole = append(whole, ocispec.History{Comment: "a layer of the base image, which says nothing of it"})
	}
	return append(whole, f.plan.history[len(base):]...)
}

// date sets the time of what the build added to the history.
func (f finisher) date(history []ocispec.History) {
	created, added := f.created.UTC(), false
	for i := range history {
		added = added || i >= len(f.plan.base.History) || !reflect.DeepEqual(history[i], f.plan.base.History[i])
		if added {
			history[i].Created = &created
		}
	}
}

// knows reports whether a blob of the builder is needed no more, as an earlier build made a
// layer of it. A layer of the base is needed as it is, and the base's configuration names it
// by its content: so what a compressed blob is needed for cannot be told.
func (f *finisher) knows(blob v1.Hash) bool {
	n, ok := f.layers.find(blob, f.epoch)
	return ok && n.isPlain() && !slices.Contains(f.plan.base.RootFS.DiffIDs, digest.Digest(blob.String()))
}

// layer brings one layer into its final form, unless an earlier build did.
func (f finisher) layer(ctx context.Context, exported v1.Descriptor) (layer, error) {
	if n, ok := f.layers.find(exported.Digest, f.epoch); ok {
		return n.Layer, nil
	}
	m, err := f.layers.begin(exported, f.epoch)
	if err != nil {
		return layer{}, err
	}
	defer m.end()
	err = f.store.read(exported.Digest, func(blob io.Reader) error { return m.write(ctx, blob) })
	if err != nil {
		return layer{}, err
	}
	return m.note.Layer, m.keep()
}

// put writes a blob. One of this digest may be there: BuildKit's, which its owner may
// not write to.
func (f finisher) put(data []byte, form types.MediaType) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(data))
	if err == nil {
		err = os.Remove(f.store.path(digest))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.WriteFile(f.store.path(digest), data, 0o644)
	}
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("writing image layout: %w", err)
	}
	return v1.Descriptor{MediaType: form, Size: size, Digest: digest}, nil
}

// index makes an image the layout's only entry, and removes every blob that is
// not of it.
func (f finisher) index(manifest *v1.Manifest) error {
	raw, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("encoding manifest: %w", err)
	}
	entry, err := f.put(raw, manifest.MediaType)
	if err != nil {
		return err
	}
	raw, err = json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{entry}})
	if err != nil {
		return fmt.Errorf("encoding index: %w", err)
	}
	version, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return fmt.Errorf("encoding layout: %w", err)
	}
	for name, data := range map[string][]byte{ocispec.ImageIndexFile: raw, ocispec.ImageLayoutFile: version} {
		if err := os.WriteFile(filepath.Join(f.store.dir, name), data, 0o644); err != nil {
			return fmt.Errorf("writing image layout: %w", err)
		}
	}
	wanted := map[string]bool{entry.Digest.Hex: true, manifest.Config.Digest.Hex: true}
	for _, l := range manifest.Layers {
		wanted[l.Digest.Hex] = true
	}
	return f.removeOthers(wanted)
}

func (f finisher) removeOthers(wanted map[string]bool) error {
	folder := filepath.Join(f.store.dir, "blobs", "sha256")
	blobs, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("reading image layout: %w", err)
	}
	for _, b := range blobs {
		if wanted[b.Name()] {
			continue
		}
		if err := os.Remove(filepath.Join(folder, b.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("finishing image layout: %w", err)
		}
	}
	return nil
}
