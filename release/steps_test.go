package release

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
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
	with := withAll()
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
	if without := (Release{}).steps(); len(without) != len(names)-6 {
		t.Errorf("a release of which nothing more is asked has %d steps, one of which all is asked %d", len(without), len(names))
	}
}

// withAll is a release with each step that has to be asked for.
func withAll() Release {
	return Release{
		Settings: settings.Settings{Canary: settings.Canary{Run: true}, Secret: settings.Secret{Env: "X"}, Project: ".", App: settings.App{ENS: "hello.apps.iexec.eth", Groups: settings.Addresses{{1}}}},
		Approved: &approval.Plan{},
	}
}

// Each step that writes makes a part, and no other does.
func TestThePartsOfARelease(t *testing.T) {
	written := map[string]bool{}
	for _, p := range parts() {
		written[p.step] = true
	}
	for _, s := range withAll().steps() {
		if s.writes != written[s.name] {
			t.Errorf("step %s writes: %t; it makes a part: %t", s.name, s.writes, written[s.name])
		}
	}
}

// A part is as the run knows it: done when its step was, begun when that failed.
func TestUnfinished(t *testing.T) {
	for name, tt := range map[string]struct {
		done  []string
		begun string
		at    string // the step that failed
		err   error
		want  string
	}{
		"before all":      {nil, "inputs", "inputs", errors.New("x"), "image not done, tag not done, signature not done, provenance not done, app not done, order not done, retired orders not done, record not done"},
		"ahead":           {nil, "register", "ahead", errors.New("x"), "image not done, tag not done, signature not done, provenance not done, app not done, order not done, retired orders not done, record not done"},
		"in the app":      {[]string{"push", "sign", "attest"}, "register", "register", errors.New("x"), "image done, tag done, signature done, provenance done, app begun, order not done, retired orders not done, record not done"},
		"gone in the end": {[]string{"push", "sign", "attest", "register", "offer", "retire", "record"}, "confirm", "confirm", &UnheldError{[]record.Check{{Name: "listing", Err: errors.New("x")}}}, "image done, tag done, signature done, provenance done, app done, order not done, retired orders done, record done"},
		"the end unheard": {[]string{"push", "sign", "attest", "register", "offer", "retire", "record"}, "confirm", "confirm", errors.New("x"), "image done, tag done, signature done, provenance done, app done, order done, retired orders done, record done"},
	} {
		r := &run{told: &memory{Teller: silent{}, done: tt.done, begun: tt.begun, evidence: map[string]string{}}}
		steps := Release{}.steps()
		at := slices.IndexFunc(steps, func(s step) bool { return s.name == tt.at })
		var e *UnfinishedError
		if !errors.As(r.unfinished(steps, at, tt.err), &e) || !errors.Is(e, tt.err) {
			t.Fatalf("%s: %v", name, e)
		}
		var got []string
		for _, p := range e.Parts {
			got = append(got, p.Name+" "+string(p.State))
		}
		if text := strings.Join(got, ", "); text != tt.want {
			t.Errorf("%s: got %s, want %s", name, text, tt.want)
		}
	}
}

// Of a version that can never be released nothing is promised, in whatever step that is
// found out; what was done stays so.
func TestUnfinishedForEver(t *testing.T) {
	taken := &registry.TakenError{}
	for why, err := range map[string]error{"revoked": &record.RevokedError{}, "taken": taken, "is taken": &TimeError{TakenError: taken}} {
		for at, s := range (Release{}).steps() {
			r := &run{told: &memory{Teller: silent{}, done: []string{"push"}, begun: s.name, evidence: map[string]string{}}}
			var e *UnfinishedError
			if !errors.As(r.unfinished(Release{}.steps(), at, err), &e) {
				t.Fatalf("%s: it is no unfinished release", s.name)
			}
			for _, p := range e.Parts {
				if text := p.String(); strings.Contains(text, "running again") || (p.State == PartDone) == strings.Contains(text, why) {
					t.Errorf("%s in step %s: %s is %s", why, s.name, p.Name, text)
				}
			}
		}
	}
	r := &run{told: &memory{Teller: silent{}}}
	var e *UnfinishedError
	if !errors.As(r.unfinished(Release{}.steps(), 0, errors.New("x")), &e) || !strings.Contains(e.Parts[0].String(), "running again") {
		t.Errorf("another error: %v", e.Parts)
	}
}
