package source

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// world is a random repository with an app in it, checked out in one of the ways in
// which people do that, and changed since, perhaps.
type world struct {
	checkout
	rand   *rand.Rand
	told   []string // what was done, for the report of a failure
	native bool     // the bytes of the work tree can be compared with a fresh checkout
}

// newWorld makes one from a seed. The module is what submodules are clones of.
func newWorld(t *testing.T, seed uint64, module checkout) *world {
	w := &world{checkout: checkout{t, filepath.Join(t.TempDir(), "origin")}, rand: rand.New(rand.NewPCG(seed, 1)), native: true}
	w.do(os.Mkdir(w.dir, 0o755))
	w.git("init", "-q")
	w.write("Dockerfile", "FROM scratch\nCOPY . /\n")
	for _, name := range names() {
		w.write(name, w.content(name))
		if w.chance(4) {
			w.do(os.Chmod(w.path(name), 0o755))
		}
	}
	w.write(".gitattributes", w.some("*.txt text\n", "*.bat text eol=crlf\n", "*.bin filter=up\n", "*.md text=auto\n", "*.id ident\n", "*.dat -text\n", "src/*.txt eol=crlf\n", "*.bin -text\n"))
	w.write(".gitignore", w.one("", "*.log\n", "*\n!*.py\n!*.txt\n!*.bat\n!*.bin\n!*.md\n!*.id\n!*.dat\n!Dockerfile\n!.git*\n!.dockerignore\n!*/\n", "out/\n*.log\n!keep.log\n", "/src/*\n!/src/a.py\n"))
	w.write(".dockerignore", w.one("", "*\n!src\n", "docs\n**/*.md\n", "*\n!src\n!docs\nsrc/deep\n", "**/*.bin\n", "*\n!src/lib\n!src/a.py\n"))
	w.configure(w.one("core.autocrlf=false", "core.autocrlf=input", "core.eol=lf"))
	if w.chance(3) {
		w.git("-c", "protocol.file.allow=always", "submodule", "add", "-f", "-q", module.dir, w.one("src/lib", "docs/lib"))
	}
	w.git("add", "-f", ".")
	w.git("commit", "-q", "-m", "first")
	w.checkOut()
	for range w.rand.IntN(6) {
		w.change()
	}
	return w
}

func names() []string {
	return []string{
		"src/a.py", "src/b.txt", "src/run.bat", "src/data.bin", "src/deep/c.md", "src/deep/d.id", "src/deep/ü x.txt", "src/e.dat",
		"docs/f.md", "docs/g.txt", "docs/h.bin", "README.md", "top.txt",
	}
}

func (w *world) chance(n int) bool { return w.rand.IntN(n) == 0 }

func (w *world) one(of ...string) string { return of[w.rand.IntN(len(of))] }

func (w *world) some(of ...string) string {
	return strings.Join(slices.DeleteFunc(of, func(string) bool { return w.chance(2) }), "")
}

// content has lines with one kind of end, in capitals where the filter makes them.
func (w *world) content(name string) string {
	end := "\n"
	if strings.HasSuffix(name, ".dat") {
		end = w.one("\n", "\r\n")
	}
	text := fmt.Sprintf("line of %d%s$Id$%sthird%s", w.rand.IntN(1000), end, end, end)
	if strings.HasSuffix(name, ".bin") {
		return strings.ToLower(text)
	}
	return text
}

// configure sets what the user's own clone has: a filter as git-lfs is one, and more.
func (w *world) configure(pairs ...string) {
	w.told = append(w.told, pairs...)
	text := "[filter \"up\"]\n\tclean = tr a-z A-Z\n\tsmudge = tr A-Z a-z\n\trequired = true\n[core]\n"
	for _, pair := range pairs {
		text += strings.TrimPrefix(pair, "core.") + "\n"
	}
	f, err := os.OpenFile(filepath.Join(w.common(), "config"), os.O_WRONLY|os.O_APPEND, 0)
	w.do(err)
	_, err = f.WriteString(text)
	w.do(errors.Join(err, f.Close()))
}

// common is the folder of what all work trees of the repository share.
func (w *world) common() string {
	if info, err := os.Stat(w.path(".git")); err == nil && !info.IsDir() {
		return filepath.Join(filepath.Dir(w.dir), "origin", ".git")
	}
	return w.path(".git")
}

