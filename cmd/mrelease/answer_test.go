package main

import (
	"cmp"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/page"
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
	outputs, err := page.Release{}.Outputs()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outputs {
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

// An input of the action is a flag, a key, or a variable of the program too, so that
// other systems have it; what is only about finding the program is listed. Each reaches
// the script, and none is part of it.
func TestActionInputs(t *testing.T) {
	text, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Inputs map[string]struct{ Description string }
		Runs   struct {
			Using string
			Steps []struct {
				Env       map[string]string
				Run, Uses string
			}
		}
	}
	if err := yaml.Unmarshal(text, &action); err != nil {
		t.Fatal(err)
	}
	if len(action.Inputs) == 0 || len(action.Inputs) > 20 || action.Runs.Using != "composite" || len(action.Runs.Steps) != 1 {
		t.Fatalf("%d inputs, %+v", len(action.Inputs), action.Runs)
	}
	root := newApp(func(string) string { return "" }, io.Discard, io.Discard).command()
	step, script := action.Runs.Steps[0], readScript(t)
	elsewhere := map[string]string{"binary": "", "download": "", "args": "", "record": "MRELEASE_RECORD=", "plan": `args+=(-- "$plan")`, "wallet-password": keys.WalletPassword + "=", "cosign-password": keys.CosignPassword + "="}
	for name, input := range action.Inputs {
		variable := "MRELEASE_INPUT_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if input.Description == "" || step.Env[variable] != "${{ inputs."+name+" }}" || !strings.Contains(script, variable) {
			t.Errorf("input %s: %+v, passed as %q", name, input, step.Env[variable])
		}
		as, listed := elsewhere[name]
		command := cmp.Or(map[string]string{"mode": "ci", "plan-hash": "apply"}[name], "release")
		c, _, err := root.Find([]string{command})
		if err != nil {
			t.Fatal(err)
		}
		if !listed && c.Flags().Lookup(name) == nil || !strings.Contains(script, as) {
			t.Errorf("input %s is no flag of mrelease %s", name, command)
		}
	}
	if step.Uses != "" || strings.Contains(step.Run, "${{") {
		t.Errorf("the step is %+v", step)
	}
}

func readScript(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("../../action/run.sh")
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}
