package worker

import (
	"archive/tar"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ChecksumError says that the registry has another image than the app's contract.
type ChecksumError struct {
	Image     string
	Want, Got common.Hash
}

// Error implements error.
func (e *ChecksumError) Error() string {
	return fmt.Sprintf("the digest of %s is %s, the app's checksum %s", e.Image, e.Got, e.Want)
}

// image is an unpacked image.
type image struct {
	root   string
	config v1.Config
}

// fetchApp pulls the app's image and unpacks it. As iExec's worker it takes a reference
// with a tag only.
func (j *job) fetchApp(ctx context.Context) error {
	ref, err := name.NewTag(j.App.Multiaddr, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("reading the app's multiaddr: %w", err)
	}
	found, err := remote.Get(ref, remote.WithContext(ctx), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		return fmt.Errorf("pulling image: %w", err)
	}
	digest, err := hex.DecodeString(found.Digest.Hex)
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	if got := common.Hash(digest); got != j.App.Checksum {
		return &ChecksumError{j.App.Multiaddr, j.App.Checksum, got}
	}
	img, err := found.Image()
	if err != nil {
		return fmt.Errorf("pulling image: %w", err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return fmt.Errorf("reading image configuration: %w", err)
	}
	j.image = image{filepath.Join(j.dir, "root"), file.Config}
	if err := os.Mkdir(j.image.root, 0o755); err != nil {
		return err
	}
	return j.fill(img)
}

// fill fills the root of the program's container. Where it can be laid over the unpacked
// image, that is kept for other tasks of the app.
func (j *job) fill(img v1.Image) error {
	if os.Geteuid() != 0 {
		return extract(img, j.image.root)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	kept, ok := j.images[j.App.Checksum]
	if !ok {
		if j.kept == "" {
			var err error
			if j.kept, err = os.MkdirTemp("", "images-*"); err != nil {
				return err
			}
			j.images = map[common.Hash]string{}
		}
		kept = filepath.Join(j.kept, j.App.Checksum.Hex())
		if err := os.Mkdir(kept, 0o755); err != nil {
			return err
		}
		if err := extract(img, kept); err != nil {
			return errors.Join(err, os.RemoveAll(kept))
		}
		j.images[j.App.Checksum] = kept
	}
	if err := overlay(kept, j.dir, j.image.root); err != nil {
		return extract(img, j.image.root) // not every machine has overlays
	}
	return nil
}

// Close removes what was kept.
func (w *Worker) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept == "" {
		return nil
	}
	return os.RemoveAll(w.kept)
}

func extract(img v1.Image, to string) error {
	layers := mutate.Extract(img)
	defer layers.Close()
	if err := unpack(layers, to); err != nil {
		return fmt.Errorf("unpacking image: %w", err)
	}
	return nil
}

// maxImage is how large an unpacked image may be.
const maxImage = 4 << 30

// unpack writes an archive of a root's files into a folder, and nowhere else. Devices are
// left out: a container has its own.
func unpack(archive io.Reader, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, owned: os.Geteuid() == 0}
	files := tar.NewReader(archive)
	for left := int64(maxImage); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return u.close()
		}
		if err != nil {
			return err
		}
		if left -= h.Size; left < 0 {
			return fmt.Errorf("it is larger than %d bytes", int64(maxImage))
		}
		if err := u.write(h, files); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// unpacker writes the files of an archive.
type unpacker struct {
	root  *os.Root
	owned bool          // files get the owners that they have in the image
	dirs  []*tar.Header // what a folder allows is set when all is in it
}

func (u *unpacker) write(h *tar.Header, content io.Reader) error {
	at := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	if at == "" {
		return nil
	}
	if err := u.root.MkdirAll(path.Dir(at), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		u.dirs = append(u.dirs, h)
		if err := u.root.Mkdir(at, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		return errors.Join(u.root.Symlink(h.Linkname, at), u.own(h, at))
	case tar.TypeLink:
		return u.root.Link(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"), at)
	case tar.TypeReg:
		return errors.Join(u.file(at, content), u.own(h, at), u.root.Chmod(at, mode(h)))
	}
	return nil
}

func (u *unpacker) file(at string, content io.Reader) error {
	f, err := u.root.OpenFile(at, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

func (u *unpacker) own(h *tar.Header, at string) error {
	if !u.owned {
		return nil
	}
	return u.root.Lchown(at, h.Uid, h.Gid)
}

// close sets what folders allow, the inner ones first.
func (u *unpacker) close() error {
	for i := len(u.dirs) - 1; i >= 0; i-- {
		at := strings.TrimPrefix(path.Clean("/"+u.dirs[i].Name), "/")
		if err := errors.Join(u.own(u.dirs[i], at), u.root.Chmod(at, mode(u.dirs[i]))); err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

func mode(h *tar.Header) fs.FileMode {
	return h.FileInfo().Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
}
