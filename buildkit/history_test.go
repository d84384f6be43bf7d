//go:build linux && amd64

package buildkit_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"golang.org/x/sys/unix"

	"github.com/mrelease/mrelease/buildkit"
)

// layered has a step of each kind that leaves times behind: folders that WORKDIR
// makes, copies, a copy of a text, and steps that look at the times of files or
// write their own. The later steps do not depend on the first copy's content.
const layered = `FROM program
WORKDIR /work/deep
COPY big /big
RUN ["/program", "list", "/big", "/seen"]
COPY <<text /text
A text.
text
COPY --link app /app
RUN ["/program", "list", "/app", "/seen-app"]
RUN --mount=type=bind,source=app,target=/mnt ["/program", "list", "/mnt", "/seen-bound"]
COPY app/main app/other /srv/many/
COPY app/main /srv/many/third
COPY big /srv/many/
COPY app/ma*n no*such /srv/wild/
WORKDIR /srv/many
COPY app/other ./fourth/
COPY big/file .
RUN ["/program", "list", "/srv", "/seen-folder"]
`

// version is one commit of a source.
type version struct {
	content files
	epoch   time.Time // zero: not chosen
	created time.Time
}

func (v version) write(t *testing.T) buildkit.Source {
	src := source(t, layered, v.content)
	src.Epoch, src.Created = v.epoch, v.created
	return src
}

// writeOver writes it in the place of another version.
func (v version) writeOver(t *testing.T, there buildkit.Source) buildkit.Source {
	t.Helper()
	check(t, os.RemoveAll(there.Context))
	write(t, there.Context, v.content)
	write(t, there.Context, files{"Dockerfile": layered})
	there.Epoch, there.Created = v.epoch, v.created
	return there
}

func (v version) with(name, text string) version {
	v.content = maps.Clone(v.content)
	v.content[name] = text
	v.created = v.created.Add(time.Hour)
	return v
}

func firstVersion() version {
	return version{content: files{"big/file": strings.Repeat("big", 10_000), "app/main": "1", "app/other": "1"}, created: epoch}
}

// The image is a function of its source, not of what the builder built before:
// here each version by a builder that built all others, in both orders, by one
// that built nothing, and without the cache.
func TestWhatWasBuiltBeforeDoesNotShow(t *testing.T) {
	t.Parallel()
	first := firstVersion()
	readme := first.with("README", "not copied")
	app := readme.with("app/main", "2")
	chosen, later := app, app
	chosen.epoch, chosen.created = epoch, epoch
	later.epoch, later.created = time.Now().Add(time.Hour), time.Now().Add(time.Hour)
	versions := []version{first, readme, app, chosen, later, first}

	cold := make([]made, len(versions))
	for i, v := range versions {
		cold[i] = build(t, open(t, buildkit.Options{}), v.write(t))
	}
	forwards, backwards := open(t, buildkit.Options{}), open(t, buildkit.Options{})
	place := first.write(t)
	for i := range versions {
		back := len(versions) - 1 - i
		sameImage(t, fmt.Sprintf("version %d, after the earlier ones", i), build(t, forwards, versions[i].writeOver(t, place)), cold[i])
		sameImage(t, fmt.Sprintf("version %d, after the later ones", back), build(t, backwards, versions[back].write(t)), cold[back])
	}
	for i, v := range versions {
		src := v.write(t)
		src.NoCache = true
		sameImage(t, fmt.Sprintf("version %d, without the cache", i), build(t, forwards, src), cold[i])
	}
}

