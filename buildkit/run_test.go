package buildkit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/buildkit"
)

// does returns an image whose program does something.
func does(t *testing.T, args ...string) v1.Image {
	t.Helper()
	return programImage(t, v1.Config{Entrypoint: []string{"/program"}, Cmd: args})
}

// ended is what a run printed and returned.
type ended struct {
	stdout, stderr string
	code           int
}

func run(t *testing.T, b *buildkit.Builder, image v1.Image, env ...string) ended {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code, err := b.Run(t.Context(), image, env, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	return ended{stdout.String(), stderr.String(), code}
}

func TestRunReturnsWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	b := shared(t)
	for _, code := range []int{0, 1, 7, 127, 141, 255} {
		got := run(t, b, does(t, "say", "an answer\nof two lines", "a complaint\n", fmt.Sprint(code)))
		equal(t, "run", got, ended{"an answer\nof two lines", "a complaint\n", code})
	}
	if code, err := b.Run(t.Context(), does(t, "say", "a", "b", "0"), nil, nil, nil); code != 0 || err != nil {
		t.Errorf("without writers: %d, %v", code, err)
	}
	long := strings.Repeat("0123456789abcdef", 1<<16)
	if got := run(t, b, programImage(t, v1.Config{Entrypoint: []string{"/program", "environment"}, Env: []string{"A=" + long[:1<<16]}})); len(got.stdout) < 1<<16 {
		t.Errorf("a long output came as %d bytes", len(got.stdout))
	}
}

func TestRunGivesTheProgramItsEnvironmentUserAndFolder(t *testing.T) {
	t.Parallel()
	b := shared(t)
	got := run(t, b, programImage(t, v1.Config{Entrypoint: []string{"/program", "environment"}, Env: []string{"A=1", "B=2"}}), "B=3", "C=4 and\nmore")
	for _, want := range []string{"A=1", "B=3", "C=4 and", "more"} {
		if !slices.Contains(strings.Split(got.stdout, "\n"), want) {
			t.Errorf("environment: %q, want %s in it", got.stdout, want)
		}
	}
	if strings.Contains(got.stdout, "B=2") {
		t.Errorf("environment: %q, want B of the caller only", got.stdout)
	}
	got = run(t, b, programImage(t, v1.Config{Entrypoint: []string{"/program", "whoami"}, User: "1234:5678", WorkingDir: "/proc"}))
	equal(t, "user and folder", got.stdout, "1234 5678 /proc\n")
	got = run(t, b, programImage(t, v1.Config{Cmd: []string{"/program", "whoami"}}))
	equal(t, "defaults", got.stdout, "0 0 /\n")
}

func TestRunHasNoNetwork(t *testing.T) {
	t.Parallel()
	b := shared(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer listener.Close()
	equal(t, "interfaces", run(t, b, does(t, "interfaces")).stdout, "lo\n")
	got := run(t, b, does(t, "dial", listener.Addr().String()))
	equal(t, "exit code", got.code, 1)
	contains(t, "complaint", got.stderr, "connection refused")
}

func TestRunForgetsAndIsNotCached(t *testing.T) {
	t.Parallel()
	b := shared(t)
	built := build(t, b, source(t, "FROM program\nWORKDIR /data\nENTRYPOINT [\"/program\", \"list\", \"/data\", \"/data/found\"]\n", nil))
	for range 2 {
		run(t, b, built.Image)
	}
	found := run(t, b, does(t, "list", "/", "/dev/stdout"))
	if strings.Contains(found.stdout, "/data") {
		t.Errorf("a run left something: %s", found.stdout)
	}
	random := does(t, "cat", "/proc/sys/kernel/random/uuid")
	if one, other := run(t, b, random), run(t, b, random); one == other {
		t.Error("the second run is a copy of the first")
	}
}

func TestRunIsEndedByItsContext(t *testing.T) {
	world := t.TempDir()
	b := open(t, buildkit.Options{State: filepath.Join(world, "state")})
	run(t, b, does(t, "print", "warm"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stdout, done := listenFor("hanging"), make(chan error, 1)
	go func() {
		_, err := b.Run(ctx, does(t, "hang"), nil, stdout, nil)
		done <- err
	}()
	wait(t, "the program", stdout.come)
	start := time.Now()
	cancel()
	if err := wait(t, "the run's end", done); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v, want that of the context", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the run took %s to end", took)
	}
	if left := leftovers(t, world); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	limited, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	if _, err := b.Run(limited, does(t, "hang"), nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error at the deadline: %v", err)
	}
	equal(t, "the next run", run(t, b, does(t, "print", "alive")).stdout, "alive\n")
}

// An image in a registry is run without being pulled as a whole before.
func TestRunTakesAnImageFromARegistry(t *testing.T) {
	t.Parallel()
	b, hub := open(t, buildkit.Options{}), (&registry{}).serve(t)
	digest := hub.push(t, does(t, "print", "from afar"))
	pulled := func() v1.Image {
		return must(remote.Image(must(name.NewDigest(hub.host+"/base@"+digest.String())), remote.WithContext(t.Context())))
	}
	equal(t, "output", run(t, b, pulled()).stdout, "from afar\n")
	layer := must(must(pulled().Manifest()), nil).Layers[0].Digest.String()
	equal(t, "pulls of the layer", hub.count("GET", layer), 1)
	equal(t, "output of the second run", run(t, b, pulled()).stdout, "from afar\n")
	equal(t, "pulls of the layer after the second run", hub.count("GET", layer), 1)
}

func TestRunOfAnImageThatCannotRun(t *testing.T) {
	t.Parallel()
	b := shared(t)
	nothing := programImage(t, v1.Config{})
	_, err := b.Run(t.Context(), nothing, nil, nil, nil)
	var none *buildkit.NoProgramError
	if !errors.As(err, &none) {
		t.Fatalf("error: %v, want a NoProgramError", err)
	}
	equal(t, "image", none.Image, must(nothing.Digest()))

	for program, complaint := range map[string]string{"/none": "no such file", "/dev": "permission denied"} {
		got := run(t, b, programImage(t, v1.Config{Entrypoint: []string{program}}))
		equal(t, program+": exit code", got.code, 1)
		contains(t, program+": complaint", got.stderr, program, complaint)
	}
}
