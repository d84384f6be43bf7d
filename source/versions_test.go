package source

import (
	"path/filepath"
	"slices"
	"testing"
)

// Who completes a version is offered what the tags name, and no tag that a release would
// refuse.
func TestVersionsOfTags(t *testing.T) {
	r := newCheckout(t)
	for _, tag := range []string{"v1.2.0", "v1.10.0", "v1.9.0", "latest", "release/2.0.0", "v"} {
		r.git("tag", tag)
	}
	got := options(filepath.Join(r.dir, "app")).Versions(t.Context())
	if want := []string{"1.10.0", "1.9.0", "1.2.0"}; !slices.Equal(got, want) {
		t.Errorf("versions %q, want %q", got, want)
	}
	without := Options{Getenv: func(string) string { return "" }}
	without.Settings.Build.Context = "."
	if got := without.Versions(t.Context()); got != nil {
		t.Errorf("without git: %q", got)
	}
}
