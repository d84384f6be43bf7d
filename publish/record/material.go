package record

import (
	"encoding/json"
	"fmt"
	"regexp"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Material is something that the build took from elsewhere: a base image, a
// toolchain, a download, a commit of a git repository.
type Material struct {
	URI    string `json:"uri"`
	Digest Digest `json:"digest"`
}

// Digest is that of a material: "sha256:…", and "sha1:…" for a commit of git, which
// names most commits so.
type Digest struct{ v1.Hash }

var commitDigest = regexp.MustCompile(`^sha1:([0-9a-f]{40})$`)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Digest) UnmarshalText(text []byte) (err error) {
	if commit := commitDigest.FindSubmatch(text); commit != nil {
		d.Hash = v1.Hash{Algorithm: "sha1", Hex: string(commit[1])}
		return nil
	}
	if d.Hash, err = v1.NewHash(string(text)); err != nil {
		return fmt.Errorf("reading a material's digest: %w", err)
	}
	return nil
}

// UnmarshalJSON implements [json.Unmarshaler], as the digest of an image does.
func (d *Digest) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("reading a material's digest: %w", err)
	}
	return d.UnmarshalText([]byte(text))
}