// What BuildKit does not see in the content of files, and a step does, is seen all the
// same: that they are hard links, and their times in an image.
func TestWhatContentDoesNotSay(t *testing.T) {
	t.Parallel()
	linked := func(how string) buildkit.Source {
		return source(t, `FROM program AS made
COPY how /how
WORKDIR /out
RUN ["/program", "twice", "/how", "/out/file"]
FROM program
COPY --from=made /out /out
RUN ["/program", "list", "/out", "/seen"]
`, files{"how": how})
	}
	dated := func(when time.Time) buildkit.Source {
		src := source(t, "FROM program\nRUN --mount=type=bind,from=other,target=/mnt [\"/program\", \"list\", \"/mnt\", \"/seen\"]\n", nil)
		src.Contexts["other"] = reference(t, must(mutate.Time(image(t, v1.Config{}, files{"file": "1"}), when)))
		return src
	}
	for name, versions := range map[string][2]buildkit.Source{
		"hard links":        {linked("link"), linked("copy")},
		"times in an image": {dated(epoch), dated(epoch.Add(time.Hour))},
	} {
		one, other := build(t, open(t, buildkit.Options{}), versions[0]), build(t, open(t, buildkit.Options{}), versions[1])
		if contents(t, one.Image)["seen"] == contents(t, other.Image)["seen"] {
			t.Errorf("%s: the step sees no difference: %q", name, contents(t, one.Image)["seen"])
		}
		for i, want := range [2]made{one, other} {
			warm := open(t, buildkit.Options{})
			build(t, warm, versions[1-i])
			sameImage(t, name, build(t, warm, versions[i]), want)
		}
	}
}

// The times that files are sent with, which follow from their content, are seen by no
// step.
func TestStepsSeeOneTime(t *testing.T) {
	t.Parallel()
	src := source(t, `FROM more AS made
COPY app /app
FROM program
RUN --mount=type=bind,target=/mnt ["/program", "list", "/mnt", "/seen-context"]
RUN --mount=type=bind,from=more,target=/mnt ["/program", "list", "/mnt", "/seen-more"]
RUN --mount=type=bind,from=made,target=/mnt ["/program", "list", "/mnt", "/seen-made"]
COPY --from=made / /copied/
RUN ["/program", "list", "/copied", "/seen-copied"]
`, files{"app": "1", "folder/file": "2"})
	src.Contexts["more"] = t.TempDir()
	write(t, src.Contexts["more"], files{"thing": "3", "deep/thing": "4"})
	seen := contents(t, build(t, shared(t), src).Image)
	for name, files := range map[string][]string{
		"seen-context": {"/app", "/folder/file"}, "seen-more": {"/thing", "/deep/thing"},
		"seen-made": {"/app", "/thing", "/deep/thing"}, "seen-copied": {"/app", "/thing", "/deep/thing"},
	} {
		lines := strings.Split(strings.TrimSpace(seen[name]), "\n")
		for _, line := range lines {
			if !strings.Contains(line, epoch.UTC().Format(time.RFC3339)) && !strings.Contains(line, fmt.Sprint(epoch.Unix())) {
				t.Errorf("%s: %q, want the time %s", name, line, epoch)
			}
		}
		for _, file := range files {
			if !strings.Contains(seen[name], file) {
				t.Errorf("%s has no %s: %q", name, file, lines)
			}
		}
	}
}

// Of a folder that was sent before, only what changed is sent, also of another release,
// and a change that leaves size and time of a file as they were.
func TestOnlyWhatChangedIsSent(t *testing.T) {
	t.Parallel()
	var shown bytes.Buffer
	b := open(t, buildkit.Options{Progress: buildkit.Progress{Writer: &shown, Mode: "plain"}})
	large := files{}
	for i := range 20 {
		large[fmt.Sprintf("file%d", i)] = strings.Repeat("x", 10_000)
	}
	src := source(t, "FROM scratch\nCOPY file* /\n", large)
	for i, c := range []struct {
		change   func()
		least    float64 // kB
		below    float64
		file     string
		contains string
	}{
		{func() {}, 200, 260, "file7", "xx"},
		{func() { src.Created = epoch.Add(time.Hour) }, 0, 20, "file7", "xx"},
		{func() {
			at := filepath.Join(src.Context, "file7")
			was := must(os.Stat(at)).ModTime()
			check(t, os.WriteFile(at, []byte(strings.Repeat("y", 10_000)), 0o644))
			check(t, os.Chtimes(at, was, was))
		}, 10, 30, "file7", "yy"},
	} {
		c.change()
		shown.Reset()
		made := build(t, b, src)
		if sent := transferred(t, shown.String()); sent < c.least || sent >= c.below {
			t.Errorf("build %d: %.1f kB were sent, want %.0f to %.0f", i, sent, c.least, c.below)
		}
		contains(t, c.file, contents(t, made.Image)[c.file], c.contains)
	}
}

