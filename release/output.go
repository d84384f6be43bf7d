package release

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
)

// OutsideError says that a folder for what is made lies, by its path, in the working
// directory, and that a link leads elsewhere: whoever may commit can make links, and
// a run may write where they may not.
type OutsideError struct{ Folder, Actual string }

func (e *OutsideError) Error() string {
	return fmt.Sprintf("the output folder %q leads out of the working directory", e.Folder)
}

// Evidence returns where it leads.
func (e *OutsideError) Evidence() [][2]string {
	return [][2]string{{"where", e.Folder}, {"expected", "a folder below the working directory"}, {"actual", e.Actual}}
}

// CheckOutput refuses a file or folder that is to be made, if it is named by a path
// in the working directory and links lead out of that: with an *OutsideError.
func CheckOutput(path string) (err error) {
	here, err := filepath.Abs(".")
	if err != nil {
		return fmt.Errorf("finding working directory: %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("finding %q: %w", path, err)
	}
	folder, err := filepath.Rel(here, filepath.Dir(path))
	if err != nil || !filepath.IsLocal(folder) {
		return nil // named as what it is
	}
	root, err := os.OpenRoot(here)
	if err != nil {
		return fmt.Errorf("opening working directory: %w", err)
	}
	_, err = root.Stat(folder)
	if err := root.Close(); err != nil {
		return fmt.Errorf("closing working directory: %w", err)
	}
	var errno syscall.Errno // of the system: it is no link that leads outside that stops us
	if err == nil || errors.As(err, &errno) && errno != syscall.ELOOP {
		return nil
	}
	actual, resolveErr := filepath.EvalSymlinks(folder)
	if resolveErr != nil {
		actual = resolveErr.Error()
	}
	return &OutsideError{folder, actual}
}

// UnwritableError says that a file or folder cannot be made where it is to be.
type UnwritableError struct {
	Path string
	Err  error
}

func (e *UnwritableError) Error() string {
	return fmt.Sprintf("%s cannot be written", e.Path)
}

// Unwrap returns the cause.
func (e *UnwritableError) Unwrap() error { return e.Err }

// Evidence returns which path, and why.
func (e *UnwritableError) Evidence() [][2]string {
	problem := e.Err.Error()
	var tried *fs.PathError // whose path is that of the trial
	if errors.As(e.Err, &tried) {
		problem = filepath.Dir(tried.Path) + ": " + tried.Err.Error()
	}
	return [][2]string{{"where", e.Path}, {"problem", problem}}
}

// TryOutput is CheckOutput for what is written at the end of much work, or after what
// cannot be taken back: it makes sure that the path can be written, by making a folder
// where it is to be, and removing it. Its errors are an *OutsideError and an
// *UnwritableError.
func TryOutput(path string) error {
	if err := CheckOutput(path); err != nil {
		return err
	}
	folder := filepath.Dir(path)
	for {
		trial, err := os.MkdirTemp(folder, ".mrelease-*")
		if err == nil {
			return os.Remove(trial)
		}
		above := filepath.Dir(folder)
		if !errors.Is(err, fs.ErrNotExist) || above == folder {
			return &UnwritableError{path, err}
		}
		if _, statErr := os.Lstat(folder); !errors.Is(statErr, fs.ErrNotExist) {
			return &UnwritableError{path, err} // it is there, and nothing can be made in it
		}
		folder = above
	}
}

// WriteOutput makes a file, and its folder, so that a reader sees the old file or the
// new one. A file that is there keeps its mode: it may be one that others must not read. Its
// errors are those of [TryOutput].
func WriteOutput(path string, data []byte) error {
	if err := CheckOutput(path); err != nil {
		return err
	}
	if err := writeOutput(path, data); err != nil {
		return &UnwritableError{path, err}
	}
	return nil
}

func writeOutput(path string, data []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return errors.New("it is a folder")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // which follows no link
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// BusyError says that another run of mrelease makes its image where this one would, and writes
// its record there.
type BusyError struct{ Layout string }

func (e *BusyError) Error() string {
	return "another run of mrelease is at work in " + filepath.Dir(e.Layout)
}

// Evidence returns where.
func (e *BusyError) Evidence() [][2]string {
	return [][2]string{{"where", e.Layout}, {"expected", "one run at a time"}}
}

// HoldOutput is TryOutput for an image's layout, which it keeps from other runs until it is
// let go: what they would put in its place is read until the end. A lock beside it says so,
// which the system frees when a run is killed. Errors: *BusyError, those of [TryOutput].
func HoldOutput(layout string) (letGo func(), err error) {
	if err := TryOutput(layout); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(layout), 0o755); err != nil {
		return nil, &UnwritableError{layout, err}
	}
	path := layout + ".lock"
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, &UnwritableError{path, errors.New("it is there, and no file")}
	}
	lock := flock.New(path, flock.SetPermissions(0o644)) // another user may release here next
	held, err := lock.TryLock()
	if err != nil {
		return nil, &UnwritableError{path, err}
	}
	if !held {
		return nil, &BusyError{layout}
	}
	return func() { _ = lock.Close() }, nil // the system frees it in any case
}
