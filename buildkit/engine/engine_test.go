//go:build linux && amd64

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// options are those of an engine with a state folder of its own. A machine that
// cannot run one skips the test; in CI that is a failure.
func options(t *testing.T) engine.Options {
	t.Helper()
	runtime, err := exec.LookPath("runc")
	if err != nil {
		runtime = "/usr/sbin/runc"
	}
	_, err = os.Stat(runtime)
	if missing := err != nil || os.Geteuid() != 0; missing && os.Getenv("CI") != "true" {
		t.Skip("it needs root and runc")
	}
	return engine.Options{Root: filepath.Join(t.TempDir(), "state"), Runtime: runtime}
}

func start(t *testing.T, opts engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, e) })
	return e
}

func shut(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Errorf("closing engine: %v", err)
	}
}

// fill puts some megabytes of noise into the cache.
func fill(t *testing.T, e *engine.Engine, megabytes int) {
	t.Helper()
	noise := rand.NewChaCha8([32]byte{})
	for i := range megabytes {
		content := make([]byte, 1<<20)
		noise.Read(content)
		made, err := llb.Scratch().File(llb.Mkfile(fmt.Sprint("/", i), 0o644, content)).Marshal(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Client().Solve(t.Context(), made, client.SolveOpt{}, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// cached returns how many bytes the cache holds.
func cached(t *testing.T, e *engine.Engine) (size int64) {
	t.Helper()
	usage, err := e.Client().DiskUsage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, record := range usage {
		size += record.Size
	}
	return size
}

func TestTheCacheOutlivesTheEngine(t *testing.T) {
	opts := options(t)
	first := start(t, opts)
	fill(t, first, 3)
	shut(t, first)
	if size := cached(t, start(t, opts)); size < 3<<20 {
		t.Errorf("the cache holds %d bytes after a restart, want 3 MB", size)
	}
}

func TestCloseShrinksTheCache(t *testing.T) {
	opts := options(t)
	opts.MaxCache = 2 << 20
	first := start(t, opts)
	fill(t, first, 5)
	if size := cached(t, first); size < 5<<20 {
		t.Errorf("the cache holds %d bytes, want 5 MB", size)
	}
	shut(t, first)
	opts.MaxCache = 0
	if size := cached(t, start(t, opts)); size > 2<<20 {
		t.Errorf("the cache holds %d bytes after Close, want at most 2 MB", size)
	}
}

func TestCloseCanBeRepeated(t *testing.T) {
	e := start(t, options(t))
	shut(t, e)
	shut(t, e)
	if _, err := e.Client().Info(t.Context()); err == nil {
		t.Error("the client of a closed engine answers")
	}
}

func TestStartNeedsAnAbsoluteRoot(t *testing.T) {
	opts := options(t)
	for _, root := range []string{"", "state"} {
		opts.Root = root
		if e, err := engine.Start(t.Context(), opts); err == nil {
			shut(t, e)
			t.Errorf("root %q was taken", root)
		}
	}
}

// A link to the state folder is the folder: runc and the kernel report resolved
// paths, and what a killed run left must be found under either name.
func TestTheRootMayBeALink(t *testing.T) {
	opts := options(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.Mkdir(opts.Root, 0o700), os.Symlink(opts.Root, link)); err != nil {
		t.Fatal(err)
	}
	start(t, opts)
	opts.Root = link
	ctx, cancel := context.WithCancel(t.Context())
	opts.Waiting = cancel
	if _, err := engine.Start(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("starting under the other name: %v, want to wait", err)
	}
}

func TestStartNamesARuntimeThatDoesNotWork(t *testing.T) {
	opts := options(t)
	for _, runtime := range []string{"/nowhere/runc", "/bin/false"} {
		opts.Runtime = runtime
		e, err := engine.Start(t.Context(), opts)
		if err == nil {
			shut(t, e)
			t.Errorf("runtime %q was taken", runtime)
		} else if !strings.Contains(err.Error(), runtime) {
			t.Errorf("runtime %q: %v, want its name", runtime, err)
		}
	}
	// The failed starts have given the folder free.
	opts = engine.Options{Root: opts.Root, Runtime: options(t).Runtime}
	shut(t, start(t, opts))

	// What worked once is run again when it is another file.
	runtime := filepath.Join(t.TempDir(), "runc")
	opts.Runtime = runtime
	for _, c := range []struct {
		script string
		works  bool
	}{{"#!/bin/sh\necho runc version 1.1.5\n", true}, {"#!/bin/sh\nexit 1\n", false}} {
		if err := os.WriteFile(runtime, []byte(c.script), 0o755); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			e, err := engine.Start(t.Context(), opts)
			if err == nil {
				shut(t, e)
			}
			if works := err == nil; works != c.works {
				t.Errorf("runtime %q: %v", c.script, err)
			}
		}
	}
}

// Nothing is made, and nothing cleaned, in the working directory.
func TestTheWorkingDirectoryIsLeftAlone(t *testing.T) {
	opts := options(t)
	t.Chdir(t.TempDir())
	file := filepath.Join("net", "proxy", "file") // where BuildKit keeps namespaces, below its root
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	e := start(t, opts)
	fill(t, e, 1)
	shut(t, e)
	var found []string
	if err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		found = append(found, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(found, " ") != ". net net/proxy net/proxy/file" {
		t.Errorf("working directory: %q", found)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	e := start(t, options(t))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(listener) }()
	c, err := client.New(t.Context(), "tcp://"+listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Info(t.Context()); err != nil {
		t.Errorf("asking over the listener: %v", err)
	}
	shut(t, e)
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("Serve returned %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("Serve did not return")
	}
}
