package source

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// What another checkout may have otherwise is told, of the files that the image can
// depend on.
func TestVariations(t *testing.T) {
	r := newCheckout(t)
	r.write("app/.gitattributes", "*.bin filter=up\n*.lfs filter=lfs\n*.bat text eol=crlf\n*.raw filter=none\n")
	r.write("app/a.bin", "x\n")
	r.write("app/a.raw", "x\n")
	r.write("app/run.bat", "x\r\n")
	r.write("app/a.lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\nsize 6\n")
	r.write("app/notes.txt", "one\ntwo\n")
	r.write("app/.dockerignore", "hidden\n")
	r.write("app/hidden/a.bin", "x\n")
	r.git("add", ".")
	r.git("commit", "-q", "-m", "files")
	if got, err := options(r.path("app")).Variations(t.Context()); err != nil || fmt.Sprint(got) != "[{GitFilterUnset app/a.bin up} {LFSPointer app/a.lfs lfs} {GitFilterUnset app/a.raw none}]" {
		t.Errorf("%v, %v", got, err)
	}
	for _, pair := range [][2]string{{"filter.up.clean", "cat"}, {"core.autocrlf", "true"}, {"core.fileMode", "false"}} {
		r.git("config", pair[0], pair[1])
	}
	r.do(os.Remove(r.path("app/notes.txt")))
	r.git("checkout", "--", "app/notes.txt")
	r.do(os.Chmod(r.path("app/run.sh"), 0o644))
	r.write("app/out/x.log", "")
	r.do(os.RemoveAll(r.path("app/sub")))
	r.do(os.Mkdir(r.path("app/sub"), 0o755))
	want := []Variation{
		{FilterUsed, "app/a.bin", "up"}, {FilterMissing, "app/a.raw", "none"}, {Pointer, "app/a.lfs", "lfs"}, {LineEnds, "app/notes.txt", "core.autocrlf = true"},
		{FileMode, "app/run.sh", "core.fileMode = false"}, {Ignored, "app/out/x.log", ""}, {Submodule, "app/sub", ""},
	}
	got, err := options(r.path("app")).Variations(t.Context())
	for _, v := range want {
		if !slices.Contains(got, v) {
			t.Errorf("%v is not told", v)
		}
	}
	if err != nil || len(got) != len(want) {
		t.Errorf("%v, %v", got, err)
	}
}

// Two files, or two folders, that are one on macOS and Windows are told, once.
func TestNamesThatDifferInCase(t *testing.T) {
	r := checkout{t, t.TempDir()}
	needGit(t)
	r.git("init", "-q")
	for _, name := range []string{"Dockerfile", "a/readme", "a/README", "b/x", "B/y", "B/z", "c/readme"} {
		r.write(name, "")
	}
	r.git("add", ".")
	r.git("commit", "-q", "-m", "first")
	got, err := options(r.dir).Variations(t.Context())
	if want := "[{GitCaseClash a/readme a/README} {GitCaseClash b B}]"; err != nil || fmt.Sprint(got) != want {
		t.Errorf("got %v, %v, want %s", got, err, want)
	}
}

// A key that git tracks is found, with git's program and without.
func TestTracked(t *testing.T) {
	r := newCheckout(t)
	files := []string{r.path("app/run.sh"), r.path("app/out"), r.path("new.key"), r.path("app/none"), "/nonexistent/key"}
	r.write("new.key", "")
	r.do(os.RemoveAll(r.path("app/run.sh"))) // what was tracked is in the history
	for name, o := range map[string]Options{"git": options(r.dir), "no git": {Getenv: environment(nil)}} {
		got, err := o.Tracked(t.Context(), files)
		if err != nil || !slices.Equal(got, files[:2]) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		all, err := o.TrackedFiles(t.Context(), r.path("app"))
		if err != nil || !slices.Contains(all, r.path("app/run.sh")) || slices.Contains(all, r.path("new.key")) {
			t.Errorf("%s: all: %q, %v", name, all, err)
		}
		if none, err := o.TrackedFiles(t.Context(), t.TempDir()); err != nil || none != nil {
			t.Errorf("%s: outside a repository: %q, %v", name, none, err)
		}
	}
}

