//go:build linux && amd64

package buildkit_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/mrelease/mrelease/buildkit"
)

// stepped is a source with a stage that the image has a file of.
func stepped(t *testing.T) buildkit.Source {
	t.Helper()
	return source(t, `FROM program AS made
COPY in /in
RUN ["/program", "copy", "/in", "/out"]
FROM program
COPY --from=made /out /out
RUN ["/program", "write", "/own", "text"]
CMD ["/program", "print", "ran"]
`, files{"in": "content"})
}

// digestBy builds a source, and returns its digest and what the display showed.
func digestBy(t *testing.T, b *buildkit.Builder, src buildkit.Source, shown *bytes.Buffer) v1.Hash {
	t.Helper()
	shown.Reset()
	built, err := b.Build(t.Context(), src, filepath.Join(t.TempDir(), "image"), nil)
	check(t, err)
	return must(built.Image.Digest())
}

// isCached reports whether a display says that a step came from the cache.
func isCached(shown, step string) bool {
	number := ""
	for line := range strings.Lines(shown) {
		if name, rest, ok := strings.Cut(line, " "); ok && strings.Contains(rest, step) {
			number = name
		}
	}
	return number != "" && strings.Contains(shown, number+" CACHED")
}

// keep keeps the steps of a source that the builder built.
func keep(t *testing.T, b *buildkit.Builder, src buildkit.Source, mode string) buildkit.Steps {
	t.Helper()
	steps, err := b.KeepSteps(t.Context(), src, mode, filepath.Join(t.TempDir(), "steps"))
	check(t, err)
	return steps
}

func TestABuilderTakesStepsThatAnotherBuilt(t *testing.T) {
	var shown bytes.Buffer
	progress := buildkit.Progress{Writer: &shown, Mode: "plain"}
	src := stepped(t)
	first := open(t, buildkit.Options{Progress: progress})
	want := digestBy(t, first, src, &shown)
	layers := map[string]int{}
	for _, mode := range []string{buildkit.StepsMin, buildkit.StepsMax} { // what was written out before, min keeps too
		steps := keep(t, first, src, mode)
		layers[mode] = len(must(must(must(layout.Path(steps.Folder).ImageIndex()).Image(steps.Digest)).Manifest()).Layers)
		second := open(t, buildkit.Options{State: filepath.Join(t.TempDir(), "state"), Progress: progress}.Importer()).TakeFrom(steps)
		equal(t, mode+": digest", digestBy(t, second, src, &shown), want)
		equal(t, mode+": the image's step is taken", isCached(shown.String(), "/own"), true)
		src.NoCache = true
		equal(t, mode+": digest without cache", digestBy(t, second, src, &shown), want)
		equal(t, mode+": a step is taken without cache", isCached(shown.String(), "/own"), false)
		src.NoCache = false
	}
	if layers[buildkit.StepsMin] >= layers[buildkit.StepsMax] {
		t.Errorf("layers: %v, want fewer with %s", layers, buildkit.StepsMin)
	}
}

// What is imported stays in the state of the builder that imported it.
func TestWhatIsTakenStaysWithTheImporter(t *testing.T) {
	var shown bytes.Buffer
	progress := buildkit.Progress{Writer: &shown, Mode: "plain"}
	src := stepped(t)
	first := open(t, buildkit.Options{Progress: progress})
	want := digestBy(t, first, src, &shown)
	steps := keep(t, first, src, buildkit.StepsMax)
	opts := buildkit.Options{State: filepath.Join(t.TempDir(), "state"), Progress: progress}
	importer := open(t, opts.Importer()).TakeFrom(steps)
	digestBy(t, importer, src, &shown)
	own := open(t, opts)
	equal(t, "digest", digestBy(t, own, src, &shown), want)
	equal(t, "a step of the importer's is taken", strings.Contains(shown.String(), "CACHED"), false)
}

// The builder of a state folder, which cleans that up, leaves the importer's alone.
func TestAnImporterIsNotCleanedAway(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-goOn
	}))
	t.Cleanup(server.Close)
	src := source(t, "FROM program\nRUN [\"/program\", \"get\", \""+server.URL+"\"]\nRUN [\"/program\", \"write\", \"/own\", \"text\"]\n", nil)
	opts := buildkit.Options{State: filepath.Join(t.TempDir(), "state")}
	building := open(t, opts.Importer()).Begin(t.Context(), src, filepath.Join(t.TempDir(), "image"), nil)
	<-asked
	own := open(t, opts)
	close(goOn)
	if _, err := building.Finish(); err != nil {
		t.Errorf("the importer's build: %v", err)
	}
	if _, err := own.Build(t.Context(), stepped(t), filepath.Join(t.TempDir(), "image"), nil); err != nil {
		t.Errorf("the builder's own: %v", err)
	}
}

// A layer that is none ends the build: whoever calls goes on without these steps.
func TestStepsWithALayerThatIsNoneFail(t *testing.T) {
	src := stepped(t)
	steps := keep(t, shared(t), src, buildkit.StepsMax)
	path := layout.Path(steps.Folder)
	manifest := must(must(must(path.ImageIndex()).Image(steps.Digest)).Manifest())
	for _, l := range manifest.Layers {
		file := filepath.Join(steps.Folder, "blobs", "sha256", l.Digest.Hex)
		check(t, os.Chmod(file, 0o644))
		check(t, os.WriteFile(file, []byte("no layer"), 0o644))
	}
	importer := open(t, buildkit.Options{State: filepath.Join(t.TempDir(), "state")}.Importer()).TakeFrom(steps)
	if _, err := importer.Build(t.Context(), src, filepath.Join(t.TempDir(), "image"), nil); err == nil {
		t.Error("a build of steps whose layers are none has no error")
	}
}
