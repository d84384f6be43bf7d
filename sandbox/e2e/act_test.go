package e2e

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
)

// TestWorkflow runs the demo workflow as GitHub does, with act in host mode, in a
// clean copy of the source.
func TestWorkflow(t *testing.T) {
	t.Parallel()
	needBuilder(t)
	act, err := filepath.Abs("../../bin/act")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(act); err != nil {
		t.Fatalf("%v; build it with: make bin/act", err)
	}
	dir := copySource(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute) // of which most is compiling, the first time
	defer cancel()
	c := exec.CommandContext(ctx, act, "push") // .actrc has the rest
	c.Dir = dir
	c.Env = append(os.Environ(), "HOME="+t.TempDir(), "NO_COLOR=1")
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.CommandContext(ctx, "go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		c.Env = append(c.Env, name+"="+strings.TrimSpace(string(value)))
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkWorkflow(t, string(out))
}

// checkWorkflow looks for outputs, the summary, and the use of both by later
// steps.
func checkWorkflow(t *testing.T, log string) {
	t.Helper()
	for _, want := range []string{
		`set-output:: app-address=0x[0-9A-Fa-f]{40}\n`, `set-output:: order-hash=0x[0-9a-f]{64}\n`, `set-output:: digest=sha256:[0-9a-f]{64}\n`,
		`set-output:: mrenclave=53594e54[0-9a-f]{56}\n`, `set-output:: record-path=dist/record.json\n`, `set-output:: already-registered=false\n`,
		"### ✓ Released `hello-python` `1.0.0` on `sandbox`\n", `\| App \| .0x`, `Check it yourself:\n`, `mrelease verify (--config \S+ )+dist/record.json`,
		`set-output:: mrenclave-changed=\n`, `set-output:: summary-path=dist/summary.md\n`, `set-output:: config-digest=sha256:[0-9a-f]{64}\n`,
		`\| app 0x[0-9A-Fa-f]{40}, record dist/record.json\n`, `\| \{"schema":"mrelease.release/v1"`,
		`\| PASSED\n`, "### `PASSED`: `mrelease verify dist/record.json`\n", `Job succeeded`,
	} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("the log does not match %s", want)
		}
	}
	told := regexp.MustCompile(`(?m)^.*::set-env::.*$`).ReplaceAllString(log, "") // act shows what a step hands to the later ones
	for _, secret := range []string{"sandbox-wallet", "sandbox-cosign"} {
		if strings.Contains(told, secret) {
			t.Errorf("the secret %s was printed", secret)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// copySource copies what a checkout has, commits it, and adds what takes long to
// make and does not depend on the source.
func copySource(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	made := []string{"bin", "build", "dist", ".git", "sandbox/node_modules"}
	copyTree(t, "../..", dir, made)
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := commit(repo); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"build/base", "sandbox/node_modules"} {
		copyTree(t, filepath.Join("../..", part), filepath.Join(dir, part), nil)
	}
	return dir
}

// copyTree copies a folder but for some of its parts.
func copyTree(t *testing.T, from, to string, without []string) {
	t.Helper()
	skip := map[string]bool{}
	for _, part := range without {
		skip[filepath.Join(from, part)] = true
	}
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || skip[path] {
			if entry != nil && entry.IsDir() && err == nil {
				return fs.SkipDir
			}
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		return copyFile(path, target)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, data, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime()) // make compares them
}
