//go:build rebuild

package rebuild

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// host is in what two machines with the same checkout differ.
type host struct {
	path     string
	mtime    time.Time
	umask    fs.FileMode
	reversed bool // the order in which the files were made
	env      []string
}

func hosts() []host {
	return []host{
		{"a", time.Unix(1_000_000_000, 0), 0, false, []string{"TZ=UTC", "LANG=C"}},
		{"some/deeper/path", time.Unix(1_800_000_000, 0), 0, true, []string{"TZ=Asia/Tokyo", "LANG=de_DE.UTF-8"}},
		{"with a space", time.Unix(1_700_000_000, 0), 0o077, false, []string{"TZ=America/Lima", "LC_ALL=tr_TR.UTF-8"}},
		{"z", time.Unix(1, 0), 0o027, true, []string{"HOSTNAME=other", "USER=somebody"}},
		{"a-day-later", time.Now().Add(24 * time.Hour), 0o002, false, []string{"COLUMNS=40", "SHELL=/bin/false"}},
	}
}

// result is what must be the same.
type result struct{ Config, Digest, Unsealed, MRENCLAVE string }

func TestTwentyRebuilds(t *testing.T) {
	w := newWorkshop(t)
	var first result
	for i, h := range hosts() {
		checkout := w.checkout(t, h)
		builders := w.builders()
		if testing.Short() { // each host once, and each builder
			builders = builders[i%len(builders):][:1]
		}
		for _, b := range builders {
			t.Run(h.path+" by "+b.name, func(t *testing.T) {
				start := time.Now()
				got := b.build(t, checkout, h.env)
				t.Logf("%.1f s: manifest %s, MRENCLAVE %s", time.Since(start).Seconds(), got.Digest, got.MRENCLAVE)
				if first == (result{}) {
					first = got
				}
				if got != first {
					t.Errorf("got %+v, want %+v", got, first)
				}
			})
		}
	}
}

// workshop is what the builds have in common.
type workshop struct {
	t      *testing.T
	dir    string
	bin    string // where the ordinary user can run what is in it
	base   string // layout of the base image and the toolchain, for everybody to read
	person *user.User
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	dir, err := os.MkdirTemp("", "rebuild-*") // not t.TempDir: an ordinary user has to get in
	must(t, err)
	w := &workshop{t: t, dir: dir, person: ordinaryUser(t)}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755))
	w.bin, err = filepath.Abs("../../bin")
	must(t, err)
	w.base = filepath.Join(dir, "base")
	must(t, os.CopyFS(w.base, os.DirFS("../../build/base")))
	must(t, filepath.WalkDir(w.base, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o644)
	}))
	return w
}

// ordinaryUser makes a user with a range of subordinate ids.
func ordinaryUser(t *testing.T) *user.User {
	t.Helper()
	const name = "mrelease-rebuild"
	if _, err := user.Lookup(name); err != nil {
		run(t, exec.Command("useradd", "--create-home", name))
	}
	t.Cleanup(func() { run(t, exec.Command("userdel", "--remove", "--force", name)) })
	u, err := user.Lookup(name)
	must(t, err)
	return u
}