// Without git's program plain repositories are read as git reads them, and others are
// refused by name.
func TestWithoutGit(t *testing.T) {
	plain := func(t *testing.T) checkout {
		r := checkout{t, t.TempDir()}
		needGit(t)
		r.git("init", "-q")
		r.write("Dockerfile", "FROM scratch\n")
		r.write("src/a.py", "1\n")
		r.write(".gitignore", "*.log\n")
		r.git("add", ".")
		r.git("commit", "-q", "-m", "first")
		r.git("tag", "-a", "-m", "x", "v1")
		r.git("tag", "light")
		return r
	}
	for name, c := range map[string]struct {
		change func(r checkout)
		dirty  []string
		named  string // in the error; empty for none
	}{
		"clean":                        {func(checkout) {}, nil, ""},
		"changed":                      {func(r checkout) { r.write("src/a.py", "2\n") }, []string{"src/a.py"}, ""},
		"new, ignored":                 {func(r checkout) { r.write("src/b.py", ""); r.write("src/b.log", "") }, []string{"src/b.py"}, ""},
		"not in image":                 {func(r checkout) { r.write(".dockerignore", "docs\n"); r.write("docs/x", "") }, []string{".dockerignore"}, ""},
		"packed":                       {func(r checkout) { r.git("gc", "-q") }, nil, ""},
		"attributes, but none differs": {func(r checkout) { r.attributes() }, nil, ""},
		"line ends":                    {func(r checkout) { r.attributes(); r.write("src/a.py", "1\r\n") }, nil, ".gitattributes"},
		"sparse":                       {func(r checkout) { r.git("sparse-checkout", "set", "src") }, nil, "worktree"},
		"autocrlf":                     {func(r checkout) { r.git("config", "core.autocrlf", "true"); r.write("src/a.py", "1\r\n") }, nil, "core.autocrlf"},
		"modes":                        {func(r checkout) { r.git("config", "core.fileMode", "false"); r.do(os.Chmod(r.path("src/a.py"), 0o755)) }, nil, "core.fileMode"},
		"modes, but none differs":      {func(r checkout) { r.git("config", "core.fileMode", "false") }, nil, ""},
		"a submodule": {func(r checkout) {
			r.do(os.Mkdir(r.path("lib"), 0o755))
			r.in("lib").git("init", "-q")
			r.in("lib").git("commit", "-q", "--allow-empty", "-m", "x")
			r.git("-c", "advice.addEmbeddedRepo=false", "add", "lib")
			r.git("commit", "-qm", "x")
		}, nil, "submodule lib"},
		"only some are allowed": {func(r checkout) {
			r.write(".gitignore", "*\n!.gitignore\n!src\n!src/b.py\n")
			r.git("commit", "-qam", "allow")
			for _, name := range []string{"x", "src/b.py", "src/c.py", "docs/a.py"} {
				r.write(name, "")
			}
		}, []string{"src/b.py"}, ""},
		"ignored by the user": {func(r checkout) {
			r.write(".git/home/.config/git/ignore", "*.swp\n!keep.swp\n")
			r.write("src/a.swp", "")
			r.write("src/keep.swp", "")
		}, []string{"src/keep.swp"}, ""},
		"ignored by a file of the user's": {func(r checkout) {
			r.write(".git/home/.gitconfig", "[core]\n\texcludesFile = ~/mine\n")
			r.write(".git/home/mine", "/src/a.*\n/src/n*\n")
			r.write("src/new", "")
		}, nil, ""},
		"ignored by a file of this clone's": {func(r checkout) {
			r.write(".git/home/.gitconfig", "[core]\n\texcludesFile = ~/mine\n")
			r.write(".git/home/mine", "src/new\n")
			r.git("config", "core.excludesFile", r.path(".git/ours"))
			r.write(".git/ours", "src/old\n")
			r.write("src/new", "")
			r.write("src/old", "")
		}, []string{"src/new"}, ""},
		"ignored by a link": {func(r checkout) {
			r.write(".git/ours", "new\n")
			r.do(os.Symlink("../.git/ours", r.path("src/.gitignore")))
			r.write("src/new", "")
		}, []string{"src/.gitignore", "src/new"}, ""},
		"the user's line ends": {func(r checkout) {
			r.write(".git/home/.gitconfig", "[core]\n\tautocrlf = true\n")
			r.write("src/a.py", "1\r\n")
		}, nil, "core.autocrlf"},
		"the user's attributes": {func(r checkout) {
			r.write(".git/home/.config/git/attributes", "* text\n")
			r.write("src/a.py", "1\r\n")
		}, nil, "git/attributes"},
		"this clone's attributes":    {func(r checkout) { r.write(".git/info/attributes", "* text\n"); r.write("src/a.py", "1\r\n") }, nil, "info/attributes"},
		"a configuration in another": {func(r checkout) { r.write(".git/home/.gitconfig", "[include]\n\tpath = other\n") }, nil, "includes other files"},
		"letter case":                {func(r checkout) { r.git("config", "core.ignoreCase", "true"); r.write("src/A.LOG", "") }, nil, "core.ignoreCase"},
		"borrowed":                   {func(r checkout) { r.write(".git/objects/info/alternates", "/x\n") }, nil, "alternates"},
		"an extension":               {func(r checkout) { r.git("config", "extensions.refStorage", "reftable") }, nil, "refStorage"},
		"a linked folder":            {func(r checkout) { r.do(os.Rename(r.path(".git"), r.path("g"))); r.write(".git", "gitdir: g\n") }, nil, ".git is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			r := plain(t)
			c.change(r)
			home := map[string]string{"HOME": r.path(".git/home")}
			o := options(r.dir)
			o.Getenv = environment(map[string]string{"HOME": home["HOME"], "PATH": os.Getenv("PATH")})
			with, _ := o.ReadCommit(t.Context())
			o.Getenv = environment(home)
			got, err := o.ReadCommit(t.Context())
			if c.named != "" {
				if g, ok := err.(*GitError); !ok || !strings.Contains(g.Problem, c.named) || g.Remedy() != "install git" {
					t.Errorf("%+v, %v", got, err)
				}
				return
			}
			if err != nil || !slices.Equal(got.Dirty, c.dirty) || fmt.Sprint(got) != fmt.Sprint(with) || name == "clean" && !slices.Equal(got.Tags, []string{"light", "v1"}) {
				t.Errorf("got %+v, %v; with git %+v", got, err, with)
			}
		})
	}
}

// attributes commits some.
func (r checkout) attributes() {
	r.write(".gitattributes", "* text\n")
	r.git("add", ".")
	r.git("commit", "-qm", "attributes")
}
