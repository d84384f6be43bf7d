package buildkit

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tonistiigi/fsutil/types"
)

// timesOf returns what a builder is told of the times in a context.
func timesOf(t *testing.T, m marks, src Source) map[string]int64 {
	t.Helper()
	in, err := src.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in.marks = m
	times := map[string]int64{}
	err = in.sent(in.context).Walk(t.Context(), "/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			times[path] = info.Sys().(*types.Stat).ModTime
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// A file has another time if and only if it has another content, whenever it was
// written; another client gives it another one.
func TestMarks(t *testing.T) {
	src, _ := planted(t)
	at := filepath.Join(src.Context, "a0")
	m := newMarks()
	before := timesOf(t, m, src)
	if err := os.Chtimes(at, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if again := timesOf(t, m, src); again["a0"] != before["a0"] {
		t.Errorf("a file that was touched has the time %d, and had %d", again["a0"], before["a0"])
	}
	if before["a0"] == before["a.b"] || before["a/b/c"] == before["a/d"] {
		t.Errorf("files of other content have one time: %v", before)
	}
	if before["link"] != modTime() || before["a"] != modTime() {
		t.Errorf("a link and a folder have the times %d and %d, want %d", before["link"], before["a"], modTime())
	}
	for path, when := range before {
		if when < 0 || when >= 1<<31*int64(time.Second) {
			t.Errorf("%s has the time %d, which not all file systems hold", path, when)
		}
	}
	if other := timesOf(t, newMarks(), src); other["a0"] == before["a0"] {
		t.Errorf("another client gives the time %d too", other["a0"])
	}
	if err := os.WriteFile(at, []byte("a1"), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed := timesOf(t, m, src); changed["a0"] == before["a0"] || changed["a.b"] != before["a.b"] {
		t.Errorf("after a change the times are %v, before they were %v", changed, before)
	}
}

// What a builder keeps of a folder has the same name whatever is released from it, and
// another one for another folder or another client.
func TestFolderOfMarks(t *testing.T) {
	m := newMarks()
	name := func(m marks, s Source) string {
		t.Helper()
		name, err := m.folder(s)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	want := name(m, Source{Context: "app", Epoch: time.Unix(1, 0), Args: map[string]string{"VERSION": "1"}})
	if got := name(m, Source{Context: "app", Epoch: time.Unix(2, 0), Args: map[string]string{"VERSION": "2"}, Target: "x"}); got != want {
		t.Errorf("the next release has another name")
	}
	for what, other := range map[string]string{
		"another folder":     name(m, Source{Context: "app2"}),
		"another Dockerfile": name(m, Source{Context: "app", Dockerfile: "Other"}),
		"another context":    name(m, Source{Context: "app", Contexts: map[string]string{"docs": "docs"}}),
		"another client":     name(newMarks(), Source{Context: "app"}),
	} {
		if other == want {
			t.Errorf("%s has the same name", what)
		}
	}
}

// The key is made once, and anew when what is there is none.
func TestKeyOfMarks(t *testing.T) {
	b := &Builder{layers: layersIn(filepath.Join(t.TempDir(), "state"))}
	state := filepath.Dir(b.layers)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	open := func() marks {
		t.Helper()
		m, err := b.openMarks()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	first := open()
	if open() != first {
		t.Error("the key is another one at the second time")
	}
	path := filepath.Join(state, "marks")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := open()
	if second == first || second == (marks{}) || open() != second {
		t.Error("a file that is no key was taken for one, or not replaced")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the key: %v, %v", info.Mode(), err)
	}
}
