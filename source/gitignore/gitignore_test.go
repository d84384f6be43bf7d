package gitignore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/source/gitignore"
)

// What is ignored is what git's own program ignores: random ignore files over a tree of
// names that are much alike.
func TestIgnoredAsGitSays(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("comparing needs git")
		}
		t.Skip("comparing needs git")
	}
	r := rand.New(rand.NewPCG(7, 2))
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), git, args...)
		c.Dir, c.Env = dir, []string{"HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "XDG_CONFIG_HOME=" + dir, "LC_ALL=C"}
		out, err := c.Output()
		if err != nil {
			t.Fatal(args, err)
		}
		return string(out)
	}
	run("init", "-q")
	var files []string
	for _, folder := range []string{"", "src/", "src/a/", "src/a/b/", "a/", "a/a/", "a b/", "[x]/", "dist/"} {
		for _, name := range []string{"a", "b.py", "a.py", "a b", "x]", "[", "-", "#a", "!a", "ä", "A", "a ", "*", "a\v"} {
			if folder+name != "a" && folder+name != "a b" && folder+name != "src/a" && folder+name != "a/a" { // which are folders
				files = append(files, folder+name)
				write(t, filepath.Join(dir, folder+name), "")
			}
		}
	}
	decided := map[bool]int{}
	for i := range 200 {
		texts := map[string]string{"": ignoreFile(r, i), "src": "", "a": ""}
		for _, folder := range []string{"src", "a"} {
			if r.IntN(3) == 0 {
				texts[folder] = ignoreFile(r, -1)
			}
		}
		var p gitignore.Patterns
		for _, folder := range []string{"", "src", "a"} { // as they are met: those above first
			write(t, filepath.Join(dir, folder, ".gitignore"), texts[folder])
			p.Add(texts[folder], folder)
		}
		seen := strings.Split(strings.TrimSuffix(run("ls-files", "--others", "--exclude-standard", "-z"), "\x00"), "\x00")
		for _, file := range files {
			want := !slices.Contains(seen, file)
			decided[want]++
			if got := p.Match(file, false); got != want {
				t.Errorf("%q with %q: ignored %t, git says %t", file, texts, got, want)
			}
		}
		if t.Failed() {
			return
		}
	}
	if decided[true] < 2000 || decided[false] < 2000 {
		t.Errorf("the files are too much alike: %v", decided)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ignoreFile is a random one, after those that people write.
func ignoreFile(r *rand.Rand, i int) string {
	usual := []string{"*\n!src\n", "*\n!*/\n!src/**\n", "/*\n!/src\n", "*\n!.gitignore\n!src/\n!src/**\n", "**/a\n", "src/**/b.py\n!src/a\n", "a/**\n!a/a/\n", "# a\n\\#a\n\\!a\n", "a \na\\ \n", "\ufeffa\r\nb.py\r\n", "*.py\n!/a/*.py", "[!a]\n", "[[:alpha:]]*\n![^b]*\n", "*.\n*[[:space:]]\n"}
	if i >= 0 && i < len(usual) {
		return usual[i]
	}
	parts := []string{"a", "b.py", "src", "*", "**", "?", "/", "/", "[a-b]", "[!x]", "[]x]", "[[:punct:]]", "\\", "\\*", ".py", " ", "#", "!", "[", "x]", "**/", "/**", "[\\]-]", "[[:no:]]", "ä", "*a", "a*"}
	var b strings.Builder
	for range 1 + r.IntN(4) {
		if r.IntN(3) == 0 {
			b.WriteString("!")
		}
		for range 1 + r.IntN(4) {
			b.WriteString(parts[r.IntN(len(parts))])
		}
		if r.IntN(5) == 0 {
			b.WriteString("/")
		}
		b.WriteString([]string{"\n", "\n", "\n", "\r\n"}[r.IntN(4)])
	}
	return b.String()
}

// A pattern with many stars ends.
func TestAttackPatternWithManyStars(t *testing.T) {
	var p gitignore.Patterns
	p.Add(strings.Repeat("a*", 100)+"b\n"+strings.Repeat("**/a/", 100)+"b\n", "")
	if p.Match(strings.Repeat("a", 250), false) || p.Match(strings.Repeat("a/", 500)+"c", false) {
		t.Error("it fits")
	}
}

func ExamplePatterns() {
	var p gitignore.Patterns
	p.Add("*\n!*/\n!src/**\n", "")
	fmt.Println(p.Match("notes.txt", false), p.Match("src/app.py", false))
	// Output: true false
}
