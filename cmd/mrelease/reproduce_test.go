//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/measure/diff"
)

// The tests of this file build with the real BuildKit.

// programSource is an enclave's program: in hash mode it prints what it would
// measure to, which depends on its heap.
const programSource = `package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == "write-time" {
		if err := os.WriteFile(os.Args[2], []byte(time.Now().UTC().String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv("SCONE_HASH") == "1" {
		sum := sha256.Sum256([]byte("heap " + os.Getenv("HEAP")))
		copy(sum[:], "SYNTHETIC")
		fmt.Printf("%x\n", sum)
	}
}
`

var compiled = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte(programSource), 0o600); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "program"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, "program"))
})

const (
	// plainDockerfile has what a umask would spoil: folders that the builder
	// makes, and a user who has to get into them.
	plainDockerfile = `FROM scratch
COPY program /program
WORKDIR /made/here
COPY src /app
COPY --chown=1000:1000 src/app.py /own/app.py
USER 1000:1000
RUN ["/program", "write-time", "/own/app.py"]
ENV HEAP=1G
ENTRYPOINT ["/program"]
`
	config5 = `build:
  context: app
enclave:
  format: json
  framework: SCONE
  version: v5.9
  entrypoint: /program
  heap: 1G
`
)

// app makes a project in a new working folder. The time that the plain
// Dockerfile would write down is left out unless it is asked for.
func project(t *testing.T, writesTime bool) {
	t.Helper()
	needBuilder(t)
	program, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	text := plainDockerfile
	if !writesTime {
		text = strings.Replace(text, `"write-time", "/own/app.py"`, `"nothing"`, 1)
	}
	put(t, map[string]string{"mrelease.yaml": config5, "app/Dockerfile": text, "app/program": string(program), "app/src/app.py": "print(1)", "app/src/sub/x": "x", "app/left/out": "1", "app/.dockerignore": "left\n.dockerignore\n"})
	if err := os.Symlink("app.py", "app/src/link"); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("app/program", 0o700); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// needBuilder skips a test that a user cannot run; CI can.
func needBuilder(t *testing.T) {
	t.Helper()
	_, err := exec.LookPath("runc")
	if _, sbin := os.Stat("/usr/sbin/runc"); err != nil && sbin != nil || os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("building needs root and runc")
		}
		t.Skip("building needs root and runc")
	}
}

// mrelease runs the program, as a process of its own, and returns what it printed.
func mrelease(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, story bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "mrelease", args...)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "MRELEASE_STATE=work/state", "GITHUB_ACTIONS=", "BUILDKIT_HOST=", "MRELEASE_BUILDER=")
	cmd.Stdout, cmd.Stderr = &out, &story
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	code = cmd.ProcessState.ExitCode()
	if testing.Verbose() {
		t.Logf("mrelease %s: exit %d\n%s%s", strings.Join(args, " "), code, out.String(), story.String())
	}
	if left, err := filepath.Glob("work/.cold-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return code, out.String(), story.String()
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(into); err != nil || dec.More() {
		t.Fatalf("%v, or more than one document:\n%s", err, text)
	}
}

func parts(a reproduceAnswer) string {
	var list []string
	for _, p := range a.Parts {
		list = append(list, p.Part+" "+string(p.Verdict))
	}
	return strings.Join(list, ", ")
}

func TestReproduce(t *testing.T) {
	project(t, false)
	// The engine must not make an image with the umask that there happens to be.
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	code, stdout, stderr := mrelease(t, "reproduce", "--json")
	var answer reproduceAnswer
	decode(t, stdout, &answer)
	if want := "config equal, manifest equal, MRENCLAVE equal"; code != 0 || !answer.Reproducible || parts(answer) != want || answer.Diff != nil {
		t.Errorf("exit %d, %s, want %s", code, parts(answer), want)
	}
	if strings.Count(stderr, "no enclave.lock") != 1 {
		t.Error("the missing lock is not told once")
	}
	if _, stdout, _ = mrelease(t, "reproduce"); strings.Count(stdout, " equal ") != 3 {
		t.Errorf("text:\n%s", stdout)
	}
}

func TestReproduceNamesWhatDiffers(t *testing.T) {
	project(t, true)
	code, stdout, stderr := mrelease(t, "reproduce", "--json")
	var answer reproduceAnswer
	decode(t, stdout, &answer)
	if want := "config different, manifest different, MRENCLAVE equal"; code != 10 || answer.Reproducible || parts(answer) != want {
		t.Errorf("exit %d, %s, want 10, %s", code, parts(answer), want)
	}
	changes := answer.Diff.Layers[0].Changes
	if len(answer.Diff.Layers) != 1 || len(changes) != 1 || changes[0].Path != "/own/app.py" || changes[0].Kind != diff.Content || !strings.HasPrefix(answer.Diff.Layers[0].CreatedBy, "RUN ") {
		t.Errorf("layers %+v", answer.Diff.Layers)
	}
	if !strings.Contains(stderr, "E-NOT-REPRODUCIBLE: the build is not reproducible: config, manifest differ") {
		t.Errorf("story:\n%s", stderr)
	}
}