// transferred reads how much of a context was sent, in kB.
func transferred(t *testing.T, shown string) (most float64) {
	t.Helper()
	for _, found := range regexp.MustCompile(`transferring context: ([0-9.]+)(kB|B)`).FindAllStringSubmatch(shown, -1) {
		sent := must(strconv.ParseFloat(found[1], 64))
		if found[2] == "B" {
			sent /= 1000
		}
		most = max(most, sent)
	}
	if most == 0 {
		t.Errorf("nothing is told of what was sent: %s", shown)
	}
	return most
}

func sameImage(t *testing.T, what string, got, want made) {
	t.Helper()
	equal(t, what+": config", got.config(), want.config())
	equal(t, what+": manifest", got.manifest(), want.manifest())
	if got.config() == want.config() {
		return
	}
	had := contents(t, want.Image)
	for name, text := range contents(t, got.Image) {
		if had[name] != text {
			t.Errorf("%s: %s is %.300q, want %.300q", what, name, text, had[name])
		}
	}
}

// A seeded walk over twenty commits, each built warm and cold.
func TestTwentyCommits(t *testing.T) {
	t.Parallel()
	const seed = 11
	random := rand.New(rand.NewPCG(seed, seed))
	warm := open(t, buildkit.Options{})
	walk, place := []version{firstVersion()}, firstVersion().write(t)
	for i := range 20 {
		now := walk[len(walk)-1]
		switch random.IntN(4) {
		case 0:
			now = now.with("app/main", fmt.Sprint(random.IntN(3)))
		case 1:
			now = now.with("README", fmt.Sprint(i))
		case 2:
			now.epoch = epoch.Add(time.Duration(random.IntN(5)) * 24 * time.Hour)
			now.created = now.epoch
		default: // reverted
			now = walk[random.IntN(len(walk))]
		}
		walk = append(walk, now)
		state := filepath.Join(t.TempDir(), "state")
		cold := openUnclosed(t, buildkit.Options{State: state})
		sameImage(t, fmt.Sprintf("commit %d", i), build(t, warm, now.writeOver(t, place)), build(t, cold, now.write(t)))
		shut(t, cold)
	}
}

// An unchanged layer is the same in the next release, bit for bit, and a layer's
// entries have one time.
func TestALayerIsAFunctionOfItsContent(t *testing.T) {
	t.Parallel()
	b := open(t, buildkit.Options{})
	first := build(t, b, firstVersion().write(t))
	second := build(t, b, firstVersion().with("app/main", "2").write(t))
	a, z := must(first.Image.Manifest()), must(second.Image.Manifest())
	var changed []int
	for i := range a.Layers {
		if a.Layers[i].Digest != z.Layers[i].Digest {
			changed = append(changed, i)
		}
	}
	if want := []int{5, 8, 9, 11}; !slices.Equal(changed, want) { // the copies of app/main
		t.Errorf("layers %d changed, want %d of %d", changed, want, len(a.Layers))
	}
	equal(t, "time of creation", must(second.Image.ConfigFile()).Created.Unix(), epoch.Add(time.Hour).Unix())
	for i, layer := range must(second.Image.Layers())[1:] {
		for _, when := range times(t, must(layer.Uncompressed())) {
			equal(t, fmt.Sprintf("time in layer %d", i+1), when, buildkit.FixedEpoch().Unix())
		}
	}
}

// times are those of an archive's entries, in seconds since 1970.
func times(t *testing.T, archive io.ReadCloser) []int64 {
	t.Helper()
	defer archive.Close()
	var found []int64
	for r := tar.NewReader(archive); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		check(t, err)
		found = append(found, header.ModTime.Unix())
	}
}

