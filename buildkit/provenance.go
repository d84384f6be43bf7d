package buildkit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
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

// readMaterials returns what an attestation says that the build took.
func readMaterials(path layout.Path, attestation v1.Hash) ([]Material, error) {
	raw, err := path.Bytes(attestation)
	if err != nil {
		return nil, fmt.Errorf("opening attestation: %w", err)
	}
	parsed, err := v1.ParseManifest(bytes.NewReader(raw))
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
	}
	return materials, nil
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
