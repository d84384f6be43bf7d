package iexeccli_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/iexeccli"
)

// A folder that is none of a project is told from a file that holds nothing.
func TestReadAboutWhereNothingIs(t *testing.T) {
	if _, err := iexeccli.ReadAbout(filepath.Join(t.TempDir(), "none"), 134); !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "empty") {
		t.Errorf("no folder: %v, want ErrNotExist", err)
	}
	if _, err := iexeccli.ReadAbout(folder(t, map[string]string{"iexec.json": " "}), 134); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("an empty file: %v", err)
	}
}
