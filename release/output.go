package release

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	actual, resolveErr := filepath.EvalSymlinks(folder)
	if resolveErr != nil {
		actual = resolveErr.Error()
	}
	return &OutsideError{folder, actual}
}
