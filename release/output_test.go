package release_test

import (
	"errors"
	"os"
	"testing"

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
