package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/sandbox/container"
)

// containers measures how long a release in the container image takes to its first line,
// which tells of the chain. The release ends soon after that: it has no password.
func containers(ctx context.Context, b *bench) ([]row, error) {
	bundle := filepath.Join(b.dir, "container")
	p, err := b.newProject()
	if err != nil {
		return nil, err
	}
	command, err := b.mrelease(ctx, p, filepath.Join(b.dir, "container-state"), fmt.Sprintf("image: %s/container\n", os.Getenv("SANDBOX_REGISTRY")), "release", "--version", p.version)
	if err != nil {
		return nil, err
	}
	if err := b.unpackContainer(ctx, bundle, p.dir, command.Args[1:]); err != nil {
		return nil, err
	}
	var first []cost
	for turn := range 2*b.runs + 1 {
		cmd := exec.CommandContext(ctx, "runc", "run", "--bundle", bundle, fmt.Sprintf("bench-%d-%d", os.Getpid(), turn))
		cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
		took, _, err := untilFirst(cmd)
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(err.Error(), "E-WALLET") {
			return nil, fmt.Errorf("releasing in a container without a password: %w", err)
		}
		if turn > 0 { // the first one warms caches
			first = append(first, took)
		}
	}
	r := row{Name: "container image: start to the first line", Unit: "s", Ours: times(first)}.atMost(0.5)
	r.Note = "by runc; an engine's own time comes on top"
	return []row{r}, nil
}

// unpackContainer makes a bundle of runc's of the image that make image-amd64 built, to run
// its entrypoint in a folder.
func (b *bench) unpackContainer(ctx context.Context, bundle, dir string, args []string) error {
	rootfs := filepath.Join(bundle, "rootfs")
	image, err := container.Unpack(ctx, b.path("build/image"), rootfs)
	if err != nil {
		return err
	}
	bind := func(path string) map[string]any {
		return map[string]any{"destination": path, "type": "bind", "source": path, "options": []string{"rbind"}}
	}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2", "root": map[string]any{"path": rootfs}, "hostname": "container",
		"mounts": []map[string]any{{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, bind("/etc/resolv.conf"), bind(b.dir), bind(os.Getenv("MRELEASE_SANDBOX")), bind(b.path("build/base"))},
		"linux":  map[string]any{"namespaces": []map[string]string{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}}, // the world is on this machine's loopback
		"process": map[string]any{
			"user": map[string]int{"uid": 0, "gid": 0}, "args": append(image.Entrypoint, args...), "cwd": dir,
			"env": append(image.Env, "COSIGN_PASSWORD="+os.Getenv("COSIGN_PASSWORD")),
		},
	})
	if err != nil {
		return fmt.Errorf("describing the container: %w", err)
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600)
}
