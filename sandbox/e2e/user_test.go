package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// ordinary makes a user who is not root for the rest of the script, which setpriv can
// run programs as, and gives it the script's folder, with a mrelease in it that it can
// reach:
//
//	ordinary NAME [USERADD-ARGUMENT...]
func ordinary(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: ordinary NAME [USERADD-ARGUMENT...]")
	}
	undo, err := makeUser(args[0], args[1:]...)
	ts.Check(err)
	ts.Defer(func() { ts.Check(undo()) })
	ts.Check(giveTo(args[0], s.dir))
	program, err := exec.LookPath(filepath.Join(strings.Split(ts.Getenv("PATH"), ":")[0], "mrelease"))
	ts.Check(err)
	if filepath.Dir(program) == filepath.Join(s.dir, "bin") {
		return
	}
	content, err := os.ReadFile(program)
	ts.Check(err)
	ts.Check(os.MkdirAll(filepath.Join(s.dir, "bin"), 0o755))
	ts.Check(os.WriteFile(filepath.Join(s.dir, "bin", "mrelease"), content, 0o755))
	ts.Setenv("PATH", filepath.Join(s.dir, "bin")+":"+ts.Getenv("PATH"))
}

// makeUser makes a user, by default with a range of subordinate ids.
func makeUser(name string, args ...string) (undo func() error, err error) {
	command := func(program string, args ...string) error {
		if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", program, err, out)
		}
		return nil
	}
	if _, err := user.Lookup(name); err == nil { // of a run that was killed
		if err := command("userdel", "--force", name); err != nil {
			return nil, err
		}
	}
	err = command("useradd", append(args, "--no-create-home", "--home-dir", "/nonexistent", name)...)
	return func() error { return command("userdel", "--force", name) }, err
}

// idsOf are a user's numbers.
func idsOf(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// giveTo makes a folder with all that is in it a user's, and lets it in.
func giveTo(name, dir string) error {
	ids, err := idsOf(name)
	if err != nil {
		return err
	}
	for above := filepath.Dir(dir); above != os.TempDir() && above != "/"; above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			return err
		}
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(ids.Uid), int(ids.Gid))
	})
}

// Of a builder whose user's program is killed nothing is left: no process, no mount,
// and no folder that the next build cannot use.
func TestRootlessBuilderEndsWithItsProgram(t *testing.T) {
	needBuilder(t)
	const name = "mrelease-killed"
	undo, err := makeUser(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	}()
	tools, dir := prepare(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "context"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"context/app": tools.app, "context/Dockerfile": "FROM scratch\nENV SCONE_HASH=1 MODE=hang\nCOPY --chown=11:12 app /app\nRUN [\"/app\"]\nENTRYPOINT [\"/app\"]\n",
		"mrelease": mustRead(t, filepath.Join(tools.dir, "mrelease")),
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := giveTo(name, dir); err != nil {
		t.Fatal(err)
	}
	ids, err := idsOf(name)
	if err != nil {
		t.Fatal(err)
	}
	build := func() *exec.Cmd {
		c := exec.Command(filepath.Join(dir, "mrelease"), "build", "--source-date-epoch", "1700000000", "--builder", "embedded", "--state", filepath.Join(dir, "state"))
		c.Dir, c.Env = filepath.Join(dir, "context"), []string{"PATH=" + os.Getenv("PATH")}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: ids}
		return c
	}
	killed := build()
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the step to run", func() bool { return len(processesOf(t, ids.Uid)) >= 4 }) // with the builder, runc, and the step's own
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // killed
	waitFor(t, "all to end", func() bool { return len(processesOf(t, ids.Uid)) == 0 })
	if mounts := mustRead(t, "/proc/mounts"); strings.Contains(mounts, dir) {
		t.Errorf("a mount is left:\n%s", mounts)
	}
	dockerfile := strings.Replace(mustRead(t, filepath.Join(dir, "context", "Dockerfile")), "hang", "hash", 1)
	if err := os.WriteFile(filepath.Join(dir, "context", "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := build().CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func waitFor(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !there(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// processesOf lists a user's processes.
func processesOf(t *testing.T, uid uint32) (ids []string) {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		info, err := os.Stat(folder)
		if err == nil && info.Sys().(*syscall.Stat_t).Uid == uid {
			ids = append(ids, filepath.Base(folder))
		}
	}
	return ids
}
