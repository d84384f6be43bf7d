package buildkit_test

import (
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/buildkit"
)

// A toolchain that cannot be used is told from a step of the seal that fails.
func TestToolchainThatCannotBeUsed(t *testing.T) {
	open, private := (&registry{}).serve(t), (&registry{password: "secret"}).serve(t)
	pinned := func(r *registry, digest v1.Hash) string {
		return "docker-image://" + r.host + "/base@" + digest.String()
	}
	foreign := image(t, v1.Config{}, files{"bin/sh": foreignProgram()})
	for name, c := range map[string]struct {
		toolchain string
		want      buildkit.ToolchainProblem
	}{
		"missing":                 {"docker-image://" + open.host + "/tools@sha256:" + sum("none"), buildkit.ToolchainMissing},
		"no server":               {"docker-image://127.0.0.1:1/tools@sha256:" + sum("none"), buildkit.ToolchainUnreachable},
		"not logged in":           {pinned(private, private.push(t, image(t, v1.Config{}, files{"secret": "tools"}))), buildkit.ToolchainRefused},
		"of another architecture": {pinned(open, open.push(t, foreign)), buildkit.ToolchainForeign},
		"an index without ours":   {pinned(open, open.pushIndex(t, foreign)), buildkit.ToolchainForeign},
		"a layout of another":     {reference(t, foreign), buildkit.ToolchainForeign},
	} {
		t.Run(name, func(t *testing.T) {
			seal := buildkit.Seal{Mode: buildkit.SealFSPF, Toolchain: c.toolchain, Regions: []string{"/app"}, Epoch: epoch}
			_, err := shared(t).Seal(t.Context(), programImage(t, v1.Config{}), seal, filepath.Join(t.TempDir(), "image"), io.Discard)
			var unusable *buildkit.ToolchainError
			if !errors.As(err, &unusable) {
				t.Fatalf("%#v\n%v", err, err)
			}
			equal(t, "problem", unusable.Problem, c.want)
			contains(t, "error", err.Error(), c.toolchain[:strings.Index(c.toolchain, "@")])
		})
	}
}

// pushIndex pushes an index with an image for another architecture.
func (r *registry) pushIndex(t *testing.T, image v1.Image) v1.Hash {
	t.Helper()
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	r.write(t, index)
	return must(index.Digest())
}

// foreignProgram is the header of an ELF program for arm64.
func foreignProgram() string {
	header := make([]byte, 4096)
	copy(header, "\x7fELF\x02\x01\x01")
	copy(header[16:], []byte{2, 0, 0xb7, 0, 1, 0, 0, 0})
	header[52], header[54] = 64, 56
	return string(header)
}
