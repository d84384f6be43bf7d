package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Change is a difference between two locks.
type Change struct {
	What     string `json:"what"` // a sentence, such as "heap 1G -> 2G"
	Old      string `json:"old"`  // empty: it was not there
	New      string `json:"new"`  // empty: it is not there any more
	Why      string `json:"why,omitempty"`
	Measured bool   `json:"measured"` // it is an input of the measurement, or the measurement
}

// String returns a line for people.
func (c Change) String() string {
	text := c.What
	if !strings.Contains(text, "->") {
		text += fmt.Sprintf(": %s -> %s", cmp.Or(c.Old, "none"), cmp.Or(c.New, "none"))
	}
	if c.Why != "" {
		text += " (" + c.Why + ")"
	}
	return text
}

// IsCause reports whether it is an input of the measurement, and no effect.
func (c Change) IsCause() bool { return c.Measured && c.What != measurementChanged }

// Drift returns what changed from one lock to another, causes before effects.
// What a lock does not know (an image from elsewhere does not say which bases it
// was made from) is not compared.
func Drift(older, newer Lock) []Change {
	var all []Change
	if len(older.Bases) > 0 && len(newer.Bases) > 0 {
		all = append(all, diff(older.Bases, newer.Bases, baseChange)...)
	}
	if len(older.Toolchains) > 0 && len(newer.Toolchains) > 0 {
		all = append(all, diff(older.Toolchains, newer.Toolchains, toolchainChange)...)
	}
	all = append(all, diff(known(older, newer), known(newer, older), settingChange)...)
	all = append(all, diff(older.Packages, newer.Packages, packageChange)...)
	all = append(all, diff(older.Program, newer.Program, fileChange)...)
	folders := diff(older.Folders, newer.Folders, fileChange)
	for i := range folders {
		folders[i].Why = folderReason(folders[i], all)
	}
	all = append(all, folders...)
	return append(all, results(older, newer, len(all) > 0)...)
}

// Foresee returns what will have changed from an accepted lock, of what can be seen
// before a build: seen holds the settings, bases and toolchains that are known then, and
// the measurement that an image states. What it does not hold is not compared.
func Foresee(accepted, seen Lock) []Change {
	all := diff(shared(accepted.Bases, seen.Bases), shared(seen.Bases, accepted.Bases), baseChange)
	if len(accepted.Toolchains) > 0 && len(seen.Toolchains) > 0 {
		all = append(all, diff(accepted.Toolchains, seen.Toolchains, toolchainChange)...)
	}
	all = append(all, diff(shared(accepted.Settings, seen.Settings), seen.Settings, settingChange)...)
	return append(all, results(accepted, Lock{MRENCLAVE: seen.MRENCLAVE}, len(all) > 0)...)
}

// shared returns the entries of a map whose keys another has too.
func shared(of, other map[string]string) map[string]string {
	both := maps.Clone(of)
	maps.DeleteFunc(both, func(key, _ string) bool {
		_, there := other[key]
		return !there
	})
	return both
}

// known returns the settings of a lock that another one would state too.
func known(l, other Lock) map[string]string {
	if l.Partial == other.Partial {
		return l.Settings
	}
	return shared(l.Settings, other.Settings)
}

// Measured returns the changes of a measurement or its inputs.
func Measured(changes []Change) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return !c.Measured })
}

// diff calls describe for each key whose values differ, in the order of keys.
func diff(older, newer map[string]string, describe func(key, old, now string) Change) []Change {
	keys := map[string]bool{}
	for _, m := range []map[string]string{older, newer} {
		for key := range m {
			keys[key] = true
		}
	}
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if old, now := older[key], newer[key]; old != now {
			c := describe(key, old, now)
			c.Old, c.New, c.Measured = old, now, true
			changes = append(changes, c)
		}
	}
	return changes
}

func baseChange(name, old, now string) Change {
	switch {
	case old == "":
		return Change{What: "base image " + name + " is new"}
	case now == "":
		return Change{What: "base image " + name + " is not used any more"}
	}
	return Change{What: "base image moved: " + name, Why: "the reference names another image now; build.bases in mrelease.yaml pins it"}
}

func toolchainChange(name, old, now string) Change {
	if old == "" || now == "" {
		return Change{What: "toolchain " + name, Why: "another toolchain seals"}
	}
	return Change{What: "toolchain moved: " + name, Why: "enclave.toolchain has another digest"}
}

func settingChange(name, old, now string) Change {
	return Change{What: fmt.Sprintf("%s %s -> %s", name, cmp.Or(old, "not set"), cmp.Or(now, "not set"))}
}

