//go:build linux && amd64

package engine_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// note is the file that tells that the databases may not be on the disk.
func note(root string) string { return filepath.Join(root, "unsynced") }

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsTheNote(t *testing.T) {
	opts := options(t)
	e := start(t, opts)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if noted, err := os.ReadFile(note(opts.Root)); err != nil || string(noted) != string(boot) {
		t.Errorf("while it runs, the note is %q, %v; want %q", noted, err, boot)
	}
	shut(t, e)
	if _, err := os.Stat(note(opts.Root)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close, the note is there: %v", err)
	}
}

// What a killed process wrote, the kernel has.
func TestANoteOfThisBootKeepsTheCache(t *testing.T) {
	opts := options(t)
	first := start(t, opts)
	fill(t, first, 1)
	noted, err := os.ReadFile(note(opts.Root))
	if err != nil {
		t.Fatal(err)
	}
	shut(t, first)
	write(t, note(opts.Root), string(noted))
	if size := cached(t, start(t, opts)); size < 1<<20 {
		t.Errorf("the cache holds %d bytes, want 1 MB", size)
	}
}

func TestANoteOfAnotherBootBeginsTheCacheAnew(t *testing.T) {
	opts := options(t)
	first := start(t, opts)
	fill(t, first, 1)
	shut(t, first)
	torn := 0
	for _, pattern := range []string{"*.db", "runc-*/*.db", "runc-*/snapshots/*.db"} {
		files, err := filepath.Glob(filepath.Join(opts.Root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		torn += len(files)
		for _, file := range files {
			write(t, file, strings.Repeat("torn", 16<<10))
		}
	}
	if torn != 5 {
		t.Errorf("%d databases were torn, want 5", torn)
	}
	write(t, note(opts.Root), "another boot")
	told := 0
	opts.Discarded = func() { told++ }
	second := start(t, opts)
	if size := cached(t, second); size != 0 {
		t.Errorf("the cache holds %d bytes, want none", size)
	}
	if told != 1 {
		t.Errorf("it was told %d times, want once", told)
	}
	fill(t, second, 1)
}
