package buildkit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
)

func failed(t *testing.T, err error) *buildkit.BuildError {
	t.Helper()
	var failed *buildkit.BuildError
	if !errors.As(err, &failed) {
		t.Fatalf("%T: %v, want a BuildError", err, err)
	}
	return failed
}

func TestAFailingStepSaysWhereAndWhy(t *testing.T) {
	src := source(t, `FROM program

# a comment
RUN ["/program", "say", "one\ntwo\n", \
     "three\n", "7"]
RUN ["/program", "print", "never"]
`, nil)
	log, err := fail(t, shared(t), src)
	got := failed(t, err)
	equal(t, "Dockerfile", got.Dockerfile, filepath.Join(src.Context, "Dockerfile"))
	equal(t, "line", got.Line, 4)
	equal(t, "instruction", got.Instruction, "RUN [\"/program\", \"say\", \"one\\ntwo\\n\", \\\n     \"three\\n\", \"7\"]")
	equal(t, "exit code", got.ExitCode, 7)
	contains(t, "step", got.Step, "RUN [")
	slices.Sort(got.Output) // the order of the two outputs is not known
	equal(t, "output", strings.Join(got.Output, ","), "one,three,two")
	contains(t, "text", err.Error(), "Dockerfile:4", "exit code 7")
	contains(t, "log", log, "one\ntwo\n", "three\n")
	facts := map[string]string{}
	for _, fact := range got.Evidence() {
		facts[fact[0]] = fact[1]
	}
	equal(t, "evidence of the place", facts["where"], got.Dockerfile+":4")
	equal(t, "evidence of the exit code", facts["exit code"], "7")
	contains(t, "evidence of the output", facts["output"], "three")
}

func TestTheOutputOfAnErrorIsItsLastLines(t *testing.T) {
	src := source(t, "FROM program\nRUN [\"/program\", \"say\", \""+strings.Repeat(`line\n`, 30)+"the last\", \"\", \"1\"]\n", nil)
	log, err := fail(t, shared(t), src)
	got := failed(t, err)
	equal(t, "number of lines", len(got.Output), 20)
	equal(t, "last line", got.Output[19], "the last")
	equal(t, "number of lines in the log", strings.Count(log, "\n"), 31)
}

func TestWhatCannotBeBuilt(t *testing.T) {
	b, hub := shared(t), (&registry{}).serve(t)
	for name, c := range map[string]struct {
		dockerfile  string
		line        int
		instruction string
		text        string
	}{
		"unknown instruction": {"FROM scratch\n\nBOIL water\n", 3, "BOIL water", "unknown instruction"},
		"no instruction":      {"# nothing\n", 1, "# nothing", "no instructions"},
		"bad flag":            {"FROM scratch\nCOPY --nope a /\n", 2, "COPY --nope a /", "nope"},
		"missing file":        {"FROM scratch\nCOPY missing /\n", 2, "COPY missing /", "COPY missing: there is no such file in the build context"},
		"missing base":        {"FROM " + hub.host + "/base:9\n", 1, "FROM " + hub.host + "/base:9", "not found"},
		"missing executable":  {"FROM program\nRUN [\"/none\"]\n", 2, "RUN [\"/none\"]", "/none"},
		"no registry":         {"FROM 127.0.0.1:1/base:1\n", 1, "FROM 127.0.0.1:1/base:1", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fail(t, b, source(t, c.dockerfile, nil))
			got := failed(t, err)
			equal(t, "line", got.Line, c.line)
			equal(t, "instruction", got.Instruction, c.instruction)
			contains(t, "text", err.Error(), c.text)
		})
	}
}

func TestAMissingTargetFails(t *testing.T) {
	src := source(t, "FROM scratch AS app\n", nil)
	src.Target = "other"
	_, err := fail(t, shared(t), src)
	contains(t, "text", failed(t, err).Error(), "other")
}

// All that is wrong is said at once, and before anything is built.
func TestAnInvalidSourceIsRefusedAsAWhole(t *testing.T) {
	src := buildkit.Source{
		Context:     filepath.Join(t.TempDir(), "no-context"),
		Args:        map[string]string{"a b": "", "SOURCE_DATE_EPOCH": "1", "": ""},
		Contexts:    map[string]string{"UPPER": "/", "folder": "/no-folder", "layout": "oci-layout://relative@sha256:" + sum(""), "digest": "oci-layout:///@sha256:12", "debian": "/"},
		Bases:       map[string]string{"debian:latest": "sha256:" + sum(""), "pin": "latest"},
		Secrets:     map[string][]byte{"": nil, "big": make([]byte, 1<<20)},
		Epoch:       time.Time{},
		Annotations: map[string]string{"a b": ""},
		Network:     "bridge",
	}
	wrong := []string{
		"no-context", "Dockerfile", "epoch", `"a b"`, `"SOURCE_DATE_EPOCH"`, `argument ""`, `"UPPER"`, "/no-folder", `"layout"`, `"digest"`,
		`"debian:latest": it is a named context too`, `"pin"`, "one has no id", `secret "big"`, `annotation "a b"`, `network "bridge"`,
	}
	err := src.Validate()
	contains(t, "problems", err.Error(), wrong...)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("a missing file is no fs.ErrNotExist")
	}
	_, failure := fail(t, shared(t), src)
	equal(t, "error of the build", failure.Error(), err.Error())
	_, digestErr := src.Digest(t.Context())
	equal(t, "error of the digest", digestErr.Error(), err.Error())
}

