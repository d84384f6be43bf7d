package source

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

var repositories = flag.Int("repositories", 60, "how many random repositories are judged")

// What is told of random repositories is what git's own program says of them, run in the
// user's way: with the repository's configuration, its filters and all that it asks for,
// and an index that knows nothing of the files. And where git wrote the files, it is what
// the bytes say: the inputs of a build are those of the commit's files, freshly written,
// if and only if the source is clean.
func TestRandomRepositoriesAreAsGitSays(t *testing.T) {
	module := newModule(t)
	var clean, native atomic.Int64
	t.Run("repositories", func(t *testing.T) {
		for seed := range uint64(*repositories) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed, module)
				if w.judge() {
					clean.Add(1)
				}
				if w.native {
					native.Add(1)
				}
			})
		}
	})
	all := int64(*repositories)
	t.Logf("%d repositories, of which %d are clean; the bytes of %d were compared", all, clean.Load(), native.Load())
	if clean.Load() < all/5 || clean.Load() > all*4/5 || native.Load() < all/3 {
		t.Error("the repositories are too much alike")
	}
}

// judge compares what is told of a repository with what it is.
func (w *world) judge() (clean bool) {
	got, err := options(w.dir).ReadCommit(w.t.Context())
	if err != nil {
		w.t.Fatalf("%q: %v: %v", w.told, err, err.(*GitError).Problem)
	}
	if len(got.Unjudged) > 0 { // the remedy lets git judge
		for _, name := range got.Unjudged {
			if !strings.HasPrefix(w.git("ls-files", "-t", "--", name), "S") { // git looks at none that is marked
				w.git("add", "--renormalize", "--", name)
			}
		}
		got, err = options(w.dir).ReadCommit(w.t.Context())
		w.do(err)
	}
	if want := w.differing(); !slices.Equal(got.Dirty, want) {
		w.t.Errorf("%q: got %q (not judged %q), git says %q", w.told, got.Dirty, got.Unjudged, want)
	}
	clean = len(got.Dirty) == 0
	if w.native {
		if same := w.inputs(w.dir) == w.inputs(w.fresh()); same != clean {
			w.t.Errorf("%q: got %q, but that the inputs are those of the commit is %t", w.told, got.Dirty, same)
		}
	}
	return clean
}

// options read the commit of a folder, with an environment of the test's own.
func options(dir string) Options {
	s := settings.Defaults()
	s.Build.Context = settings.Path(dir)
	return Options{Settings: s, Getenv: environment(map[string]string{"PATH": os.Getenv("PATH")})}
}

// newModule makes a repository with two commits.
func newModule(t *testing.T) checkout {
	t.Helper()
	needGit(t)
	m := checkout{t, filepath.Join(t.TempDir(), "module")}
	m.do(os.Mkdir(m.dir, 0o755))
	m.git("init", "-q")
	for _, text := range []string{"1\n", "2\n"} {
		m.write("lib.py", text)
		m.write("data/x.txt", "always the same\n")
		m.git("add", ".")
		m.git("commit", "-q", "-m", "lib")
	}
	return m
}

func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("comparing needs git")
		}
		t.Skip("comparing needs git")
	}
}

// indexed runs git with an index of its own, in which the commit is.
func (r checkout) indexed(index, commit string) func(args ...string) string {
	run := func(args ...string) string {
		r.t.Helper()
		return r.gitWith(index, args...)
	}
	left := map[string]bool{}
	for line := range strings.SplitSeq(r.git("ls-files", "-t", "-z"), "\x00") {
		if name, ok := strings.CutPrefix(line, "S "); ok {
			if _, err := os.Lstat(r.path(name)); err != nil {
				left[name] = true
			}
		}
	}
	run("read-tree", commit)
	for name := range left {
		run("update-index", "--skip-worktree", name)
	}
	return run
}

// modules are the submodules that are checked out, with the commits of the outer one.
func (r checkout) modules() map[string]string {
	found := map[string]string{}
	for line := range strings.SplitSeq(r.git("ls-tree", "-r", "-z", "HEAD"), "\x00") {
		entry, name, _ := strings.Cut(line, "\t")
		if parts := strings.Fields(entry); len(parts) == 3 && parts[1] == "commit" {
			if _, err := os.Lstat(r.path(name + "/.git")); err == nil {
				found[name] = parts[2]
			}
		}
	}
	return found
}

// differing are the files of which git says that they differ, and that go into the image.
func (w *world) differing() []string {
	found := w.listed(w.indexed(filepath.Join(w.t.TempDir(), "index"), "HEAD"), "")
	for name, commit := range w.modules() {
		in := w.in(name)
		found = append(found, in.listed(in.indexed(filepath.Join(w.t.TempDir(), "index"), commit), name+"/")...)
	}
	src := options(w.dir).build()
	found = slices.DeleteFunc(found, func(name string) bool {
		sent, err := src.Sends(w.path(strings.TrimSuffix(name, "/")))
		w.do(err)
		return !sent && name != "Dockerfile" && name != ".dockerignore"
	})
	for i, name := range found {
		if strings.HasSuffix(name, "nested/") { // a repository of which git looks at nothing
			found[i] = name + "x.py"
		}
	}
	slices.Sort(found)
	return found
}

func (r checkout) listed(git func(...string) string, prefix string) []string {
	var files []string
	for line := range strings.SplitSeq(git("status", "--porcelain", "-z", "-uall", "--no-renames", "--ignore-submodules=all"), "\x00") {
		if len(line) > 3 {
			files = append(files, prefix+line[3:])
		}
	}
	return files
}

// fresh writes the files of the commit anew, as git checks them out here.
func (w *world) fresh() string {
	dir := filepath.Join(w.t.TempDir(), "fresh")
	write := func(r checkout, commit, to string) {
		r.indexed(filepath.Join(w.t.TempDir(), "index"), commit)("checkout-index", "-q", "-a", "--prefix="+to+"/")
	}
	write(w.checkout, "HEAD", dir)
	for name, commit := range w.modules() {
		write(w.in(name), commit, filepath.Join(dir, name))
	}
	return dir
}

// inputs is the digest of all that goes into a build of a folder, without what git
// ignores in the work tree, and without .git.
func (w *world) inputs(dir string) string {
	src := options(dir).build()
	src.Ignore = append(src.Ignore, "**/.git")
	ignored := strings.Split(w.git("ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z"), "\x00")
	for _, name := range ignored {
		if name != "" {
			src.Ignore = append(src.Ignore, strings.TrimSuffix(name, "/"))
		}
	}
	digest, err := src.Digest(context.Background())
	w.do(err)
	return digest.String()
}
