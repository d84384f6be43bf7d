package ci_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/ci/citest"
	"github.com/mrelease/mrelease/printable"
)

func newWorld(t *testing.T) (r ci.Reporter, log *bytes.Buffer, w *printable.Writer, dir string) {
	t.Helper()
	dir, log = t.TempDir(), &bytes.Buffer{}
	w = printable.NewWriter(log)
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary")}
	return ci.New(func(name string) string { return env[name] }, w), log, w, dir
}

// words that a stranger would print, in the hope that the runner obeys.
func hostile() []string {
	return []string{
		"::add-mask::a\n", "  ::set-env name=PATH::/evil\n", "x\r::add-path::/evil\n", "##[add-mask]a\n", "text ##[set-output name=mrenclave]evil\n",
		"::stop-commands::x\n", "::endgroup::\n", "\u0085::error::x\n", "half a line ::", "::warning::\x1b[2J\n",
	}
}

func TestAttackCommandStream(t *testing.T) {
	r, log, w, _ := newWorld(t)
	show := func() {
		for _, text := range hostile() {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	end := r.Group("build")
	show()
	r.Mask("the secret")
	inner := r.Group("seal\n::evil::")
	show()
	inner()
	show()
	end()
	show()
	r.Failed("why ##[x]\n::error::evil\x1b[2J", nil)
	var got []string
	for _, c := range citest.Commands(log.String()) {
		if strings.HasPrefix(c, "add-mask ") {
			if c = "add-mask"; got[len(got)-1] == c {
				continue
			}
		}
		got = append(got, c)
	}
	want := []string{"group build", "add-mask", `group seal\n::evil::`, "endgroup", "endgroup", `error why #\#[x]%0A\::error::evil\x1b[2J`}
	if !slices.Equal(got, want) {
		t.Errorf("the runner obeys\n%q, want\n%q in\n%s", got, want, log)
	}
	// Even what went around the writer would not be obeyed within a group.
	if commands := citest.Commands("::stop-commands::w\n" + strings.Join(hostile(), "") + "\n::w::\n"); commands != nil {
		t.Errorf("the runner of this test obeys %q", commands)
	}
}

func TestStopWordsAreNeverTheSame(t *testing.T) {
	r, log, _, _ := newWorld(t)
	for range 50 {
		r.Group("a")()
	}
	words := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		if word, ok := strings.CutPrefix(line, "::stop-commands::"); ok {
			words[word] = true
			if len(word) < 20 {
				t.Errorf("the word %q can be guessed", word)
			}
		}
	}
	if len(words) != 50 {
		t.Errorf("%d words for 50 groups", len(words))
	}
}

func TestMasksOfDisguises(t *testing.T) {
	r, log, _, _ := newWorld(t)
	secret := "wallet password/4f1c"
	r.Mask(secret)
	r.Mask("abc")
	masks := citest.Commands(log.String())
	for _, want := range []string{secret, "wallet+password%252F4f1c", "wallet%2520password%252F4f1c", base64.RawStdEncoding.EncodeToString([]byte(secret))[:26], "abc"} {
		if !slices.Contains(masks, "add-mask "+want) {
			t.Errorf("no mask for %s among %q", want, masks)
		}
	}
}

// outputs reads a file of outputs as the runner does (FileCommandManager).
func outputs(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n"); len(lines) > 0; {
		name, delimiter, isLong := strings.Cut(lines[0], "<<")
		if !isLong {
			name, value, _ := strings.Cut(lines[0], "=")
			found[name], lines = value, lines[1:]
			continue
		}
		end := slices.Index(lines[1:], delimiter)
		if end < 0 {
			t.Fatalf("no %s after %s", delimiter, name)
		}
		found[name], lines = strings.Join(lines[1:1+end], "\n"), lines[end+2:]
	}
	return found
}

func listed(values map[string]string) (all []ci.Output) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all = append(all, ci.Output{Name: name, Value: values[name]})
	}
	return all
}

