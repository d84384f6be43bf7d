//go:build unix

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// self names whose process this is.
func self() string { return fmt.Sprintf("user %d", os.Geteuid()) }

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

// foreign says why a file or folder is not ours, or "".
func foreign(_ string, info fs.FileInfo) string {
	if by := owner(info); by != os.Geteuid() {
		return fmt.Sprintf("it belongs to user %d", by)
	}
	if mode := info.Mode(); mode.Perm()&0o022 != 0 {
		return fmt.Sprintf("others may write to it (mode %04o)", mode.Perm())
	}
	return ""
}

// owner returns the user that a file belongs to.
func owner(info fs.FileInfo) int {
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(of.Uid)
	}
	return -1 // of a file system that has none
}
