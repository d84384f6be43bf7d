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
		flag         int64
		environment  string
		files, image int64
	}{
		"nothing asked for": {0, "", buildkit.FixedEpoch().Unix(), 1_700_000_000},
		"by a flag":         {5, "7", 5, 5},
		"by a variable":     {0, "7", 7, 7},
		"zero":              {0, "0", 0, 0},
	} {
		o := Options{Epoch: c.flag, Getenv: environment(map[string]string{"SOURCE_DATE_EPOCH": c.environment})}
		got, err := o.FindTimes(commit)
		if err != nil || got.Files.Unix() != c.files || got.Image.Unix() != c.image {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, o := range map[string]Options{
		"flag --source-date-epoch":      {Epoch: -5, Getenv: environment(nil)},
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
		want           string
	}{
		"asked for":       {"1.0.0", "2.0.0", []string{"v3"}, "1.0.0"},
		"by the variable": {"", "2.0.0", []string{"v3"}, "2.0.0"},
		"of the tag":      {"", "", []string{"v3"}, "3"},
		"none":            {"", "", nil, ""},
	} {
		o := Options{Version: c.flag, Getenv: environment(map[string]string{"MRELEASE_VERSION": c.variable})}
		if got, err := o.FindVersion(Commit{Tags: c.tags}); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	o := Options{Getenv: environment(nil)}
	var wrong *VersionError
	if _, err := o.FindVersion(Commit{Tags: []string{"v1", "v2"}}); !errors.As(err, &wrong) {
		t.Errorf("two tags: %v", err)
	}
	var dirty *DirtyError
	if _, err := o.FindVersion(Commit{Tags: []string{"v1"}, Dirty: []string{"file"}}); !errors.As(err, &dirty) {
		t.Errorf("a changed file: %v", err)
	}
	if err := (Source{}).CheckVersion(); !errors.As(err, &wrong) {
		t.Errorf("no version: %v", err)
	}
}