func packageChange(name, old, now string) Change {
	_, short, _ := strings.Cut(name, " ")
	return Change{What: fmt.Sprintf("package %s %s -> %s", cmp.Or(short, name), cmp.Or(old, "none"), cmp.Or(now, "none"))}
}

func fileChange(path, old, now string) Change {
	switch {
	case old == "":
		return Change{What: path + " is new"}
	case now == "":
		return Change{What: path + " is gone"}
	}
	return Change{What: path + " changed"}
}

// folderReason names what is known of the reasons for a folder's change.
func folderReason(folder Change, before []Change) string {
	path, _, _ := strings.Cut(folder.What, " ")
	var reasons []string
	for _, c := range before {
		file, _, _ := strings.Cut(c.What, " ")
		if strings.HasPrefix(c.What, "package ") || strings.HasPrefix(c.What, "base image ") || within(file, path) {
			reasons = append(reasons, c.What)
		}
	}
	switch n := len(reasons); {
	case n == 0:
		return "a file that the lock does not list"
	case n > 3:
		return fmt.Sprintf("%s, and %d more of the above", strings.Join(reasons[:3], ", "), n-3)
	}
	return strings.Join(reasons, ", ")
}

const measurementChanged = "MRENCLAVE changed"

// followsFromAbove is why an effect changed.
const followsFromAbove = "it follows from the changes above"

// results compares what follows from the inputs.
func results(older, newer Lock, explained bool) []Change {
	var all []Change
	if older.MRENCLAVE != nil && newer.MRENCLAVE != nil && *older.MRENCLAVE != *newer.MRENCLAVE {
		why := followsFromAbove
		if !explained {
			why = "nothing else that is locked changed: the app's own files are measured, or a tool does not give the same result twice"
		}
		all = append(all, Change{measurementChanged, older.MRENCLAVE.String(), newer.MRENCLAVE.String(), why, true})
	}
	if older.Unsealed != nil && newer.Unsealed != nil && *older.Unsealed != *newer.Unsealed {
		all = append(all, Change{"unsealed image changed", older.Unsealed.String(), newer.Unsealed.String(), "it changes with every commit", false})
	}
	return all
}

// DriftError says that what a release is measured from is not what was accepted.
type DriftError struct {
	File    string // of the lock
	Changes []Change
	Files   []string // what differs from the accepted image, when that could be had
	All     bool     // the evidence is all of it, not the causes alone
}

// Error names the first cause.
func (e *DriftError) Error() string {
	causes := e.causes()
	text := "the enclave is not the accepted one: " + causes[0].What
	if len(causes) > 1 {
		text += ", and " + counted(len(causes)-1, "more change", "more changes")
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// maxEvidence bounds the changes that are shown; enclave.lock has them all.
const maxEvidence = 20

// maxCauses is how many lines of causes are shown before the rest is folded.
const maxCauses = 3

// Evidence returns the causes, a line for each, and how much more there is; with All
// each change with both values and why, and what differs in the image.
func (e *DriftError) Evidence() [][2]string {
	facts := [][2]string{{"where", e.File}}
	shown := e.causes()
	if e.All {
		shown = e.Changes
	}
	most := maxCauses
	if e.All {
		most = maxEvidence
	}
	shown = shown[:min(most, len(shown))]
	for _, c := range shown {
		facts = append(facts, [2]string{"changed", c.String()})
	}
	if !e.All {
		return append(facts, e.folded(len(e.Changes)-len(shown))...)
	}
	if more := len(e.Changes) - len(shown); more > 0 {
		facts = append(facts, [2]string{"more", counted(more, "change", "changes")})
	}
	for _, line := range e.Files {
		facts = append(facts, [2]string{"in the image", line})
	}
	return facts
}

// causes are the changes that no other one explains.
func (e *DriftError) causes() []Change {
	found := slices.DeleteFunc(slices.Clone(e.Changes), func(c Change) bool { return c.Why == followsFromAbove })
	if len(found) == 0 {
		return e.Changes
	}
	return found
}

// folded tells how much is not shown.
func (e *DriftError) folded(changes int) [][2]string {
	var parts []string
	if changes > 0 {
		parts = append(parts, counted(changes, "change", "changes"))
	}
	if n := len(e.Files); n > 0 {
		parts = append(parts, counted(n, "difference in the image", "differences in the image"))
	}
	if len(parts) == 0 {
		return nil
	}
	return [][2]string{{"more", strings.Join(parts, " and ") + ": --all shows them"}}
}

// Check compares a release with the lock that was read from a file. Its error is
// a *DriftError.
func Check(file string, accepted, now Lock) error {
	if changes := Measured(Drift(accepted, now)); len(changes) > 0 {
		return &DriftError{File: file, Changes: changes}
	}
	return nil
}