func TestAMissingDockerfileIsNamed(t *testing.T) {
	src := buildkit.Source{Context: t.TempDir(), Epoch: epoch}
	err := src.Validate()
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want an fs.ErrNotExist", err)
	}
	contains(t, "error", err.Error(), filepath.Join(src.Context, "Dockerfile"))
	src.Dockerfile = src.Context
	contains(t, "error for a folder", src.Validate().Error(), "not a file")
}

func TestAFolderOfSomethingElseIsLeftAlone(t *testing.T) {
	b, dir := shared(t), t.TempDir()
	write(t, dir, files{"thesis": "years of work"})
	var log bytes.Buffer
	src := source(t, "FROM program\nRUN [\"/program\", \"print\", \"ran\"]\n", nil)
	src.NoCache = true
	_, err := b.Build(t.Context(), src, dir, &log)
	if err == nil {
		t.Fatal("the build succeeded")
	}
	contains(t, "error", err.Error(), "holds something else than an image layout", dir, "thesis")
	equal(t, "what the build ran", log.String(), "")
	if left := names(t, dir); !slices.Equal(left, []string{"thesis"}) {
		t.Errorf("the folder now holds %q", left)
	}
}

func TestAnOlderLayoutIsReplacedByASuccessOnly(t *testing.T) {
	b, dir := shared(t), filepath.Join(t.TempDir(), "new", "image")
	src := source(t, "FROM scratch\nCOPY file /\n", files{"file": "1"})
	first := must(b.Build(t.Context(), src, dir, nil)).Image
	want := must(first.Digest())

	broken := source(t, "FROM scratch\nCOPY none /\n", nil)
	if _, err := b.Build(t.Context(), broken, dir, nil); err == nil {
		t.Fatal("the broken build succeeded")
	}
	equal(t, "file of the first image", contents(t, first)["file"], "1")

	write(t, src.Context, files{"file": "2"})
	second := must(b.Build(t.Context(), src, dir, nil)).Image
	if got := must(second.Digest()); got == want {
		t.Error("the second image is the first")
	}
	equal(t, "file of the second image", contents(t, second)["file"], "2")
}

// heard is a writer that tells when a text has come.
type heard struct {
	text string
	all  bytes.Buffer
	come chan struct{}
}

func listenFor(text string) *heard { return &heard{text: text, come: make(chan struct{})} }

// Write implements io.Writer; it is called by one goroutine.
func (h *heard) Write(p []byte) (int, error) {
	before := strings.Contains(h.all.String(), h.text)
	h.all.Write(p)
	if !before && strings.Contains(h.all.String(), h.text) {
		close(h.come)
	}
	return len(p), nil
}

// wait waits for a channel, but not for ever.
func wait[T any](t *testing.T, what string, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-time.After(time.Minute):
		t.Fatalf("waited in vain for %s", what)
	}
	return value
}

func TestACancelledBuildEndsAndLeavesNothing(t *testing.T) {
	world, log := t.TempDir(), listenFor("hanging")
	b := open(t, buildkit.Options{State: filepath.Join(world, "state")})
	src := source(t, "FROM program\nRUN [\"/program\", \"hang\"]\n", nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Build(ctx, src, filepath.Join(world, "image"), log)
		done <- err
	}()
	wait(t, "the step", log.come)
	if left := leftovers(t, world); len(left) == 0 {
		t.Error("nothing is seen of a step that runs")
	}
	start := time.Now()
	cancel()
	if err := wait(t, "the build's end", done); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v, want that of the context", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the build took %s to end", took)
	}
	if left := leftovers(t, world); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if left := names(t, world); !slices.Equal(left, []string{"state"}) {
		t.Errorf("folder: %q", left)
	}
	build(t, b, source(t, "FROM program\nRUN [\"/program\", \"print\", \"still alive\"]\n", nil))
}

// A log that cannot be written is the caller's loss, and said.
func TestALogThatFailsIsReported(t *testing.T) {
	b := shared(t)
	r, w := io.Pipe()
	check(t, r.CloseWithError(errors.New("disk full")))
	src := source(t, "FROM program\nRUN [\"/program\", \"print\", \"a\"]\n", nil)
	src.NoCache = true
	_, err := b.Build(t.Context(), src, filepath.Join(t.TempDir(), "image"), w)
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("error: %v, want that of the log", err)
	}
}
