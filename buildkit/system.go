package buildkit

import (
	"fmt"
	"slices"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// notEmbedded says that the embedded builder does not run on a system, and what builds
// there.
func notEmbedded(goos, goarch string) *NoBuilderError {
	const daemon = "export BUILDKIT_HOST=tcp://HOST:PORT (a buildkitd on " + platform + ")"
	remedy := daemon
	switch goos {
	case "linux":
		remedy = "docker run --privileged --rm tonistiigi/binfmt --install amd64 (with a Docker engine that runs), or " + daemon
	case "darwin":
		remedy = `start Docker Desktop (or Colima) with containerd's image store, and export DOCKER_HOST="$(docker context inspect -f '{{.Endpoints.docker.Host}}')"; or ` + daemon
	case "windows":
		remedy = "start Docker Desktop with containerd's image store; or $env:BUILDKIT_HOST = \"tcp://HOST:PORT\" (a buildkitd on " + platform + "); or run mrelease in WSL"
	}
	return unusable(Embedded, fmt.Sprintf("it needs Linux on amd64, and this is %s on %s", goos, goarch), remedy)
}

// checkWorkers refuses a builder none of whose workers makes and runs images of the
// platform. Those of old daemons do not say what they make.
func checkWorkers(builder string, workers []*client.WorkerInfo) error {
	var made []string
	for _, w := range workers {
		for _, p := range w.Platforms {
			made = append(made, platforms.Format(ocispec.Platform{OS: p.OS, Architecture: p.Architecture}))
		}
	}
	if len(made) == 0 || slices.Contains(made, platform) {
		return nil
	}
	slices.Sort(made)
	return unusable(builder, fmt.Sprintf("it makes images for %s, and none for %s", slices.Compact(made), platform),
		"docker run --privileged --rm tonistiigi/binfmt --install amd64 (on the builder's machine, and start it again)")
}
