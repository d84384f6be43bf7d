package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/ci"
)

// What the action passes on is what a release tells, by the same name: an output that is
// not declared is empty for the steps that use it.
func TestActionDeclaresTheOutputs(t *testing.T) {
	text, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Outputs map[string]struct{ Description, Value string }
	}
	if err := yaml.Unmarshal(text, &action); err != nil {
		t.Fatal(err)
	}
	told := map[string]ci.Output{}
	for _, o := range (releaseAnswer{}).outputs("") {
		told[o.Name] = o
	}
	for name, declared := range action.Outputs {
		if _, ok := told[name]; !ok || declared.Description == "" || declared.Value != "${{ steps.run.outputs."+name+" }}" {
			t.Errorf("the output %s is declared as %+v, and told: %t", name, declared, ok)
		}
		delete(told, name)
	}
	for name := range told {
		t.Errorf("the output %s is not declared", name)
	}
}

// The command in a job's summary is one that a user copies: with any name of a file it
// is that command, with that file.
func TestAttackCommandToCopy(t *testing.T) {
	for _, path := range []string{"dist/record.json", "a b", "a; echo evil", "$(echo evil)", "`echo evil`", "it's'", "a|b", "-x\\", "&& echo evil", "*"} {
		a := releaseAnswer{Version: "1.0.0", next: []string{"mrelease verify --config " + ci.Word(path) + " " + ci.Word(path)}}
		_, line, found := strings.Cut(a.summary(), "Verify it yourself: ")
		if !found {
			t.Fatal("the summary has no command")
		}
		command := strings.ReplaceAll(strings.Trim(line, "` \n"), `\|`, "|") // as markdown shows it
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "mrelease() { printf '%s\n' \"$@\"; }; "+command).Output()
		if want := "verify\n--config\n" + path + "\n" + path + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}
