package buildkit

import (
	"errors"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Each system is told what builds there: a command of its own shell's.
func TestNoEmbeddedBuilderSaysWhatBuilds(t *testing.T) {
	for system, want := range map[string]string{"linux/arm64": "binfmt", "darwin/arm64": "DOCKER_HOST", "windows/amd64": "$env:BUILDKIT_HOST", "freebsd/amd64": "export BUILDKIT_HOST"} {
		goos, goarch, _ := strings.Cut(system, "/")
		err := notEmbedded(goos, goarch)
		if !strings.Contains(err.Remedy(), want) || !strings.Contains(err.Remedy(), "BUILDKIT_HOST") || !strings.Contains(err.Error(), goos+" on "+goarch) {
			t.Errorf("%s: %v: %s", system, err, err.Remedy())
		}
	}
}

func TestBuilderOfOtherPlatformsIsRefused(t *testing.T) {
	worker := func(of ...ocispec.Platform) *client.WorkerInfo { return &client.WorkerInfo{Platforms: of} }
	arm, amd := ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, ocispec.Platform{OS: "linux", Architecture: "amd64", Variant: "v2"}
	for _, fine := range [][]*client.WorkerInfo{{worker(arm), worker(arm, amd)}, {worker()}, nil} {
		if err := checkWorkers(Docker, fine); err != nil {
			t.Error(err)
		}
	}
	err := checkWorkers(Docker, []*client.WorkerInfo{worker(arm)})
	var none *NoBuilderError
	if !errors.As(err, &none) || !strings.Contains(none.Attempts[0].Problem, "[linux/arm64], and none for linux/amd64") {
		t.Errorf("got %v", err)
	}
}
