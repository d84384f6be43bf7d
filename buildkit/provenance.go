package buildkit

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/opencontainers/go-digest"
)

// Material is something that a build took from elsewhere.
type Material struct {
	// URI is a package URL for an image ("pkg:docker/debian@12?platform=…"), or
	// the URL of a download.
	URI    string        `json:"uri"`
	Digest digest.Digest `json:"digest"`
}

const (
	// provenanceRequest asks for SLSA provenance v1. It is read and then taken
	// out of the layout: it differs with each build, and a signed image is a
	// single manifest.
	provenanceRequest = "mode=min,version=v1"

	annotationReference = "vnd.docker.reference.type"
	attestationManifest = "attestation-manifest"
)

// detachProvenance makes the layout of an index (image and attestation), whose
// digest the builder reported, one of the image alone, and returns what the
// attestation says the build took.
func detachProvenance(dir, reported string) ([]Material, error) {
	path := layout.Path(dir)
	index, err := openIndex(path, reported)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("reading index: %w", err)
	}
	var materials []Material
	var images []v1.Descriptor
	for _, m := range manifest.Manifests {
		if m.Annotations[annotationReference] != attestationManifest {
			images = append(images, m)
			continue
		}
		if materials, err = takeMaterials(path, index, m.Digest); err != nil {
			return nil, err
		}
	}
	if len(images) != 1 {
		return nil, fmt.Errorf("reading index: %d images, not one", len(images))
	}
	return materials, keepOnly(path, images[0], reported)
}

func openIndex(path layout.Path, reported string) (v1.ImageIndex, error) {
	top, err := path.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("opening layout: %w", err)
	}
	digest, err := v1.NewHash(reported)
	if err != nil {
		return nil, fmt.Errorf("parsing the builder's digest %q: %w", reported, err)
	}
	index, err := top.ImageIndex(digest)
	if err != nil {
		return nil, fmt.Errorf("opening index %s: %w", digest, err)
	}
	return index, nil
}

// statement is the part of an in-toto statement with SLSA provenance v1 that
// names what a build took (https://slsa.dev/spec/v1.0/provenance).
type statement struct {
	Predicate struct {
		BuildDefinition struct {
			ResolvedDependencies []struct {
				URI    string            `json:"uri"`
				Digest map[string]string `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	} `json:"predicate"`
}

// takeMaterials reads an attestation and removes its blobs.
func takeMaterials(path layout.Path, index v1.ImageIndex, manifest v1.Hash) ([]Material, error) {
	image, err := index.Image(manifest)
	if err != nil {
		return nil, fmt.Errorf("opening attestation: %w", err)
	}
	parsed, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading attestation: %w", err)
	}
	var materials []Material
	for _, layer := range parsed.Layers {
		data, err := path.Bytes(layer.Digest)
		if err != nil {
			return nil, fmt.Errorf("reading attestation: %w", err)
		}
		found, err := parseMaterials(data)
		if err != nil {
			return nil, err
		}
		materials = append(materials, found...)
		if err := path.RemoveBlob(layer.Digest); err != nil {
			return nil, fmt.Errorf("removing attestation: %w", err)
		}
	}
	return materials, errors.Join(path.RemoveBlob(parsed.Config.Digest), path.RemoveBlob(manifest))
}

func parseMaterials(data []byte) ([]Material, error) {
	var s statement
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("parsing attestation: %w", err)
	}
	var materials []Material
	for _, d := range s.Predicate.BuildDefinition.ResolvedDependencies {
		materials = append(materials, Material{d.URI, digest.NewDigestFromEncoded(digest.SHA256, d.Digest["sha256"])})
	}
	slices.SortFunc(materials, func(a, b Material) int {
		return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.Digest, b.Digest))
	})
	return slices.Compact(materials), nil
}

// FormatMaterials writes materials as one line of JSON.
func FormatMaterials(materials []Material) (string, error) {
	data, err := json.Marshal(materials)
	if err != nil {
		return "", fmt.Errorf("encoding materials: %w", err)
	}
	return string(data), nil
}

// annotate adds the materials to the manifest of the layout's only image.
func annotate(dir, key string, materials []Material) error {
	if key == "" || len(materials) == 0 {
		return nil
	}
	image, err := openLayout(dir)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("hashing manifest: %w", err)
	}
	text, err := FormatMaterials(materials)
	if err != nil {
		return err
	}
	annotated, ok := mutate.Annotations(image, map[string]string{key: text}).(v1.Image)
	if !ok {
		return errors.New("annotating image: it is no image any more")
	}
	path := layout.Path(dir)
	if err := path.ReplaceImage(annotated, match.Digests(digest)); err != nil {
		return fmt.Errorf("annotating image: %w", err)
	}
	return path.RemoveBlob(digest)
}

// keepOnly makes an image the layout's only entry in place of an index.
func keepOnly(path layout.Path, image v1.Descriptor, index string) error {
	image.Annotations, image.Platform = nil, nil
	entry := v1.IndexManifest{SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []v1.Descriptor{image}}
	data, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encoding index: %w", err)
	}
	if err := os.WriteFile(filepath.Join(string(path), "index.json"), data, 0o644); err != nil {
		return fmt.Errorf("writing index: %w", err)
	}
	h, err := v1.NewHash(index)
	if err != nil {
		return fmt.Errorf("parsing digest %q: %w", index, err)
	}
	if err := path.RemoveBlob(h); err != nil {
		return fmt.Errorf("removing index: %w", err)
	}
	return nil
}
