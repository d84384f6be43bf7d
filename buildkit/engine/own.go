package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
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
		{"expected", fmt.Sprintf("files and folders of user %d, no links, that nobody else may write to", os.Geteuid())},
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

// maxLinks is how many links Linux follows in a path.
const maxLinks = 40

// followWay resolves the links in a path, of which the end need not exist, by the
// kernel's own rule for links in folders like /tmp (protected_symlinks): a link is
// followed when it is ours or root's, or, in a folder that not everybody may write
// to, of the folder's owner. A folder in which anybody may replace anything is
// nothing that a path can lead through.
func followWay(name string) (string, error) {
	at, rest, links := "/", strings.Split(filepath.Clean(name), "/"), 0
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := readLink(at, next)
		if errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(next, filepath.Join(rest...)), nil
		}
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &ForeignError{name, "too many links lead to it"}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// readLink returns where a link in a folder leads, or "" for anything else.
func readLink(folder, name string) (string, error) {
	above, err := os.Lstat(folder)
	if err != nil {
		return "", fmt.Errorf("opening builder state: %w", err)
	}
	open := above.Mode().Perm()&0o002 != 0
	if open && above.Mode()&fs.ModeSticky == 0 {
		return "", &ForeignError{folder, "anybody may replace what is in it"}
	}
	info, err := os.Lstat(name)
	if err != nil {
		return "", fmt.Errorf("opening builder state: %w", err)
	}
	if info.Mode().Type() != fs.ModeSymlink {
		return "", nil
	}
	if by := owner(info); by != 0 && by != os.Geteuid() && (open || by != owner(above)) {
		return "", &ForeignError{name, fmt.Sprintf("it is a symbolic link of user %d", by)}
	}
	target, err := os.Readlink(name)
	if err != nil {
		return "", fmt.Errorf("opening builder state: %w", err)
	}
	return target, nil
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
	if problem := foreign(info, isRoot(name)); problem != "" {
		return &ForeignError{filepath.Join(s.path, name), problem}
	}
	return nil
}

// foreign says why something is not ours, or "".
func foreign(info fs.FileInfo, isRoot bool) string {
	mode := info.Mode()
	switch {
	case mode.Type() == fs.ModeSymlink:
		return "it is a symbolic link"
	case isRoot && mode.IsDir():
		return ""
	case owner(info) != os.Geteuid():
		return fmt.Sprintf("it belongs to user %d", owner(info))
	case mode.Perm()&0o022 != 0:
		return fmt.Sprintf("others may write to it (mode %04o)", mode.Perm())
	}
	return ""
}

// owner returns the user that a file belongs to.
func owner(info fs.FileInfo) int {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(of.Uid)
	}
	return -1 // not on Linux
}

// group returns the group that a file belongs to.
func group(info fs.FileInfo) int {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(of.Gid)
	}
	return -1
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
