//go:build linux && amd64

package buildkit_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/engine"
)

func TestOneBuilderAtATimeUsesAStateFolder(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	first := openUnclosed(t, buildkit.Options{State: state})
	waiting, opened := make(chan bool, 1), make(chan *buildkit.Builder, 1)
	go func() {
		b, err := buildkit.Open(context.Background(), buildkit.Options{Builder: buildkit.Embedded, State: state, Waiting: func() { waiting <- true }})
		if err != nil {
			t.Error(err)
		}
		opened <- b
	}()
	wait(t, "the second builder to wait", waiting)
	build(t, first, source(t, "FROM program\nRUN [\"/program\", \"print\", \"undisturbed\"]\n", nil))
	select {
	case <-opened:
		t.Fatal("the second builder did not wait")
	default:
	}
	shut(t, first)
	second := wait(t, "the second builder", opened)
	build(t, second, source(t, "FROM program\nRUN [\"/program\", \"print\", \"next\"]\n", nil))
	shut(t, second)
}

func TestAContextEndsTheWait(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	open(t, buildkit.Options{State: state})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := buildkit.Open(ctx, buildkit.Options{Builder: buildkit.Embedded, State: state, Waiting: cancel})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v, want that of the context", err)
	}
	contains(t, "error", err.Error(), state)
}

// serve offers an engine on a unix socket, as a daemon does, and returns its
// address.
func serve(t *testing.T) string {
	t.Helper()
	e := startEngine(t)
	socket := filepath.Join(shortDir(t), "buildkitd.sock")
	listener, err := net.Listen("unix", socket)
	check(t, err)
	served := make(chan error, 1)
	go func() { served <- e.Serve(listener) }()
	t.Cleanup(func() {
		check(t, e.Close())
		if err := wait(t, "the end of Serve", served); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + socket
}

func startEngine(t *testing.T) *engine.Engine {
	t.Helper()
	shared(t) // skips where containers cannot run
	e, err := engine.Start(t.Context(), engine.Options{Root: filepath.Join(t.TempDir(), "engine"), Runtime: runtime()})
	check(t, err)
	return e
}

// shortDir returns a folder whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// sameAsEmbedded makes sure that a builder makes the image that the embedded
// one makes, and can run it.
func sameAsEmbedded(t *testing.T, b *buildkit.Builder) {
	t.Helper()
	src := source(t, "FROM program\nCOPY file /\nRUN --mount=type=secret,id=token [\"/program\", \"sum\", \"/run/secrets/token\"]\nCMD [\"/program\", \"cat\", \"/file\"]\n", files{"file": "content"})
	src.Secrets, src.NoCache = map[string][]byte{"token": []byte(secret)}, true
	got, want := build(t, b, src), build(t, shared(t), src)
	equal(t, "manifest", got.manifest(), want.manifest())
	equal(t, "log", got.log, want.log)
	equal(t, "run", run(t, b, got.Image), ended{stdout: "content"})
}

func TestADaemonMakesTheSameImage(t *testing.T) {
	t.Parallel()
	address := serve(t)
	b := open(t, buildkit.Options{Builder: address})
	equal(t, "name", b.Name(), address)
	sameAsEmbedded(t, b)
}

func TestBuildKitHostComesBeforeTheEmbeddedBuilder(t *testing.T) {
	address := serve(t)
	b, err := buildkit.Open(t.Context(), buildkit.Options{BuildKitHost: address, State: filepath.Join(t.TempDir(), "state")})
	check(t, err)
	equal(t, "name", b.Name(), address)
	shut(t, b)
}

func noBuilder(t *testing.T, opts buildkit.Options) *buildkit.NoBuilderError {
	t.Helper()
	b, err := buildkit.Open(t.Context(), opts)
	if err == nil {
		shut(t, b)
	}
	var none *buildkit.NoBuilderError
	if !errors.As(err, &none) {
		t.Fatalf("error: %v, want a NoBuilderError", err)
	}
	return none
}

// A builder that was named and is not there is not replaced by another, though
// the embedded one would work.
func TestANamedBuilderIsNotReplaced(t *testing.T) {
	missing := "unix://" + filepath.Join(t.TempDir(), "none.sock")
	for name, opts := range map[string]buildkit.Options{
		"named":         {Builder: missing},
		"BUILDKIT_HOST": {BuildKitHost: missing},
		"docker":        {Builder: buildkit.Docker, DockerHost: missing},
	} {
		opts.State = filepath.Join(t.TempDir(), "state")
		start := time.Now()
		none := noBuilder(t, opts)
		if len(none.Attempts) != 1 || none.Command == "" {
			t.Errorf("%s: %+v, want one attempt and a command", name, none)
		}
		contains(t, name, none.Error(), none.Attempts[0].Builder, none.Attempts[0].Problem)
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("%s: it took %s to say so", name, took)
		}
	}
}

// On a machine with nothing at all, the error names everything that was tried.
func TestNoBuilderNamesWhatWasTried(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	state := filepath.Join(t.TempDir(), "state")
	none := noBuilder(t, buildkit.Options{DockerHost: "unix://" + filepath.Join(t.TempDir(), "none.sock"), State: state})
	if len(none.Attempts) != 2 || none.Attempts[0].Builder != buildkit.Embedded || none.Attempts[1].Builder != buildkit.Docker {
		t.Errorf("attempts: %+v, want the embedded builder and Docker", none.Attempts)
	}
	contains(t, "problem of the embedded builder", none.Attempts[0].Problem, "it needs r")
	equal(t, "facts", len(none.Evidence()), 2)
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state folder: %v, want none", err)
	}
}

// asNobody runs the test once more, without root's rights.
func asNobody(t *testing.T) {
	t.Helper()
	dir := shortDir(t)
	check(t, os.Chmod(dir, 0o777))
	copied := filepath.Join(dir, "test")
	check(t, os.WriteFile(copied, must(os.ReadFile(must(os.Executable()))), 0o755))
	cmd := exec.Command(copied, "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "CI=true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := buildkit.Open(ctx, buildkit.Options{Builder: "tcp://127.0.0.1:1"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v, want that of the context", err)
	}
}
