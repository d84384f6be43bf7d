//go:build cases

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/sandbox/registry"
)

// habitCase is a registry with habits, and how it is met by doctor, plan, release and
// verify, of which the first two write nothing.
type habitCase struct {
	habits string
	// How each ends, where the release is refused: with the cure, and before anything of
	// the image is pushed.
	doctor, plan, release string
	cure                  string // a regular expression
	layout                bool   // sign.layout: tags cures it
	again                 bool   // is looked at again, when the release is there
	says                  string // what doctor says; a regular expression
}

const (
	signatures = "20 E-REGISTRY-SIGNATURES"
	byAPI      = "has the referrers API"
	byTag      = "has no referrers API"
	unseen     = "cannot be seen before something is in the repository"
	setLayout  = "sign.layout: tags"
)

// habitCases has each habit that the sandbox's registry knows alone, and some that are
// met together.
func habitCases() []habitCase {
	var all []habitCase
	for _, habits := range []string{"quay", "artifactory", "gitlab", "charset", "nosub", "immutable", "stale", "stale-later", "busy", "pages"} {
		all = append(all, habitCase{habits: habits, says: byAPI})
	}
	for _, habits := range []string{"ref303", "ref400", "ref401", "ref403", "ref404", "ref405", "ref406", "ref501", "false200"} {
		all = append(all, habitCase{habits: habits, says: unseen})
	}
	for _, habits := range []string{"quay,pages,ref404,nosub", "artifactory,pages,immutable,ref406,nosub", "stale,stale-later,ref404,nosub"} {
		all = append(all, habitCase{habits: habits, says: unseen, again: strings.HasPrefix(habits, "stale")})
	}
	failing := habitCase{doctor: "20 E-REGISTRY", plan: "20 E-REGISTRY", release: "20 E-REGISTRY", cure: setLayout, layout: true}
	for _, habits := range []string{"ref500", "ref503"} {
		failing.habits = habits
		all = append(all, failing)
	}
	for _, habits := range []string{"nosubject", "noartifact", "empty200"} {
		all = append(all, habitCase{habits: habits, doctor: "0", plan: "0", release: signatures, cure: setLayout, layout: true, says: byAPI})
	}
	return append(all,
		habitCase{habits: "uncancelled", says: "begun and not cancelled"},
		habitCase{habits: "reader", doctor: "20 E-REGISTRY-LOGIN", plan: "0", release: "20 E-REGISTRY-LOGIN", cure: "as a user who may"})
}

// script is the case as a script.
func (c habitCase) script() string {
	var b strings.Builder
	run := func(what, ends string, args string) {
		fmt.Fprintf(&b, "case '%s: %s' '%s' %s\n", c.habits, what, ends, args)
	}
	const verify = "verify --config world.yaml dist/record.json"
	fmt.Fprintf(&b, "registry %s\n", c.habits)
	if c.release == "" {
		run("doctor", "0", "doctor")
		fmt.Fprintf(&b, "stdout '%s'\n", c.says)
		run("plan", "0", "plan --version 1.0.0")
		if c.habits != "uncancelled" {
			b.WriteString("registry unwritten\n")
		}
		run("release", "0", "release --version 1.0.0")
		run("verify", "0", verify)
		if c.again {
			run("release again", "0", "release --version 1.0.0")
			b.WriteString("stderr 'nothing was made'\n")
			run("doctor again", "0", "doctor")
			fmt.Fprintf(&b, "stdout '%s'\n", byTag)
		}
		return b.String()
	}
	run("doctor", c.doctor, "doctor")
	fmt.Fprintf(&b, "stdout '%s'\n", c.says)
	run("plan", c.plan, "plan --version 1.0.0")
	b.WriteString("registry unwritten\n")
	run("release", c.release, "release --version 1.0.0")
	fmt.Fprintf(&b, "stderr 'remedy .*%s'\nregistry untagged\n! exists dist/record.json\n", c.cure)
	if c.layout {
		b.WriteString("env MRELEASE_SIGN_LAYOUT=tags\n")
		run("doctor, cured", "0", "doctor")
		run("release, cured", "0", "release --version 1.0.0")
		run("verify, cured", "0", verify)
	}
	return b.String()
}

// writeHabitCases writes the scripts into a folder.
func writeHabitCases(t *testing.T, dir string) {
	t.Helper()
	alone := map[string]bool{}
	for _, c := range habitCases() {
		alone[c.habits] = true
		file := "habit-" + strings.ReplaceAll(c.habits, ",", "-") + ".txtar"
		if err := os.WriteFile(filepath.Join(dir, file), []byte(c.script()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if lacks := slices.DeleteFunc(registry.HabitNames(), func(name string) bool { return alone[name] }); len(lacks) > 0 {
		t.Errorf("no case has the habits %q", lacks)
	}
}