// checkOut gets the commit in another way than by making it.
func (w *world) checkOut() {
	origin, way := w.checkout, w.one("origin", "clone", "shared", "worktree", "sparse", "sparse by hand", "again")
	w.told = append(w.told, way)
	w.dir = filepath.Join(filepath.Dir(origin.dir), "work")
	setting := w.one("core.autocrlf=true", "core.autocrlf=input", "core.fileMode=false", "core.eol=crlf", "core.logAllRefUpdates=true")
	switch way {
	case "origin":
		w.dir, w.native = origin.dir, false // no git wrote its files
		return
	case "again":
		w.dir = origin.dir
		w.configure(setting)
		for _, name := range append(names(), "Dockerfile", ".dockerignore", ".gitignore", ".gitattributes") {
			w.do(os.Remove(w.path(name)))
		}
		w.git("checkout", "-q", "--", ".")
		return
	case "worktree":
		origin.git("worktree", "add", "-q", "--detach", "--no-checkout", w.dir)
	case "shared":
		origin.git("clone", "-q", "--shared", "--no-checkout", ".", w.dir)
	default:
		origin.git("clone", "-q", "--no-checkout", ".", w.dir)
	}
	w.configure(setting)
	switch way {
	case "sparse":
		w.git("sparse-checkout", "set", w.one("src", "docs", "src/deep"))
	case "sparse by hand":
		w.git("config", "core.sparseCheckout", "true")
		w.write(".git/info/sparse-checkout", "/*\n!/docs/\n!/src/b.txt\n")
	}
	w.git("checkout", "-q", "HEAD")
	if w.has(".gitmodules") && !w.chance(4) {
		w.git("-c", "protocol.file.allow=always", "submodule", "-q", "update", "--init")
	}
}

// change does something to the work tree, or to what git keeps of it.
func (w *world) change() {
	name := w.one(names()...)
	lib := w.one("src/lib", "docs/lib")
	kind := w.rand.IntN(20)
	w.told = append(w.told, fmt.Sprintf("%d of %s", kind, name))
	there, filtered := w.has(name), strings.HasSuffix(name, ".bin")
	switch {
	case kind == 0 && there:
		w.write(name, w.content(name)+"more\n")
	case kind == 1 && there: // of the same length
		w.write(name, strings.Replace(w.read(name), "third", "thirt", 1))
	case kind == 2 && there: // written anew
		w.write(name, w.read(name))
	case kind == 3 && there:
		w.do(os.Chmod(w.path(name), 0o755))
		w.native = w.native && w.git("config", "--default", "true", "core.fileMode") == "true\n"
	case kind == 4 && there:
		w.do(os.Remove(w.path(name)))
	case kind == 5:
		w.native = w.native && w.has(filepath.Dir(name)) // git knows no empty folders
		w.write(filepath.Join(filepath.Dir(name), "new.py"), "")
	case kind == 6:
		w.native = w.native && w.has(filepath.Dir(name)) // likewise
		w.write(filepath.Join(filepath.Dir(name), "other", "new.log"), "")
	case kind == 7 && there && !filtered: // staged, and taken back in the work tree
		text := w.read(name)
		w.write(name, text+"staged\n")
		w.git("add", "-f", "--", name)
		w.write(name, text)
	case kind == 8 && there && w.git("ls-files", "--", name) != "":
		w.git("update-index", "--assume-unchanged", name)
		w.write(name, w.read(name)+"hidden\n")
	case kind == 9 && there && w.git("ls-files", "--", name) != "":
		w.git("update-index", "--skip-worktree", name)
		w.write(name, w.read(name)+"hidden\n")
	case kind == 10 && there: // other ends of lines
		w.write(name, strings.ReplaceAll(w.read(name), "\r\n", "\n"))
		w.native = false
	case kind == 11 && there:
		w.do(os.Remove(w.path(name)))
		w.do(os.Symlink("a.py", w.path(name)))
	case kind == 12 && there && !filtered:
		w.git("rm", "-q", "-f", "--cached", "--", name)
	case kind == 13:
		w.do(os.WriteFile(filepath.Join(w.common(), "info/exclude"), []byte("new.py\n"), 0o644))
		w.write("src/new.py", "")
	case kind == 14 && w.has(lib+"/.git"):
		w.write(lib+"/lib.py", "changed\n")
	case kind == 15 && w.has(lib+"/.git"):
		w.in(lib).git("checkout", "-q", strings.TrimSpace(w.in(lib).git("rev-list", "--max-parents=0", "HEAD")))
	case kind == 16 && w.has(lib+"/.git"):
		w.write(lib+"/new.py", "")
	case kind == 17 && w.has(lib+"/.git"):
		w.in(lib).git("commit", "-q", "--allow-empty", "-m", "of the same files")
	case kind == 18 && w.has("src"):
		w.do(os.MkdirAll(w.path("src/nested"), 0o755))
		w.in("src/nested").git("init", "-q")
		w.write("src/nested/x.py", "")
	}
}

func (w *world) has(name string) bool { _, err := os.Lstat(w.path(name)); return err == nil }

func (w *world) read(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(w.path(name))
	if err != nil && w.has(name) {
		return "a link that leads to nothing\n"
	}
	w.do(err)
	return string(text)
}