func TestAttackOutputs(t *testing.T) {
	r, _, _, dir := newWorld(t)
	want := map[string]string{
		"record-path": "dist/a\n_GitHubActionsFileCommandDelimeter_\nmrenclave=evil", "mrenclave": "53", "empty": "",
		"more": "ghadelimiter\nEOF\nmrenclave<<X\nevil\nX\n", "result-json": `{"a":"::x"}`,
	}
	if err := r.Outputs(listed(want)); err != nil {
		t.Fatal(err)
	}
	got := outputs(t, filepath.Join(dir, "output"))
	if len(got) != len(want) {
		t.Errorf("%d outputs, want %d: %q", len(got), len(want), got)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

// A problem's place becomes an annotation there, whatever its text and path.
func TestAttackAnnotations(t *testing.T) {
	workspace, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": filepath.Dir(workspace)}
	r := ci.New(func(name string) string { return env[name] }, printable.NewWriter(&log))
	many := []ci.At{
		{File: "mrelease.yaml", Line: 3, Column: 5, Text: "build.context: no such folder"},
		{File: filepath.Join(workspace, "a,b:c\n::error::.yaml"), Line: 1, Text: "bad\n::add-mask::x"},
		{File: "/etc/elsewhere.yaml", Text: "bad"},
	}
	r.Failed("the configuration has problems", append(many, make([]ci.At, 20)...))
	commands := citest.Commands(log.String())
	want := []string{
		"error the configuration has problems", "error file=ci/mrelease.yaml,line=3,col=5 build.context: no such folder",
		`error file=ci/a%2Cb%3Ac\n%3A%3Aerror%3A%3A.yaml,line=1 bad%0A\::add-mask::x`, "error file=/etc/elsewhere.yaml bad",
	}
	for i, c := range want {
		sorted := strings.NewReplacer("col=5,file=ci/mrelease.yaml,line=3", "file=ci/mrelease.yaml,line=3,col=5").Replace(commands[i])
		if sorted != c {
			t.Errorf("annotation %d is\n%q, want\n%q", i, sorted, c)
		}
	}
	if len(commands) != 10 {
		t.Errorf("%d annotations; GitHub shows 10", len(commands))
	}
}

// What cannot be told is an error, before anything is released and after.
func TestFilesThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	for _, variable := range []string{"GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"} {
		env := map[string]string{"GITHUB_ACTIONS": "true", variable: dir}
		r := ci.New(func(name string) string { return env[name] }, printable.NewWriter(&bytes.Buffer{}))
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), variable) {
			t.Errorf("%s: ready: %v", variable, err)
		}
		if err := errors.Join(r.Outputs([]ci.Output{{Name: "a", Value: "b"}}), r.Summary("a")); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", variable, err)
		}
	}
	r, _, _, _ := newWorld(t)
	if err := r.Ready(); err != nil {
		t.Error(err)
	}
}

func TestSummary(t *testing.T) {
	r, _, _, dir := newWorld(t)
	err := r.Summary("| a |\x1b[2J\n::error::evil")
	text, readErr := os.ReadFile(filepath.Join(dir, "summary"))
	err = errors.Join(err, readErr)
	if want := "| a |\\x1b[2J\n\\::error::evil\n"; err != nil || string(text) != want {
		t.Errorf("got %q, %v; want %q", text, err, want)
	}
}

// act throws a summary away, so it stands in the log too.
func TestSummaryWithAct(t *testing.T) {
	var log bytes.Buffer
	env := map[string]string{"GITHUB_ACTIONS": "true", "ACT": "true", "GITHUB_STEP_SUMMARY": filepath.Join(t.TempDir(), "summary")}
	r := ci.New(func(name string) string { return env[name] }, printable.NewWriter(&log))
	if err := r.Summary("### Released"); err != nil || log.String() != "### Released\n" {
		t.Errorf("%q, %v", log.String(), err)
	}
}
