package buildkit_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// The log of a build lies beside its image, and is never written through what is there.
func TestLog(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var told []string
	b := open(t, buildkit.Options{Progress: buildkit.Progress{Log: true, Running: func(lines []string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, lines...)
	}}})
	dir := filepath.Join(t.TempDir(), "image")
	victim := filepath.Join(t.TempDir(), "victim")
	check(t, os.WriteFile(victim, []byte("untouched"), 0o600))
	check(t, os.Symlink(victim, dir+".log"))
	src := source(t, "FROM program\nRUN [\"/program\", \"say\", \"a word\", \"\", \"0\"]\n", nil)
	built, err := b.Build(t.Context(), src, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(built.Log); built.Log != dir+".log" || err != nil || !strings.Contains(string(text), "a word") {
		t.Errorf("the log %q has %q, %v", built.Log, text, err)
	}
	if text, err := os.ReadFile(victim); string(text) != "untouched" {
		t.Errorf("the link's file has %q, %v", text, err)
	}
	mu.Lock()
	if !slices.ContainsFunc(told, func(line string) bool { return strings.Contains(line, "RUN") }) {
		t.Errorf("running was told %q", told)
	}
	mu.Unlock()

	_, err = b.Build(t.Context(), source(t, "FROM program\nRUN [\"/program\", \"say\", \"bad\", \"\", \"3\"]\n", nil), dir, nil)
	var failed *buildkit.BuildError
	if !errors.As(err, &failed) || failed.Log != dir+".log" || !slices.Contains(failed.Evidence(), [2]string{"log", dir + ".log"}) {
		t.Errorf("got %v", err)
	}

	check(t, os.Remove(dir+".log"))
	check(t, os.Mkdir(dir+".log", 0o700))
	var output *buildkit.OutputError
	if _, err := b.Build(t.Context(), src, dir, nil); !errors.As(err, &output) {
		t.Errorf("a folder in place of the log: %v", err)
	}
}
