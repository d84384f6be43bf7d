package buildkit_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
)

// printed is written by a build, and read beside it.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(text)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// Of a build that was begun nothing is to be seen until it is wanted, and then all.
func TestBegin(t *testing.T) {
	t.Parallel()
	var shown printed
	b := open(t, buildkit.Options{Progress: buildkit.Progress{Writer: &shown, Mode: "plain"}})
	dir := filepath.Join(t.TempDir(), "image")
	begin := func(says string) *buildkit.Building {
		t.Helper()
		var log printed
		building := b.Begin(t.Context(), source(t, "FROM program\nRUN [\"/program\", \"say\", \""+says+"\", \"\", \"0\"]\n", nil), dir, &log)
		for end := time.Now().Add(time.Minute); !strings.Contains(log.String(), says); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the step never ran; it printed %q", &log)
			}
		}
		time.Sleep(50 * time.Millisecond) // for a display that does not wait
		if shown.String() != "" {
			t.Errorf("shown before it is wanted: %q", &shown)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the folder is there before it is wanted: %v", err)
		}
		return building
	}
	begin("not wanted").Drop()
	left, err := os.ReadDir(filepath.Dir(dir))
	if err != nil || len(left) > 0 || shown.String() != "" {
		t.Errorf("a build that was dropped left %v (%v), and showed %q", left, err, &shown)
	}
	built, err := begin("wanted").Finish()
	if err != nil {
		t.Fatal(err)
	}
	if built.Image == nil || !strings.Contains(shown.String(), "load build definition") || !strings.Contains(shown.String(), "wanted") {
		t.Errorf("got %v, shown %q", built.Image, &shown)
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		t.Error(err)
	}
}
