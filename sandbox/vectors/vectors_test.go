package vectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/sandbox/world"
)

var (
	keep    = flag.String("keep", "", "folder to write the vectors to")
	program = flag.String("program", "../../bin/mrelease", "program that judges, with what runs it before it")
)

// Each vector ends as it must, by the program.
func TestVectors(t *testing.T) {
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := Make(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil { // a file is all that is asked
		t.Fatal(err)
	}
	dir := t.TempDir()
	if *keep != "" {
		dir = *keep
	}
	if err := made.Write(dir); err != nil {
		t.Fatal(err)
	}
	checkClauses(t, made, dir)
	t.Run("all", func(t *testing.T) {
		for _, v := range made.Vectors {
			t.Run(v.Name, func(t *testing.T) {
				t.Parallel()
				if got, text := judge(t, dir, v); got.Exit != v.Want.Exit || got.Code != v.Want.Code || !slices.Equal(got.Fails, v.Want.Fails) {
					t.Errorf("%s: %s: got %+v, want %+v\n%.1500s", v.Clause, v.Says, got, v.Want, text)
				}
			})
		}
	})
	if len(made.Vectors) <= 300 { // as the documents say
		t.Errorf("there are %d vectors", len(made.Vectors))
	}
}

// checkClauses makes sure that each vector is about a clause of docs/verify.md, and that it
// says there which clauses have none. It writes coverage.md beside the vectors.
func checkClauses(t *testing.T, made Made, dir string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/verify.md")
	if err != nil {
		t.Fatal(err)
	}
	var clauses []string
	for _, found := range regexp.MustCompile(`(?m)^- (\d+\.\d+) `).FindAllSubmatch(text, -1) {
		clauses = append(clauses, string(found[1]))
	}
	for _, v := range made.Vectors {
		if !slices.Contains(clauses, v.Clause) {
			t.Errorf("%s is about %s, which is no clause", v.Name, v.Clause)
		}
	}
	table, none := made.Coverage(clauses)
	if want := "No vector is about " + strings.Join(none, ", ") + ":"; !strings.Contains(string(text), want) {
		t.Errorf("docs/verify.md does not say: %s", want)
	}
	if err := os.WriteFile(filepath.Join(dir, "coverage.md"), []byte(table), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d vectors\n%s", len(made.Vectors), table)
}

// judge has the program verify a file.
func judge(t *testing.T, dir string, v Vector) (got Want, text string) {
	t.Helper()
	words := strings.Fields(*program)
	last := &words[len(words)-1]
	var err error
	if *last, err = filepath.Abs(*last); err != nil {
		t.Fatal(err)
	}
	words = append(words, "verify", "--json", "--config", Config, "--bundle", v.Name+".json")
	cmd := exec.CommandContext(t.Context(), words[0], append(words[1:], v.Args...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "WINEPREFIX=" + os.Getenv("WINEPREFIX"), "WINEDEBUG=-all"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got.Exit = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Code   string
		Checks []struct{ Name, State string }
	}
	if err := json.Unmarshal(stdout.Bytes(), &answer); err != nil {
		t.Fatalf("%v, exit code %d: %s%s", err, got.Exit, &stdout, &stderr)
	}
	got.Code = answer.Code
	for _, c := range answer.Checks {
		if c.State == "fails" {
			got.Fails = append(got.Fails, c.Name)
		}
	}
	return got, stderr.String()
}
