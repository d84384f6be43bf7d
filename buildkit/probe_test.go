package buildkit_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// A probe says what Open would, and leaves nothing behind.
func TestProbe(t *testing.T) {
	state := filepath.Join(t.TempDir(), "a", "state")
	for name, opts := range map[string]buildkit.Options{
		"no engine anywhere": {Builder: "unix:///nowhere/buildkitd.sock", State: state},
		"from the address":   {BuildKitHost: "unix:///nowhere/buildkitd.sock", State: state},
		"no Docker":          {Builder: buildkit.Docker, DockerHost: "unix:///nowhere/docker.sock", State: state},
	} {
		health, err := buildkit.Probe(t.Context(), opts)
		var none *buildkit.NoBuilderError
		if !errors.As(err, &none) || none.Command == "" {
			t.Errorf("%s: %+v, %v, want a NoBuilderError with a command", name, health, err)
		}
	}
	health, err := buildkit.Probe(t.Context(), buildkit.Options{Builder: buildkit.Embedded, State: state})
	var none *buildkit.NoBuilderError
	if errors.As(err, &none) {
		opened(t, nil, err) // neither root nor runc here: no test, but in CI
	}
	if err != nil || health.Runtime == "" || health.Free == 0 || health.Layers != "overlayfs" && health.Layers != "native" {
		t.Errorf("%+v, %v", health, err)
	}
	if _, err := os.Stat(state); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state folder was made: %v", err)
	}
}
