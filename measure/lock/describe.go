package lock

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/rootfs"
)

// Facts are what a lock says that is not in the image itself.
type Facts struct {
	MRENCLAVE *measure.MRENCLAVE
	Unsealed  *v1.Hash
	Image     string
	Settings  map[string]string
	Materials map[string]string // URI of what the build took -> digest
	Folders   []string          // measured folders beside those of the system
	SealLayer bool              // the topmost layer is the seal's own
}

// Describe makes the lock of an image. It reads every layer once.
func Describe(ctx context.Context, image v1.Image, f Facts) (Lock, error) {
	layers, err := image.Layers()
	if err != nil {
		return Lock{}, fmt.Errorf("listing layers: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return Lock{}, fmt.Errorf("reading config: %w", err)
	}
	if f.SealLayer && len(layers) > 0 {
		layers = layers[:len(layers)-1]
	}
	files, err := rootfs.Read(ctx, layers)
	if err != nil {
		return Lock{}, fmt.Errorf("reading image: %w", err)
	}
	l := Lock{Schema: Schema, MRENCLAVE: f.MRENCLAVE, Unsealed: f.Unsealed, Image: f.Image, Settings: map[string]string{}, Packages: files.Packages}
	maps.Copy(l.Settings, measure.Settings(config.Config.Env))
	maps.Copy(l.Settings, f.Settings)
	l.Bases, l.Toolchains = materials(f.Materials)
	l.Program = map[string]string{}
	for _, path := range files.Program(config.Config) {
		sum := files.Files[path].Sum
		l.Program[path] = hex.EncodeToString(sum[:])
	}
	l.Folders = digests(files, f.Folders)
	return l, nil
}

// localToolchain is what a build calls a toolchain in a folder of its machine.
const localToolchain = "toolchain"

// materials tells images from toolchains. Downloads, of git too, are left out: the index
// files of a distribution change by the day, and what was installed is listed.
func materials(used map[string]string) (bases, toolchains map[string]string) {
	bases, toolchains = map[string]string{}, map[string]string{}
	for uri, digest := range used {
		if name, ok := ImageName(uri); ok {
			bases[name] = digest
		} else if name, ok := strings.CutPrefix(uri, "docker-image://"); ok || uri == localToolchain {
			toolchains[name] = digest
		}
	}
	return bases, toolchains
}

// Toolchains are those among what a build took, by URI, as a lock names them.
func Toolchains(used map[string]string) map[string]string {
	_, toolchains := materials(used)
	return toolchains
}

// ImageName returns "name:tag" of a package URL of an image, whose other parts
// change with the digest.
func ImageName(uri string) (string, bool) {
	rest, isDocker := strings.CutPrefix(uri, "pkg:docker/")
	if !isDocker {
		var isOCI bool
		if rest, isOCI = strings.CutPrefix(uri, "pkg:oci/"); !isOCI {
			return "", false
		}
	}
	rest, _, _ = strings.Cut(rest, "?")
	name, tag, tagged := strings.Cut(rest, "@")
	if unescaped, err := url.PathUnescape(name); err == nil {
		name = unescaped
	}
	if tagged && !strings.HasPrefix(tag, "sha256") {
		name += ":" + tag
	}
	return name, true
}

// digests returns a digest for each of the folders and for the system's own,
// from which interpreters and libraries come. It covers what a program sees of a
// file but its time.
func digests(fs *rootfs.FS, folders []string) map[string]string {
	hashes := map[string]io.Writer{}
	sums := map[string]func() string{}
	for _, path := range slices.Sorted(maps.Keys(fs.Files)) {
		folder := group(path, folders)
		if folder == "" {
			continue
		}
		if hashes[folder] == nil {
			h := sha256.New()
			hashes[folder] = h
			sums[folder] = func() string { return hex.EncodeToString(h.Sum(nil)) }
		}
		f := fs.Files[path]
		fmt.Fprintf(hashes[folder], "%q %c %04o %q %x\n", path, f.Type, mode(f), f.Link, f.Sum)
	}
	found := map[string]string{}
	for folder, sum := range sums {
		found[folder] = sum()
	}
	return found
}

// mode leaves out that of links, which means nothing.
func mode(f rootfs.File) int64 {
	if f.Type == tar.TypeSymlink {
		return 0
	}
	return f.Mode
}

// group returns the folder that a path counts to: the longest of those asked
// for, else its top folder when that is the system's; otherwise "".
func group(path string, folders []string) string {
	best := ""
	for _, folder := range folders {
		if within(path, folder) && len(folder) > len(best) {
			best = folder
		}
	}
	if best != "" {
		return best
	}
	top, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if strings.HasPrefix(top, "lib") || slices.Contains([]string{"bin", "sbin", "usr", "opt"}, top) {
		return "/" + top
	}
	return ""
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, strings.TrimSuffix(folder, "/")+"/")
}
