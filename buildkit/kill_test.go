package buildkit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	runc "github.com/containerd/go-runc"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/engine"
)

// asVictim is the first argument of a copy of this test program that is to be
// killed.
const asVictim = "victim"

// asBridge is the first argument of a copy of this test program that does what "buildctl
// dial-stdio" does: it connects its streams with a socket.
const asBridge = "bridge"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asBridge {
		os.Exit(bridge(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == asVictim {
		if err := victim(context.Background(), os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	engine.Quiet(nil)
	code := m.Run()
	if err := common.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func bridge(socket string) (exitCode int) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return 1
	}
	go func() {
		_, _ = io.Copy(c, os.Stdin)
		_ = c.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, c)
	return 0
}

// victim builds or runs in a world of its own: its state, output and temporary
// files are in one folder.
func victim(ctx context.Context, act, world string, args []string) error {
	b, err := buildkit.Open(ctx, buildkit.Options{Builder: buildkit.Embedded, State: filepath.Join(world, "state")})
	if err != nil {
		return err
	}
	if act == "run" {
		image, err := layout.Path(args[0]).Image(must(v1.NewHash(args[1])))
		if err != nil {
			return err
		}
		_, err = b.Run(ctx, image, nil, os.Stdout, os.Stderr)
		return err
	}
	_, err = b.Build(ctx, hanging(args[0], args[1]), filepath.Join(world, "out", "image"), os.Stdout)
	return err
}

// hanging is a source whose step has a secret mounted when it hangs.
func hanging(dir, program string) buildkit.Source {
	return buildkit.Source{
		Context: dir, Epoch: epoch, Contexts: map[string]string{"program": program},
		Secrets: map[string][]byte{"token": []byte(secret)},
	}
}

// killDuring starts a victim and kills it with SIGKILL while the program that
// it runs hangs.
func killDuring(t *testing.T, act, world string, args ...string) {
	t.Helper()
	tmp := filepath.Join(world, "tmp")
	check(t, os.MkdirAll(tmp, 0o755))
	cmd := exec.Command(must(os.Executable()), append([]string{asVictim, act, world}, args...)...)
	cmd.Env, cmd.WaitDelay = append(os.Environ(), "TMPDIR="+tmp), time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || line != "hanging\n" {
		t.Fatalf("the victim printed %q, %q", line, &stderr)
	}
}

// revive opens the state folder of a killed process and makes sure that all is
// gone that it left.
func revive(t *testing.T, world string) *buildkit.Builder {
	t.Helper()
	alive := containers(t, world)
	t.Cleanup(func() {
		for _, c := range alive { // gone, unless this test fails
			_ = (&runc.Runc{Command: runtime()}).Delete(context.Background(), c.ID, &runc.DeleteOpts{Force: true})
		}
	})
	if mounts := len(leftovers(t, world)) - len(alive); len(alive) != 1 || mounts < 2 {
		t.Errorf("the killed process left %d containers and %d mounts: this tests too little", len(alive), mounts)
	}
	b := open(t, buildkit.Options{State: filepath.Join(world, "state")})
	if left := leftovers(t, world); len(left) > 0 {
		t.Errorf("after opening the state folder again, these are left: %q", left)
	}
	for _, c := range alive {
		if runs(c.Pid) {
			t.Errorf("the container's process %d still runs", c.Pid)
		}
	}
	if left := names(t, filepath.Join(world, "tmp")); len(left) > 0 {
		t.Errorf("temporary files: %q", left)
	}
	if left := names(t, filepath.Join(world, "state", "scratch")); len(left) > 0 {
		t.Errorf("scratch folder: %q", left)
	}
	if found := holders(t, world, secret); len(found) > 0 {
		t.Errorf("the secret is in %q", found)
	}
	return b
}

func TestAKilledBuildIsCleanedUp(t *testing.T) {
	t.Parallel()
	shared(t) // skips where containers cannot run
	world := t.TempDir()
	src := source(t, "FROM program\nRUN --mount=type=secret,id=token [\"/program\", \"hang\"]\n", nil)
	killDuring(t, "build", world, src.Context, src.Contexts["program"])
	out := filepath.Join(world, "out")
	if left := names(t, out); len(left) != 1 || !strings.HasPrefix(left[0], ".image.") {
		t.Errorf("beside its output, the killed build left %q", left)
	}

	b := revive(t, world)
	write(t, src.Context, files{"Dockerfile": "FROM program\nRUN [\"/program\", \"write\", \"/made\", \"1\"]\n"})
	built := must(b.Build(t.Context(), hanging(src.Context, src.Contexts["program"]), filepath.Join(out, "image"), nil))
	equal(t, "file of the next build", contents(t, built.Image)["made"], "1")
	if left := names(t, out); !slices.Equal(left, []string{"image"}) {
		t.Errorf("beside its output, the next build left %q", left)
	}
}

func TestAKilledRunIsCleanedUp(t *testing.T) {
	t.Parallel()
	shared(t) // skips where containers cannot run
	world := t.TempDir()
	folder, digest, _ := strings.Cut(strings.TrimPrefix(reference(t, does(t, "hang")), "oci-layout://"), "@")
	killDuring(t, "run", world, folder, digest)
	b := revive(t, world)
	equal(t, "the next run", run(t, b, does(t, "print", "alive")).stdout, "alive\n")
}

// A live build is not taken for a dead one, neither by another builder nor by
// another build with the same output.
func TestALiveBuildIsNotCleanedUp(t *testing.T) {
	t.Parallel()
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
	running := leftovers(t, world)
	open(t, buildkit.Options{}) // cleans a state folder of its own only
	if now := leftovers(t, world); !slices.Equal(now, running) {
		t.Errorf("after another builder came up, %q is there of %q", now, running)
	}
	other := source(t, "FROM scratch\nCOPY file /\n", files{"file": "1"})
	must(b.Build(t.Context(), other, filepath.Join(world, "image"), nil))
	if found := names(t, world); len(found) != 3 {
		t.Errorf("beside the output: %q, want the unfinished build there", found)
	}
	cancel()
	wait(t, "the build's end", done)
}
