package release_test

import (
	"errors"
	"os"
	"testing"

	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

// What cannot be written is found before a release, and trying leaves nothing behind.
func TestTryOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("there", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc", "outside"); err != nil {
		t.Fatal(err)
	}
	for path, ok := range map[string]bool{
		"record.json": true, "there/record.json": true, "new/folders/record.json": true, "file": true,
		"file/record.json": false, "file/more/record.json": false, "/proc/record.json": false, "/proc/new/record.json": false,
	} {
		err := release.TryOutput(path)
		var unwritable *release.UnwritableError
		if (err == nil) != ok || err != nil && (!errors.As(err, &unwritable) || unwritable.Path != path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	var outside *release.OutsideError
	if err := release.TryOutput("outside/record.json"); !errors.As(err, &outside) {
		t.Errorf("a link that leads outside: %v", err)
	}
	var unwritable *release.UnwritableError
	if err := release.WriteOutput("there", []byte("x")); !errors.As(err, &unwritable) {
		t.Errorf("a file where a folder is: %v", err)
	}
	for folder, want := range map[string]int{".": 3, "there": 0} {
		left, err := os.ReadDir(folder)
		if err != nil || len(left) != want {
			t.Errorf("%s holds %v, %v", folder, left, err)
		}
	}
}

// A file that is there keeps its mode, whatever writes it; a link in its place is replaced by
// a file of its own.
func TestOutputKeepsItsMode(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := errors.Join(os.WriteFile("private", nil, 0o600), os.WriteFile("shared", nil, 0o600), os.Chmod("shared", 0o664), os.Symlink("private", "link")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"private": 0o600, "shared": 0o664, "new": 0o644, "link": 0o644} {
		for how, write := range map[string]func(string) error{
			"WriteOutput": func(p string) error { return release.WriteOutput(p, []byte("x")) },
			"a record":    func(p string) error { return record.Replace(p, []byte("x")) },
			"a lock":      func(p string) error { return lock.Lock{}.WriteFile(p) },
		} {
			err := write(path)
			info, statErr := os.Lstat(path)
			if err != nil || statErr != nil || info.Mode() != want {
				t.Errorf("%s of %s: mode %v, want %v; %v", how, path, info.Mode(), want, err)
			}
		}
	}
}

// Of two runs in one folder the second is refused while the first is at work, and not after
// it; what is no lock is left as it is.
func TestHoldOutput(t *testing.T) {
	t.Chdir(t.TempDir())
	letGo, err := release.HoldOutput("dist/image")
	if err != nil {
		t.Fatal(err)
	}
	_, err = release.HoldOutput("dist/image")
	if busy, ok := errors.AsType[*release.BusyError](err); !ok || busy.Layout != "dist/image" {
		t.Errorf("beside another run: %v", err)
	}
	other, err := release.HoldOutput("dist/other")
	if err != nil {
		t.Errorf("elsewhere: %v", err)
	}
	other()
	letGo()
	if letGo, err = release.HoldOutput("dist/image"); err != nil {
		t.Fatalf("after the other run: %v", err)
	}
	letGo()
	if err := errors.Join(os.WriteFile("file", []byte("x"), 0o644), os.Symlink("../file", "dist/linked.lock")); err != nil {
		t.Fatal(err)
	}
	var unwritable *release.UnwritableError
	if _, err := release.HoldOutput("dist/linked"); !errors.As(err, &unwritable) {
		t.Errorf("a link in the lock's place: %v", err)
	}
}
