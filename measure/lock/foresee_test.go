package lock_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
)

// What is seen before a build is compared, and what is not known then is not.
func TestForesee(t *testing.T) {
	accepted := lock.Lock{
		MRENCLAVE:  &measure.MRENCLAVE{1},
		Settings:   map[string]string{"heap": "1G", "format": "legacy", "dlopen": "1"},
		Bases:      map[string]string{"python": "sha256:11", "debian:12": "sha256:22"},
		Toolchains: map[string]string{"scontain/tools": "sha256:33"},
	}
	for name, tt := range map[string]struct {
		seen lock.Lock
		want []string
	}{
		"nothing":           {},
		"equal":             {seen: lock.Lock{MRENCLAVE: &measure.MRENCLAVE{1}, Settings: map[string]string{"heap": "1G"}, Bases: map[string]string{"python": "sha256:11"}, Toolchains: accepted.Toolchains}},
		"heap":              {seen: lock.Lock{Settings: map[string]string{"heap": "2G", "format": "legacy"}}, want: []string{"heap 1G -> 2G"}},
		"a new setting":     {seen: lock.Lock{Settings: map[string]string{"stack": "1M"}}, want: []string{"stack not set -> 1M"}},
		"a base":            {seen: lock.Lock{Bases: map[string]string{"python": "sha256:44", "alpine": "sha256:55"}}, want: []string{"base image moved: python"}},
		"a toolchain":       {seen: lock.Lock{Toolchains: map[string]string{"scontain/tools": "sha256:44"}}, want: []string{"toolchain moved: scontain/tools"}},
		"another toolchain": {seen: lock.Lock{Toolchains: map[string]string{"acme/tools": "sha256:44"}}, want: []string{"toolchain acme/tools", "toolchain scontain/tools"}},
		"the measurement":   {seen: lock.Lock{MRENCLAVE: &measure.MRENCLAVE{2}}, want: []string{"MRENCLAVE changed"}},
	} {
		var got []string
		for _, c := range lock.Foresee(accepted, tt.seen) {
			got = append(got, c.What)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if changes := lock.Foresee(lock.Lock{}, lock.Lock{Toolchains: map[string]string{"a": "sha256:1"}}); len(changes) > 0 {
		t.Errorf("a lock that does not know its toolchain: %v", changes)
	}
}

// The cause comes first, in one line, and what follows from it is folded.
func TestDriftTellsTheCause(t *testing.T) {
	accepted := lock.Lock{MRENCLAVE: &measure.MRENCLAVE{1}, Settings: map[string]string{"heap": "1G"}}
	now := lock.Lock{MRENCLAVE: &measure.MRENCLAVE{2}, Settings: map[string]string{"heap": "2G"}}
	drift := lock.DriftError{File: "enclave.lock", Changes: lock.Measured(lock.Drift(accepted, now)), Files: []string{"history[2]", "mtime"}}
	if want := "the enclave is not the accepted one: heap 1G -> 2G"; drift.Error() != want {
		t.Errorf("%q, want %q", drift.Error(), want)
	}
	show := func() string {
		var lines []string
		for _, fact := range drift.Evidence() {
			lines = append(lines, fact[0]+" "+fact[1])
		}
		return strings.Join(lines, "\n")
	}
	if got, want := show(), "where enclave.lock\nchanged heap 1G -> 2G\nmore 1 change and 2 differences in the image: --all shows them"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	drift.All = true
	for _, part := range []string{"changed heap", "changed MRENCLAVE", "in the image history[2]", "in the image mtime"} {
		if !strings.Contains(show(), part) || strings.Contains(show(), "--all") {
			t.Errorf("all of it lacks %q:\n%s", part, show())
		}
	}
	// Where nothing explains the measurement, that is the line.
	alone := lock.DriftError{Changes: lock.Drift(accepted, lock.Lock{MRENCLAVE: now.MRENCLAVE, Settings: accepted.Settings})}
	if !strings.Contains(alone.Error(), "MRENCLAVE changed") || len(alone.Evidence()) != 2 {
		t.Errorf("%v: %q", &alone, alone.Evidence())
	}
	many := lock.DriftError{}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		many.Changes = append(many.Changes, lock.Change{What: name, Measured: true})
	}
	if got := many.Evidence(); len(got) != 5 || got[4][1] != "2 changes: --all shows them" || !strings.HasSuffix(many.Error(), "a, and 4 more changes") {
		t.Errorf("%v: %q", &many, got)
	}
}
