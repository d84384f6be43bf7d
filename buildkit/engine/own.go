package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// ForeignError says that something in a state folder, or on the way to it, is not
// ours: what is written or removed there could be somebody else's file.
type ForeignError struct {
	Path    string
	Problem string // such as "it is a symbolic link"
}

// Error implements error.
func (e *ForeignError) Error() string {
	return fmt.Sprintf("the state folder cannot be trusted: %s: %s", e.Path, e.Problem)
}

// Evidence returns what was found.
func (e *ForeignError) Evidence() [][2]string {
	return [][2]string{
		{"where", e.Path},
		{"expected", "files and folders of " + self() + ", no links, that nobody else may write to"},
		{"actual", e.Problem},
	}
}

// reason is what the system said, without the path, which stands beside it.
func reason(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}

// state is the state folder. What this package writes and removes in it, it does
// beneath the handle; BuildKit takes its path, and so all of it is checked first.
type state struct {
	path string
	dir  *os.Root
}

// lockFile has the name that buildkitd gives it: it would wait too.
const lockFile = "buildkitd.lock"

// openState makes the folder when it is missing, and follows links in its path,
// because runc and the kernel report resolved paths. A *ForeignError says that
// somebody else has a hand in the path, or may write to the folder.
func openState(root string) (state, error) {
	if !filepath.IsAbs(root) {
		return state{}, fmt.Errorf("opening builder state %q: not an absolute path", root)
	}
	resolved, err := followWay(root)
	if err != nil {
		return state{}, err
	}
	if err := os.MkdirAll(resolved, 0o700); err != nil {
		return state{}, &ForeignError{resolved, "it cannot be made: " + reason(err)}
	}
	dir, err := os.OpenRoot(resolved)
	if err != nil {
		return state{}, &ForeignError{resolved, "it cannot be opened: " + reason(err)}
	}
	s := state{resolved, dir}
	// The lock is opened before the rest can be looked at.
	if err := errors.Join(s.check("."), s.check(lockFile)); err != nil {
		return state{}, errors.Join(err, dir.Close())
	}
	return s, nil
}

// CheckState makes sure that a state folder, which need not exist, is ours and holds
// nothing that is not, as Start does; otherwise its error is a [*ForeignError].
func CheckState(root string) error {
	if _, err := os.Lstat(root); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	s, err := openState(root)
	if err != nil {
		return err
	}
	return errors.Join(s.checkAll(), s.dir.Close())
}

// checkAll looks at all that BuildKit opens by its path, and at all that this
// program does. Whoever holds the lock may call it.
func (s state) checkAll() error {
	err := fs.WalkDir(s.dir.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of a daemon's client: another run removed it
		}
		if err == nil {
			err = s.check(name)
		}
		if err != nil {
			return err
		}
		if entry.IsDir() && !isWalked(name) {
			return fs.SkipDir
		}
		return nil
	})
	var foreign *ForeignError
	if err != nil && !errors.As(err, &foreign) {
		return fmt.Errorf("reading builder state: %w", err)
	}
	return err
}

// isWalked reports whether what is in a folder of the state must be ours. Files of
// images, which have owners and links of their own, lie in layers, and, when a run
// was killed, in mounts of layers; no path that is opened leads through them.
func isWalked(folder string) bool {
	return matches(folder,
		".", "layers", "layers/.new-*", "scratch", "runc-*", "runc-*/executor", "runc-*/content", "runc-*/content/ingest", "runc-*/content/ingest/*",
		"runc-*/content/blobs", "runc-*/content/blobs/*", "runc-*/snapshots", "runc-*/snapshots/snapshots", "runc-overlayfs/snapshots/snapshots/*")
}

// isRoot reports whether something is the root folder of a layer, whose owner and
// mode are the image's.
func isRoot(name string) bool {
	return matches(name, "runc-native/snapshots/snapshots/*", "runc-overlayfs/snapshots/snapshots/*/fs")
}

func matches(name string, patterns ...string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}

// check looks at one file or folder, which need not exist.
func (s state) check(name string) error {
	info, err := s.dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading builder state: %w", err)
	}
	path, problem := filepath.Join(s.path, name), "it is a symbolic link"
	if mode := info.Mode(); mode&(fs.ModeSymlink|fs.ModeIrregular) == 0 { // the latter is what else leads elsewhere on Windows
		if isRoot(name) && mode.IsDir() {
			return nil
		}
		problem = foreign(path, info)
	}
	if problem != "" {
		return &ForeignError{path, problem}
	}
	return nil
}

// write makes a file anew, whatever is there.
func (s state) write(name string, content []byte) error {
	if err := s.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