// checkout copies the example as the host would have it, and adds the file that
// names the base image.
func (w *workshop) checkout(t *testing.T, h host) string {
	t.Helper()
	const example = "../../examples/hello-binaryfs"
	dir := filepath.Join(w.dir, "hosts", h.path)
	var files []string
	must(t, filepath.WalkDir(example, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	if h.reversed {
		slices.Reverse(files)
	}
	for _, file := range files {
		name, err := filepath.Rel(example, file)
		must(t, err)
		w.copyFile(t, file, filepath.Join(dir, name), h)
	}
	must(t, os.WriteFile(filepath.Join(dir, "base.yaml"), []byte(w.baseConfig(t)), 0o644))
	must(t, w.give(filepath.Join(w.dir, "hosts")))
	return dir
}

// baseConfig names the base image and the toolchain.
func (w *workshop) baseConfig(t *testing.T) string {
	reference := "oci-layout://" + w.base + "@" + digestOf(t, w.base)
	return fmt.Sprintf("build:\n  contexts:\n    iexechub/python-scone: %q\nenclave:\n  toolchain: %q\n", reference, reference)
}

func (w *workshop) copyFile(t *testing.T, from, to string, h host) {
	t.Helper()
	content, err := os.ReadFile(from)
	must(t, err)
	must(t, os.MkdirAll(filepath.Dir(to), 0o755))
	must(t, os.WriteFile(to, content, 0o644))
	must(t, os.Chmod(to, 0o644&^h.umask))
	must(t, os.Chtimes(to, h.mtime, h.mtime))
}

// give makes a folder the ordinary user's; root reads it anyway.
func (w *workshop) give(dir string) error {
	uid, gid := w.ids()
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func (w *workshop) ids() (uid, gid int) {
	uid, err := strconv.Atoi(w.person.Uid)
	must(w.t, err)
	gid, err = strconv.Atoi(w.person.Gid)
	must(w.t, err)
	return uid, gid
}

func digestOf(t *testing.T, dir string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	return manifest.Manifests[0].Digest.String()
}

// builder is a way to run mrelease.
type builder struct {
	w        *workshop
	name     string
	daemon   bool // a buildkitd of its own, else embedded
	rootless bool
}

func (w *workshop) builders() []builder {
	return []builder{
		{w, "embedded", false, false}, {w, "buildkitd", true, false},
		{w, "embedded, rootless", false, true}, {w, "buildkitd, rootless", true, true},
	}
}

// build builds and measures from nothing.
func (b builder) build(t *testing.T, checkout string, env []string) result {
	t.Helper()
	work, err := os.MkdirTemp(b.w.dir, "work-*")
	must(t, err)
	must(t, b.w.give(work))
	args := []string{
		"--config", filepath.Join(checkout, "mrelease.yaml"), "--config", filepath.Join(checkout, "base.yaml"),
		"--state", filepath.Join(work, "state"), "--progress", "quiet", "--json",
	}
	if b.daemon {
		args = append(args, "--builder", b.startDaemon(t, work))
	}
	image := filepath.Join(work, "image")
	var got, measured result
	b.mrelease(t, env, work, &got, append([]string{"build", "--source-date-epoch", "1700000000", "-o", image}, args...)...)
	b.mrelease(t, env, work, &measured, append([]string{"measure", image}, args...)...)
	got.MRENCLAVE = measured.MRENCLAVE
	if got.MRENCLAVE == "" || got.Digest == "" {
		t.Fatalf("no result: %+v", got)
	}
	return got
}

func (b builder) mrelease(t *testing.T, env []string, work string, answer any, args ...string) {
	t.Helper()
	cmd := b.command(work, filepath.Join(b.w.bin, "mrelease"), args...)
	if b.daemon { // the client is an ordinary process of root's
		cmd = exec.Command(filepath.Join(b.w.bin, "mrelease"), args...)
		cmd.Dir, cmd.Env = work, os.Environ()
	}
	cmd.Env = append(cmd.Env, env...)
	must(t, json.Unmarshal(run(t, cmd), answer))
}

// command runs a program, as the ordinary user when that is asked for. The daemon is
// put into a user namespace then; mrelease does that itself.
func (b builder) command(work, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = os.Environ()
	if b.rootless {
		if b.daemon {
			cmd = exec.Command(filepath.Join(b.w.bin, "rootlesskit"), append([]string{"--net=host", program}, args...)...)
		}
		uid, gid := b.w.ids()
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
		cmd.Env = []string{"HOME=" + work, "XDG_RUNTIME_DIR=" + work, "USER=" + b.w.person.Username, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
	}
	cmd.Dir = work
	return cmd
}

// startDaemon starts a buildkitd and returns its address.
func (b builder) startDaemon(t *testing.T, work string) string {
	t.Helper()
	socket := filepath.Join(work, "buildkitd.sock")
	args := []string{"--root", filepath.Join(work, "daemon"), "--addr", "unix://" + socket, "--containerd-worker=false"}
	if b.rootless {
		args = append(args, "--rootless")
	}
	cmd := b.command(work, filepath.Join(b.w.bin, "buildkitd"), args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // an interrupted daemon has no exit code to look at
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			return "unix://" + socket
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("buildkitd did not start")
	return ""
}

func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, stderr.String())
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
