package source

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/settings"
)

func environment(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// The image has the commit's time and files a constant, unless a time is asked for,
// by the flag rather than by the environment.
func TestTimes(t *testing.T) {
	commit := Commit{Hash: "c", Time: time.Unix(1_700_000_000, 0).UTC()}
	for name, c := range map[string]struct {
		flag         string
		environment  string
		files, image int64
	}{
		"nothing asked for": {"", "", buildkit.FixedEpoch().Unix(), 1_700_000_000},
		"by a flag":         {"5", "7", 5, 5},
		"by a variable":     {"", "7", 7, 7},
		"zero":              {"", "0", 0, 0},
		"zero by the flag":  {"0", "7", 0, 0},
	} {
		o := Options{Epoch: c.flag, Getenv: environment(map[string]string{"SOURCE_DATE_EPOCH": c.environment})}
		got, err := o.FindTimes(commit)
		if err != nil || got.Files.Unix() != c.files || got.Image.Unix() != c.image {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, o := range map[string]Options{
		"flag --source-date-epoch":      {Epoch: "-5", Getenv: environment(nil)},
		"environment SOURCE_DATE_EPOCH": {Getenv: environment(map[string]string{"SOURCE_DATE_EPOCH": "99999999999"})},
	} {
		var wrong *settings.Error
		if _, err := o.FindTimes(commit); !errors.As(err, &wrong) || wrong.Problems[0].Where != name || !strings.Contains(wrong.Problems[0].Text, "at most 8589934591") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (Options{Getenv: environment(nil)}).FindTimes(Commit{}); err == nil {
		t.Error("there is a time without a commit")
	}
}

func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		flag, variable string
		tags           []string
		want, asked    string
	}{
		"asked for":            {"1.0.0", "2.0.0", []string{"v3"}, "1.0.0", ""},
		"asked for with a v":   {"v1.0.0", "", nil, "1.0.0", "v1.0.0"},
		"by the variable":      {"", "2.0.0", []string{"v3"}, "2.0.0", ""},
		"of the tag":           {"", "", []string{"v3"}, "3", "v3"},
		"a word that has a v":  {"", "", []string{"vendored-1"}, "vendored-1", ""},
		"none":                 {"", "", nil, "", ""},
		"longer than a moving": {"latest-2", "", nil, "latest-2", ""},
	} {
		o := Options{Version: c.flag, Getenv: environment(map[string]string{"MRELEASE_VERSION": c.variable})}
		commit := Commit{Tags: c.tags}
		if got, err := o.FindVersion(commit); got != c.want || o.asked(commit) != c.asked || err != nil {
			t.Errorf("%s: %q of %q, %v", name, got, o.asked(commit), err)
		}
	}
	for version, next := range map[string]string{
		"1.0.0+build5": "--version 1.0.0-build5", "feature/x": "--version feature-x", "/": "--version 1.0.0",
		"latest": "--version 1.0.0", "Main": "--version 1.0.0", "nightly": "--version 1.0.0",
		"refs/tags/v1.0.0": "--version 1.0.0", "sha256-" + strings.Repeat("a", 64): "--version 1.0.0", "sha256-" + strings.Repeat("a", 64) + ".sig": "--version 1.0.0",
	} {
		var wrong *VersionError
		if _, err := (Options{Version: version, Getenv: environment(nil)}).FindVersion(Commit{}); !errors.As(err, &wrong) || !strings.Contains(wrong.Remedy(), next) {
			t.Errorf("%s: %v", version, err)
		}
	}
	var wrong *VersionError
	if _, err := (Options{Getenv: environment(nil)}).FindVersion(Commit{Tags: []string{"v1", "v2"}}); !errors.As(err, &wrong) {
		t.Errorf("two tags: %v", err)
	}
}

// What can be released is a version of a commit; anything else has to be allowed, and
// each thing that is missing is told at once.
func TestWhatCanBeReleased(t *testing.T) {
	commit := Commit{Hash: "c", Root: "/r", Tags: []string{"v1"}}
	dirty := commit
	dirty.Dirty = []string{"file"}
	for name, c := range map[string]struct {
		source Source
		want   string // of the error; empty for none
		remedy string
	}{
		"a commit":                  {Source{Version: "1", Commit: commit}, "", ""},
		"a changed file":            {Source{Version: "1", Commit: dirty}, "differs from the tag v1", "commit or stash"},
		"a changed file by version": {Source{Version: "2", Commit: dirty}, "differs from its commit", "--allow-dirty"},
		"allowed":                   {Source{Version: "2", Commit: dirty, AllowDirty: true}, "", ""},
		"no repository":             {Source{Version: "2"}, "no commit", "--commit COMMIT"},
		"nothing committed":         {Source{Version: "2", Commit: Commit{Root: "/r"}}, "no commit", "git commit"},
		"no repository, allowed":    {Source{Version: "2", AllowDirty: true}, "", ""},
		"no version":                {Source{Commit: Commit{Hash: "c", Root: "/r"}}, "no version", "git tag"},
		"neither":                   {Source{}, "no version, no commit", "--version 1.0.0 --commit COMMIT"},
	} {
		err := c.source.Check()
		var refused *StateError
		if c.want == "" && err != nil || c.want != "" && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || !strings.Contains(refused.Remedy(), c.remedy)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *StateError
	if _, err := (Options{Release: true, Getenv: environment(nil)}).FindTimes(Commit{}); !errors.As(err, &refused) || err.Error() != "the source has no version, no time, no commit" {
		t.Errorf("outside a repository: %v", err)
	}
}