// A layer that did not change is neither compressed again nor sent by a daemon
// again: it is copied from the cache of finished layers. No layout has the cache's file.
func TestAFinishedLayerIsTakenFromTheCache(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	b := open(t, buildkit.Options{State: state})
	first := build(t, b, firstVersion().write(t))
	kept := func(l v1.Descriptor) os.FileInfo {
		return must(os.Stat(filepath.Join(state, "layers", l.Digest.Hex)))
	}
	before := map[v1.Hash]os.FileInfo{}
	for _, layer := range must(first.Image.Manifest()).Layers[1:] {
		before[layer.Digest] = kept(layer)
	}
	second := build(t, b, firstVersion().with("README", "more").write(t))
	for i, layer := range must(second.Image.Manifest()).Layers {
		if i == 0 {
			continue // of the base
		}
		equal(t, "layer", layer.Digest, must(first.Image.Manifest()).Layers[i].Digest)
		if !os.SameFile(before[layer.Digest], kept(layer)) {
			t.Errorf("layer %d was made again", i)
		}
		if os.SameFile(kept(layer), must(os.Stat(filepath.Join(second.dir, "blobs", "sha256", layer.Digest.Hex)))) {
			t.Errorf("layer %d of the layout is the cache's file", i)
		}
	}
}

// What somebody else did to the cache of finished layers costs time, and nothing
// else.
func TestAChangedLayerIsMadeAnew(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	b := open(t, buildkit.Options{State: state})
	want := build(t, b, firstVersion().write(t))
	cache := filepath.Join(state, "layers")
	inCache := func(pattern string) []string { return must(filepath.Glob(filepath.Join(cache, pattern))) }
	for name, attack := range map[string]func(){
		"a byte in each layer": func() {
			for _, l := range must(want.Image.Manifest()).Layers[1:] {
				f := must(os.OpenFile(filepath.Join(cache, l.Digest.Hex), os.O_WRONLY, 0))
				_ = must(f.WriteAt([]byte("X"), l.Size/2))
				check(t, f.Close())
			}
		},
		"notes about other layers": func() {
			notes := inCache("*.json")
			for i := range notes {
				check(t, os.WriteFile(notes[i]+".other", must(os.ReadFile(notes[(i+1)%len(notes)])), 0o644))
			}
			for _, n := range notes {
				check(t, os.Rename(n+".other", n))
			}
		},
		"notes about nothing": func() {
			for _, n := range inCache("*.json") {
				check(t, os.WriteFile(n, []byte(`{"layer":{"size":4096}}`), 0o644))
			}
		},
		"pipes for notes": func() {
			for _, n := range inCache("*.json") {
				check(t, errors.Join(os.Remove(n), unix.Mkfifo(n, 0o644)))
			}
		},
		"folders for layers": func() {
			for _, l := range must(want.Image.Manifest()).Layers[1:] {
				path := filepath.Join(cache, l.Digest.Hex)
				check(t, errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o755)))
			}
		},
		"nothing left": func() { check(t, os.RemoveAll(cache)) },
	} {
		attack()
		got := build(t, b, firstVersion().write(t))
		sameImage(t, name, got, want)
		for i, l := range must(got.Image.Layers()) {
			read := must(l.Compressed())
			found, _, err := v1.SHA256(read)
			check(t, errors.Join(err, read.Close()))
			equal(t, fmt.Sprintf("%s: digest of layer %d", name, i), found, must(l.Digest()))
		}
	}
}

// A base that says nothing of its layers is described by the builder from what it
// built before.
func TestABaseWithoutHistoryIsDescribedTheSame(t *testing.T) {
	t.Parallel()
	untold := func(name string) string {
		file := must(programImage(t, v1.Config{Env: []string{"NAME=" + name}}).ConfigFile()).DeepCopy()
		file.History = nil
		return reference(t, must(mutate.ConfigFile(programImage(t, v1.Config{}), file)))
	}
	from := func(base string) buildkit.Source {
		src := source(t, "FROM base\nCOPY file /\nRUN [\"/program\", \"write\", \"/made\", \"1\"]\n", files{"file": "1"})
		src.Contexts["base"] = base
		return src
	}
	one, other := untold("one"), untold("other")
	warm := open(t, buildkit.Options{})
	build(t, warm, from(one))
	got, want := build(t, warm, from(other)), build(t, open(t, buildkit.Options{}), from(other))
	sameImage(t, "a base without history", got, want)
	history := must(got.Image.ConfigFile()).History
	if len(history) != 3 || !strings.HasPrefix(history[1].CreatedBy, "COPY") || history[0].CreatedBy != "" {
		t.Errorf("history: %+v", history)
	}
}
