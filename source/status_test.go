package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Git's own program is the judge of what differs from the commit.
func TestDirtyFilesAreThoseOfGit(t *testing.T) {
	for name, change := range map[string]func(r checkout){
		"nothing":         func(checkout) {},
		"content":         func(r checkout) { r.write("app/src/app.py", "print(2)\n") },
		"same length":     func(r checkout) { r.write("app/src/app.py", "print(0)\n") },
		"mode":            func(r checkout) { r.do(os.Chmod(r.path("app/src/app.py"), 0o755)) },
		"mode of script":  func(r checkout) { r.do(os.Chmod(r.path("app/run.sh"), 0o644)) },
		"deleted":         func(r checkout) { r.do(os.Remove(r.path("app/run.sh"))) },
		"deleted folder":  func(r checkout) { r.do(os.RemoveAll(r.path("app/src"))) },
		"untracked":       func(r checkout) { r.write("app/new.txt", "") },
		"untracked below": func(r checkout) { r.write("app/lib/a/b.txt", "") },
		"ignored":         func(r checkout) { r.write("app/src/x.pyc", ""); r.write("app/out/deep/file", "") },
		"ignored by the folder's own": func(r checkout) {
			r.write("app/notes.tmp", "")
			r.write("app/keep.tmp", "")
			r.write("app/src/notes.tmp", "")
		},
		"ignored by this clone alone": func(r checkout) { r.write("app/private", "") },
		"tracked though ignored":      func(r checkout) { r.write("app/out/kept.txt", "2") },
		"beside the context":          func(r checkout) { r.write("other/file", "2"); r.write("new", "") },
		"link":                        func(r checkout) { r.do(os.Remove(r.path("app/link"))); r.do(os.Symlink("run.sh", r.path("app/link"))) },
		"link to file":                func(r checkout) { r.do(os.Remove(r.path("app/link"))); r.write("app/link", "src/app.py") },
		"file to folder":              func(r checkout) { r.do(os.Remove(r.path("app/run.sh"))); r.write("app/run.sh/x", "") },
		"another commit inside": func(r checkout) {
			r.write("app/sub/file", "2")
			r.in("app/sub").git("commit", "-q", "-a", "-m", "second")
		},
		"spaces and other letters": func(r checkout) { r.write("app/a b/ü.txt", "") },
		"gone":                     func(r checkout) { r.do(os.RemoveAll(r.path("app"))) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newCheckout(t)
			change(r)
			for _, folder := range []string{"app", ".", "app/src", "none"} {
				got, err := options(filepath.Join(r.dir, folder)).ReadCommit(t.Context())
				if _, missing := os.Lstat(r.path(folder)); missing != nil {
					if err != nil || got.Root != "" {
						t.Errorf("a folder that is not there: %v, %v", got, err)
					}
					continue
				}
				for i, file := range got.Dirty {
					if strings.HasPrefix(file, "app/sub/") { // git names a submodule as a whole
						got.Dirty[i] = "app/sub"
					}
				}
				if want := r.status(folder); err != nil || !slices.Equal(got.Dirty, want) {
					t.Errorf("%s: got %q, %v; git says %q", folder, got.Dirty, err, want)
				}
			}
		})
	}
}

type checkout struct {
	t   *testing.T
	dir string
}

// newCheckout makes one with an app, a file beside it, and a submodule.
func newCheckout(t *testing.T) checkout {
	t.Helper()
	needGit(t)
	r := checkout{t, t.TempDir()}
	r.git("init", "-q")
	r.write(".gitignore", "# comment\n*.pyc\nout/\n!unused\n")
	r.write("app/.gitignore", "*.tmp\n!keep.tmp\n")
	r.write(".git/info/exclude", "/app/private\n")
	r.write("app/src/app.py", "print(1)\n")
	r.write("app/run.sh", "#!/bin/sh\n")
	r.do(os.Chmod(r.path("app/run.sh"), 0o755))
	r.do(os.Symlink("src/app.py", r.path("app/link")))
	r.write("app/out/kept.txt", "1")
	r.write("other/file", "1")
	r.do(os.Mkdir(r.path("app/sub"), 0o755))
	r.in("app/sub").git("init", "-q")
	r.write("app/sub/file", "1")
	r.in("app/sub").git("add", ".")
	r.in("app/sub").git("commit", "-q", "-m", "sub")
	r.git("-c", "advice.addEmbeddedRepo=false", "add", ".")
	r.git("add", "-f", "app/out/kept.txt")
	r.git("commit", "-q", "-m", "first")
	return r
}

func (r checkout) in(folder string) checkout { return checkout{r.t, r.path(folder)} }

func (r checkout) path(name string) string { return filepath.Join(r.dir, name) }

func (r checkout) do(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r checkout) write(name, content string) {
	r.t.Helper()
	r.do(os.MkdirAll(filepath.Dir(r.path(name)), 0o755))
	r.do(os.WriteFile(r.path(name), []byte(content), 0o644))
}

func (r checkout) git(args ...string) string {
	r.t.Helper()
	return r.gitWith("", args...)
}

// gitWith runs git with an index of its own; empty stands for the repository's.
func (r checkout) gitWith(index string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if index != "" {
		cmd.Env = append(cmd.Env, "GIT_INDEX_FILE="+index)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return string(out)
}

// status lists what git finds changed; what is inside a submodule is its own.
func (r checkout) status(folder string) []string {
	r.t.Helper()
	var files []string
	for line := range strings.SplitSeq(r.git("status", "--porcelain", "-z", "-uall", "--no-renames", "--ignore-submodules=dirty", "--", folder), "\x00") {
		if len(line) > 3 {
			files = append(files, line[3:])
		}
	}
	slices.Sort(files)
	return files
}
