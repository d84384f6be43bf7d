package buildkit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
)

// Material is something that a build took from elsewhere.
type Material struct {
	// URI is a package URL for an image ("pkg:docker/debian@12?platform=…"), or
	// the URL of a download or of a git repository.
	URI string `json:"uri"`
	// Digest is "sha256:" or, for a commit whose repository names it so, "sha1:" with
	// hex digits.
	Digest digest.Digest `json:"digest"`
}

// MaterialError says that a build took something of which it does not say what it was:
// nothing could be said of the image later.
type MaterialError struct {
	URI    string
	Digest map[string]string // by algorithm, as the builder says
}

// Error implements error.
func (e *MaterialError) Error() string {
	return fmt.Sprintf("the builder does not say which %s it took", e.URI)
}

// Evidence returns what the builder said.
func (e *MaterialError) Evidence() [][2]string {
	return [][2]string{{"where", e.URI}, {"expected", "its SHA-256, or its commit"}, {"actual", fmt.Sprint(e.Digest)}}
}

const (
	// provenanceRequest asks for SLSA provenance v1. It is read and then taken
	// out of the layout: it differs with each build, and a signed image is a
	// single manifest.
	provenanceRequest = "mode=min,version=v1"
	provenanceAttr    = "attest:provenance"

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
func readMaterials(read func(v1.Hash) ([]byte, error), attestation v1.Hash) ([]Material, error) {
	raw, err := read(attestation)
	if err != nil {
		return nil, fmt.Errorf("opening attestation: %w", err)
	}
	parsed, err := v1.ParseManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading attestation: %w", err)
	}
	var materials []Material
	for _, layer := range parsed.Layers {
		data, err := read(layer.Digest)
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
		digest, ok := materialDigest(d.Digest)
		if !ok {
			return nil, &MaterialError{d.URI, d.Digest}
		}
		materials = append(materials, Material{d.URI, digest})
	}
	slices.SortFunc(materials, func(a, b Material) int {
		return cmp.Or(cmp.Compare(a.URI, b.URI), cmp.Compare(a.Digest, b.Digest))
	})
	return slices.Compact(materials), nil
}

// materialDigest takes the strongest of the digests that the builder gives: a SHA-256,
// or the name of a commit, which git has as SHA-1 unless the repository is of the other
// kind.
func materialDigest(set map[string]string) (digest.Digest, bool) {
	for _, kind := range []struct {
		algorithm digest.Algorithm
		digits    int
	}{{digest.SHA256, 64}, {"sha1", 40}} {
		if text := set[kind.algorithm.String()]; len(text) == kind.digits && strings.Trim(text, "0123456789abcdef") == "" {
			return digest.NewDigestFromEncoded(kind.algorithm, text), true
		}
	}
	return "", false
}

// FormatMaterials writes materials as one line of JSON.
func FormatMaterials(materials []Material) (string, error) {
	data, err := json.Marshal(materials)
	if err != nil {
		return "", fmt.Errorf("encoding materials: %w", err)
	}
	return string(data), nil
}
