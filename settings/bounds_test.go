package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// read reads a configuration of one file, and returns what that took.
func read(t *testing.T, text string) (problems []Problem, memory uint64, took time.Duration) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mrelease.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	c := Read(Sources{Files: []string{file}, Getenv: func(string) string { return "" }})
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	return c.Problems, after.TotalAlloc - before.TotalAlloc, took
}

// units are what YAML can be made of; each is repeated up to the bound.
func units() []string {
	return []string{
		"[", "{", "- ", "? ", "a: ", "&a ", "!a ", "*a ", "\"", "'", "|\n", "{a: ", "[a, ", "- a\n", "a:\n", "- [", "[{", "? [", "#",
		"---\n", "\t", "a\n", "\\", "\"\\x", "%a\n", "!!map ", "<<: ", "[]", "a: b\n", "]", "}", ", ", ": ", "? a\n", "&a [", "- &a ",
		"&a {a: ", "!a [", "\r", "\r\n", " ", "\n", "\x00", "\xff", "a: [\n", "? - ", "- ? ", "{? ", "[? ", "é", ">\n ", "\"a\": ",
	}
}

func TestAttackConfigurationOfAUnitRepeated(t *testing.T) {
	const most = 50 << 20
	for _, unit := range units() {
		for _, before := range []string{"build: ", "build:\n  args: {"} {
			text := before + strings.Repeat(unit, (bounds.Config-len(before))/len(unit))
			if _, memory, took := read(t, text); memory > most || took > 5*time.Second {
				t.Errorf("%q and %q repeated: %d MB in %s, want at most %d MB", before, unit, memory>>20, took, most>>20)
			}
		}
	}
}

func TestAttackConfigurationNestedTooDeeply(t *testing.T) {
	flow := func(n int) string {
		return "build: {args: {a: " + strings.Repeat("[", n) + strings.Repeat("]", n) + "}}\n"
	}
	block := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%*sa:\n", i, "")
		}
		return b.String()
	}
	for name, nested := range map[string]func(int) string{
		"brackets": flow, "indents": block,
		"entries":  func(n int) string { return "build:\n  " + strings.Repeat("- ", n) + "a\n" },
		"anchors":  func(n int) string { return "build: " + strings.Repeat("&a [", n) + strings.Repeat("]", n) + "\n" },
		"mappings": func(n int) string { return "build: " + strings.Repeat("{a: ", n) + strings.Repeat("}", n) + "\n" },
	} {
		if problems, _, _ := read(t, nested(bounds.ConfigDepth+1)); len(problems) != 1 || !strings.Contains(problems[0].Text, "nested deeper than 32 levels") || !strings.Contains(problems[0].Where, "mrelease.yaml:") {
			t.Errorf("%s beyond the bound: %v", name, problems)
		}
		problems, _, _ := read(t, nested(bounds.ConfigDepth-6))
		for _, p := range problems {
			if strings.Contains(p.Text, "nested") {
				t.Errorf("%s within the bound: %v", name, problems)
			}
		}
	}
}

func TestAttackConfigurationOfAnySize(t *testing.T) {
	problems, memory, _ := read(t, strings.Repeat("#", bounds.Config+1))
	if len(problems) != 1 || problems[0].Text != "its size is above the bound of 64 KiB" || memory > 1<<20 {
		t.Errorf("got %v with %d KB of memory", problems, memory>>10)
	}
	if problems, _, _ := read(t, "image: localhost/a\n"+strings.Repeat("#", bounds.Config-20)); len(problems) != 0 {
		t.Errorf("at the bound: %v", problems)
	}
}

func TestAttackConfigurationOfUnknownKeys(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "a%d: b\n", i)
	}
	problems, _, _ := read(t, text.String())
	told := (&Error{Problems: problems}).Evidence()
	if len(problems) != 5000 || len(told) != maxTold+1 || told[maxTold] != [2]string{"and", "4900 more"} {
		t.Errorf("of %d problems %d are told, at last %v", len(problems), len(told), told[len(told)-1])
	}
}

// What looks deep, and is not.
func TestConfigurationsThatAreNotDeep(t *testing.T) {
	for name, text := range map[string]string{
		"brackets in a comment": "# " + strings.Repeat("[", 100) + "\nimage: localhost/a\n",
		"brackets in a text":    "build: {args: {a: \"" + strings.Repeat("[", 100) + "\"}}\n",
		"far to the right":      "build:\n" + strings.Repeat(" ", 100) + "args: {a: b}\n",
		"a long block of text":  "build:\n  args:\n    a: |\n" + strings.Repeat("      [[[[\n", 100),
		"many entries":          "order:\n  tag:\n" + strings.Repeat("  - tee\n", 1000),
	} {
		if problems, _, _ := read(t, text); len(problems) != 0 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, unit := range units() {
		f.Add("build: " + strings.Repeat(unit, 40))
	}
	template, err := os.ReadFile("template.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(template))
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > bounds.Config {
			return
		}
		// A byte in the text may be an unknown key, of which a line is told.
		if _, memory, _ := read(t, text); memory > 1<<20+uint64(len(text))<<12 {
			t.Errorf("%d bytes took %d KB", len(text), memory>>10)
		}
	})
}