func TestReproduceAgainst(t *testing.T) {
	project(t, false)
	if code, _, stderr := mrelease(t, "build"); code != 0 {
		t.Fatal(stderr)
	}
	code, stdout, _ := mrelease(t, "reproduce", "--against", "dist/image", "--json")
	var answer reproduceAnswer
	decode(t, stdout, &answer)
	if code != 0 || answer.Against != "dist/image" || len(answer.Parts) != 3 || !answer.Reproducible {
		t.Errorf("exit %d, %s", code, parts(answer))
	}
	put(t, map[string]string{"app/src/sub/x": "y"})
	code, stdout, stderr := mrelease(t, "reproduce", "--against", "dist/image")
	if code != 10 || !strings.Contains(stdout, "  /app/sub/x: content: 1 bytes, sha256 ") || !strings.Contains(stderr, "made from other inputs") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// What a killed run leaves, mounts among it, the next one removes.
func TestReproduceAfterAKill(t *testing.T) {
	project(t, false)
	cmd := exec.CommandContext(t.Context(), "mrelease", "reproduce", "--progress", "plain")
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "MRELEASE_STATE=work/state")
	story, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(story)
	for lines.Scan() && !strings.Contains(lines.Text(), "RUN") {
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("it ended before it was killed")
	}
	if left, err := filepath.Glob("work/.cold-*"); err != nil || len(left) != 1 {
		t.Fatalf("the killed run left %v, %v", left, err)
	}
	if code, _, stderr := mrelease(t, "reproduce"); code != 0 {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	work, err := filepath.Abs("work")
	if err != nil {
		t.Fatal(err)
	}
	if mounts, err := os.ReadFile("/proc/self/mountinfo"); err != nil || bytes.Contains(mounts, []byte(work)) {
		t.Errorf("mounts are left below %s, or %v", work, err)
	}
}

func TestReproduceRefuses(t *testing.T) {
	project(t, false)
	for _, args := range [][]string{{"--builder", "unix:///nowhere"}, {"--against", "ghcr.io/acme/hello:1.0.0"}} {
		if code, _, stderr := mrelease(t, append([]string{"reproduce"}, args...)...); code != 2 || !strings.Contains(stderr, "E-USAGE") {
			t.Errorf("%v: exit %d\n%s", args, code, stderr)
		}
	}
}

// A lock is written, holds, and tells what drifted.
func TestAccept(t *testing.T) {
	project(t, false)
	// The context is the folder of the configuration, in which the lock lies.
	config := strings.Replace(config5, "context: app", "context: .\n  dockerfile: app/Dockerfile", 1)
	dockerfile := strings.NewReplacer("COPY program", "COPY app/program", "src ", "app/src ", "src/", "app/src/", `"write-time", "/own/app.py"`, `"nothing"`).Replace(plainDockerfile) + "COPY *.lock /\n"
	put(t, map[string]string{".dockerignore": "*\n!app\n!*.lock\n", "mrelease.yaml": config, "app/Dockerfile": dockerfile, "other.lock": ""})

	code, stdout, stderr := mrelease(t, "accept")
	if code != 0 || stdout != "enclave.lock\n" {
		t.Fatalf("exit %d, %s\n%s", code, stdout, stderr)
	}
	first, err := os.ReadFile("enclave.lock")
	if err != nil || !strings.Contains(string(first), `"heap": "1G"`) || !strings.Contains(string(first), `"/program": "`) {
		t.Errorf("lock: %s, %v", first, err)
	}
	// The lock is no part of what it locks, wherever it lies.
	code, stdout, _ = mrelease(t, "accept", "--json")
	var answer acceptAnswer
	decode(t, stdout, &answer)
	if second, err := os.ReadFile("enclave.lock"); code != 0 || len(answer.Changes) > 0 || answer.Created || err != nil || !bytes.Equal(first, second) {
		t.Errorf("accepted again: exit %d, %+v, %v", code, answer, err)
	}
	if code, _, stderr := mrelease(t, "measure"); code != 0 {
		t.Errorf("measure: exit %d\n%s", code, stderr)
	}

	put(t, map[string]string{"app/Dockerfile": strings.Replace(dockerfile, "HEAP=1G", "HEAP=2G", 1), "mrelease.yaml": strings.Replace(config, "heap: 1G", "heap: 2G", 1)})
	code, stdout, _ = mrelease(t, "measure", "--json", "--all")
	var f failure
	decode(t, stdout, &f)
	changed := func(value string) bool {
		return slices.ContainsFunc(f.Evidence, func(e fact) bool { return strings.HasPrefix(e.Value, value) })
	}
	if code != 11 || f.Code != "E-ENCLAVE-DRIFT" || !changed("heap 1G -> 2G") || !changed("MRENCLAVE changed") || !strings.HasPrefix(f.Remedy, "mrelease accept") {
		t.Errorf("exit %d, %+v", code, f)
	}
	if code, _, stderr := mrelease(t, "accept", "dist/image"); code != 0 || !strings.Contains(stderr, "heap 1G -> 2G\n") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	if code, _, _ := mrelease(t, "measure"); code != 0 {
		t.Errorf("measure after accept: exit %d", code)
	}

	put(t, map[string]string{"enclave.lock": "<<<<<<< HEAD\n" + string(first)})
	if code, _, stderr := mrelease(t, "measure"); code != 2 || !strings.Contains(stderr, "enclave.lock:1") {
		t.Errorf("a broken lock: exit %d\n%s", code, stderr)
	}
}
