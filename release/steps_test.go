package release

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

// Each step can be done, has a name of its own, and is in the list of DESIGN.md; a
// step that writes outside can be looked at, or another step's look sees what it
// writes.
func TestTheListOfSteps(t *testing.T) {
	design, err := os.ReadFile("../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := []string{"push", "record"} // push is seen with the inputs; the record is a file of this machine
	var names []string
	with := Release{Settings: settings.Settings{Canary: settings.Canary{Run: true}}}
	for _, s := range with.steps() {
		if s.do == nil || s.name == "" || slices.Contains(names, s.name) {
			t.Errorf("step %q cannot be done, or has the name of another", s.name)
		}
		names = append(names, s.name)
		if s.writes && s.look == nil && !slices.Contains(seen, s.name) {
			t.Errorf("step %s writes, and cannot be looked at", s.name)
		}
		if s.writes && s.tells {
			t.Errorf("step %s writes, and a dry run would not tell of it", s.name)
		}
		if !strings.Contains(string(design), "| "+s.name+" |") {
			t.Errorf("DESIGN.md does not list step %s", s.name)
		}
	}
	if len(with.looks()) < 9 {
		t.Errorf("a plan has %d looks", len(with.looks()))
	}
	if without := (Release{}).steps(); len(without) != len(names)-1 {
		t.Errorf("a release without a canary has %d steps, one with it %d", len(without), len(names))
	}
}
