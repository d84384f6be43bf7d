//go:build unix

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mrelease/mrelease/cmd/usage"
)

// kinds are what may stand where a file is read.
func kinds() map[string]func(path string) error {
	return map[string]func(path string) error{
		"a named pipe":  func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a device":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"a folder":      func(path string) error { return os.Mkdir(path, 0o700) },
		"a loose link":  func(path string) error { return os.Symlink("nowhere", path) },
		"a loop":        func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"1 TB of zeros": func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
		"a socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				l.(*net.UnixListener).SetUnlinkOnClose(false)
				err = l.Close()
			}
			return err
		},
	}
}

// Whatever stands in the place of a file that is read, nothing waits for it, and what is
// said names it, or it does not matter.
func TestAttackFilesThatAreNone(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip("it needs git, as the folder is a repository: ", err)
	}
	keys, err := filepath.Abs("testdata/keys")
	if err != nil {
		t.Fatal(err)
	}
	check, any := []string{"check"}, slices.Sorted(func(yield func(string) bool) {
		for kind := range kinds() {
			if !yield(kind) {
				return
			}
		}
	})
	project := newProject(t, keys)
	for _, tt := range []struct {
		file     string
		args     []string
		harmless []string // kinds that nothing is to be said of
	}{
		{"mrelease.yaml", check, []string{"a loose link"}}, // as if there were none
		{"Dockerfile", check, nil},
		{".dockerignore", check, []string{"a loose link"}},
		{"Dockerfile.dockerignore", check, []string{"a loose link"}},
		{"cosign.key", check, nil},
		{"cosign.pub", check, []string{"a loose link"}},
		{"wallet.json", check, nil},
		{"app", check, []string{"a device", "a folder", "a loose link", "a loop", "1 TB of zeros"}},        // in the context
		{".gitignore", check, []string{"a folder", "a loose link", "a loop", "a socket", "1 TB of zeros"}}, // git says that
		{".gitattributes", check, []string{"a folder", "a loose link", "a loop", "a socket", "1 TB of zeros"}},
		{".gitmodules", check, []string{"a folder", "a loose link", "a loop", "a socket", "1 TB of zeros"}},
		{".git/HEAD", check, []string{"a folder", "a loose link", "a loop", "a socket", "1 TB of zeros"}}, // it is no repository then
		{".git/config", check, []string{"a loose link"}},
		{".git/info/exclude", check, []string{"a folder", "a loose link", "a loop", "a socket", "1 TB of zeros"}},
		{".git/refs/heads/x", check, any},
		{"enclave.lock", []string{"build"}, []string{"a loose link"}},
		{"record.json", []string{"verify", "record.json"}, nil},
		{"record.json", []string{"explain", "record.json", "x.lock"}, nil},
		{"record.json", []string{"accept", "record.json"}, nil},
		{"enclave.so", []string{"measure", "enclave.so"}, nil},
	} {
		for kind, stand := range kinds() {
			t.Run(strings.Join(tt.args, " ")+": "+tt.file+" is "+kind, func(t *testing.T) {
				dir := shortDir(t)
				if err := os.CopyFS(dir, os.DirFS(project)); err != nil {
					t.Fatal(err)
				}
				t.Chdir(dir)
				if err := os.RemoveAll(tt.file); err != nil {
					t.Fatal(err)
				}
				if err := stand(tt.file); err != nil {
					t.Fatal(err)
				}
				got := runWithin(t, 20*time.Second, tt.args)
				if slices.Contains(tt.harmless, kind) && got.code != usage.ExitUnexpected {
					return
				}
				if !slices.Contains([]int{2, 11, 12}, got.code) || !strings.Contains(got.stderr+got.stdout, filepath.Base(tt.file)) || strings.Contains(got.stderr, "goroutine") {
					t.Errorf("exit %d\n%s%s", got.code, got.stdout, got.stderr)
				}
			})
		}
	}
}

// newProject makes a folder with all that check reads, in a git repository.
func newProject(t *testing.T, keys string) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.CopyFS(dir, os.DirFS(keys)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mrelease.yaml": "image: localhost:1/hello\nchain: bellecour\nsign: {key: cosign.key}\nwallet: {keystore: wallet.json}\n",
		"Dockerfile":    "FROM scratch\nCOPY app /\nENTRYPOINT [\"/app\"]\n", ".dockerignore": "*.json\n*.key\n", ".gitignore": "*.json\n*.key\n", "app": "x", "kept": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "kept"}, {"-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", "x"}} {
		git := exec.CommandContext(t.Context(), "git", args...)
		git.Dir, git.Env = dir, append(os.Environ(), "HOME="+dir)
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

// shortDir is a folder whose path leaves room for the name of a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// runWithin runs the program, which must end by itself.
func runWithin(t *testing.T, limit time.Duration, args []string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		environment := map[string]string{"PATH": os.Getenv("PATH"), "SOURCE_DATE_EPOCH": "1"}
		ended <- run(t.Context(), args, func(name string) string { return environment[name] }, &stdout, &stderr)
	}()
	select {
	case code := <-ended:
		return ran{code, stdout.String(), stderr.String()}
	case <-time.After(limit):
		t.Fatalf("it waits: %s", stderr.String())
	}
	return ran{}
}
