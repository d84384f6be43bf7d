package main

import (
	"os"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/ci"
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
