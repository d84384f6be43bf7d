//go:build unix

package release_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
)

// What is, or should be, in the file system is not asked of a registry: the name
// of a private file would leave the machine, and a stranger's image would be opened.
func TestAttackFileLookedUpInARegistry(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Symlink("nowhere", "dangling.so"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo("pipe.so", 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", "socket.so")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for _, file := range []string{"plain.so", "dots.io/there.so"} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	zeros := strings.Repeat("0", 64)
	if _, err := layout.Write("dots.io/a@sha256:"+zeros, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})); err != nil {
		t.Fatal(err)
	}
	if _, err := release.OpenImage(t.Context(), registry.Client{}, "./dots.io/a@sha256:"+zeros); err != nil {
		t.Errorf("a folder by its path: %v", err)
	}
	for where, says := range map[string]string{
		"missing.signed.so":   "no file and no folder",
		"build/missing.so":    "no file and no folder",
		"dots.io/missing.so":  "no file and no folder",
		"./missing.so":        "no file and no folder",
		"../missing.so":       "no file and no folder",
		"/missing/enclave.so": "no file and no folder",
		"missing:1.0.0":       "no file and no folder",
		"dangling.so":         "leads to nothing",
		"pipe.so":             "a named pipe",
		"socket.so":           "a socket",
		"/dev/null":           "a device",
		"plain.so":            "a file",
		"dots.io/there.so":    "a file",

		"dots.io/a@sha256:" + zeros: "there is a folder",
	} {
		t.Run(strings.ReplaceAll(where, "/", "_"), func(t *testing.T) {
			var image *release.ImageError
			if _, err := release.OpenImage(t.Context(), registry.Client{}, where); !errors.As(err, &image) || !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want one that says: %s", err, says)
			}
		})
	}
	for _, reference := range []string{"127.0.0.1:1/hello:1", "localhost/hello", "hello@sha256:" + strings.Repeat("0", 64)} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // no registry is asked
		var image *release.ImageError
		if _, err := release.OpenImage(ctx, registry.Client{}, reference); err == nil || errors.As(err, &image) {
			t.Errorf("%s: %v", reference, err)
		}
	}
}
