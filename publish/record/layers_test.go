package record

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/registry"
)

// All layers are read to their ends, and it is told how far that is.
func TestReadLayers(t *testing.T) {
	image, err := random.Image(1000, 9)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, l := range layers {
		size, err := l.Size()
		if err != nil {
			t.Fatal(err)
		}
		want += size
	}
	var lock sync.Mutex
	told := map[string]bool{}
	a := auditor{World: World{Progress: func(text string) {
		lock.Lock()
		defer lock.Unlock()
		told[text] = true
	}}}
	if got, err := a.readLayers(layers); err != nil || got != want || len(told) == 0 {
		t.Errorf("%d bytes were read, want %d, and %d times it was told how many; %v", got, want, len(told), err)
	}
}

// A disk that is full, or a folder that is not there, says nothing of the image.
func TestADiskThatFailsIsNoContent(t *testing.T) {
	s := httptest.NewServer(testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	tag, err := name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/acme/hello:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	var kept registry.Kept
	there, err := registry.Client{}.Keeping(&kept).Pull(t.Context(), tag.Digest(digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := there.Layers()
	if err != nil {
		t.Fatal(err)
	}
	_, err = auditor{}.readLayers(layers)
	_, isContent := errors.AsType[*ContentError](err)
	if !errors.Is(err, os.ErrNotExist) || isContent {
		t.Errorf("got %T: %v", err, err)
	}
}

// stubRunner is a builder that is there.
type stubRunner struct{ measure.Runner }

// What runs the image begins beside the other links; where nothing is run, nothing begins.
func TestBegin(t *testing.T) {
	begun := make(chan struct{}, 2)
	c := check{"measurement", func(context.Context) (found, error) {
		begun <- struct{}{}
		return proved("measured"), nil
	}}
	wait := auditor{World: World{Runner: stubRunner{}}}.begin(t.Context(), c)
	<-begun // before anybody waits for it
	if got := wait(); got.Name != c.name || got.Evidence != "measured" {
		t.Errorf("got %+v", got)
	}
	wait = auditor{}.begin(t.Context(), c)
	if len(begun) > 0 {
		t.Error("it began without a builder")
	}
	if got := wait(); got.Evidence != "measured" || len(begun) != 1 {
		t.Errorf("got %+v", got)
	}
}
