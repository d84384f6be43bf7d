//go:build unix

package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A named pipe in the place of a file of git's is named; neither git nor who reads without
// waits for a writer.
func TestAttackPipesInARepository(t *testing.T) {
	needGit(t)
	for _, file := range []string{".gitignore", "src/.gitattributes", ".git/HEAD", ".git/config", ".git/index", ".git/info/exclude", ".git/packed-refs", ".git/refs/tags/x", ".git/objects/aa/bb", ".git"} {
		for name, path := range map[string]string{"with git": os.Getenv("PATH"), "without": ""} {
			r := checkout{t, t.TempDir()}
			r.git("init", "-q")
			r.write("src/a.py", "1\n")
			r.git("add", ".")
			r.git("commit", "-q", "-m", "first")
			r.do(os.RemoveAll(r.path(file)))
			r.do(os.MkdirAll(filepath.Dir(r.path(file)), 0o755))
			r.do(syscall.Mkfifo(r.path(file), 0o600))
			o := options(r.dir)
			o.Getenv = environment(map[string]string{"PATH": path})
			ended := make(chan error, 1)
			go func() {
				_, err := o.ReadCommit(t.Context())
				ended <- err
			}()
			select {
			case err := <-ended:
				var g *GitError
				inTree := !strings.HasPrefix(file, ".git/") && file != ".git"
				if name == "without" && inTree && err == nil {
					continue // it is no file of that name, as the commit has none either
				}
				if !errors.As(err, &g) || g.Where != r.path(file) || !strings.Contains(g.Problem, "a named pipe") {
					t.Errorf("%s, %s: %v", file, name, err)
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s, %s: it waits", file, name)
			}
		}
	}
}
