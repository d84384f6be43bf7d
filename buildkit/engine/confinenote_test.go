//go:build linux && amd64

package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moby/sys/userns"
)

// What a confined container does without is told, and not passed over.
func TestWhatAMachineLacks(t *testing.T) {
	if userns.RunningInUserNS() {
		t.Skip("in a user namespace control groups are not to be had")
	}
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	e := &Engine{state: state{dir, root}}
	if lacks := e.Lacks(); lacks != nil {
		t.Errorf("before any container: %q", lacks)
	}
	for have, want := range map[extent][]string{
		{users: true, groups: true}: nil,
		{groups: true}:              {"users of its own"},
		{users: true}:               {withoutGroups},
		{}:                          {"users of its own", withoutGroups},
	} {
		if err := os.WriteFile(filepath.Join(dir, confinedFile), []byte("this boot\n"+have.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if lacks := e.Lacks(); !slices.Equal(lacks, want) {
			t.Errorf("%s: %q, want %q", have, lacks, want)
		}
	}
}
