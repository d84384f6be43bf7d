package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/moby/buildkit/client"
	docker "github.com/moby/moby/client"
)

// snapshotterLabel is on the workers of engines that keep images as containerd
// does. The others have no OCI exporter.
const snapshotterLabel = "org.mobyproject.buildkit.worker.snapshotter"

// openDocker connects to the BuildKit inside a Docker engine, which serves it
// on two paths of its API: /grpc and, for what the client offers, /session.
func openDocker(ctx context.Context, opts Options) (*Builder, error) {
	host := opts.DockerHost
	if host == "" {
		host = docker.DefaultDockerHost
	}
	const check = "docker info"
	api, err := docker.New(docker.WithHost(host))
	if err != nil {
		return nil, unusable(Docker, err.Error(), check)
	}
	c, err := client.New(ctx, "passthrough:///docker",
		client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return api.DialHijack(ctx, "/grpc", "h2c", nil)
		}),
		client.WithSessionDialer(func(ctx context.Context, proto string, meta map[string][]string) (net.Conn, error) {
			return api.DialHijack(ctx, "/session", proto, meta)
		}))
	if err != nil {
		return nil, errors.Join(unusable(Docker, err.Error(), check), api.Close())
	}
	b, err := newRemote(Docker, c, opts, api)
	if err != nil {
		return nil, err
	}
	if err := b.checkEngine(ctx, host); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// checkEngine refuses an engine that does not answer or cannot export layouts.
func (b *Builder) checkEngine(ctx context.Context, host string) error {
	workers, err := b.workers(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return unusable(Docker, fmt.Sprintf("the engine at %s does not answer: %v", host, err), "docker info")
	}
	for _, w := range workers {
		if w.Labels[snapshotterLabel] != "" {
			return checkWorkers(Docker, workers)
		}
	}
	return unusable(Docker, fmt.Sprintf("the engine at %s cannot export OCI layouts: it does not use containerd's image store", host),
		`docker info -f '{{.DriverStatus}}' (turn on "containerd-snapshotter" in /etc/docker/daemon.json, or containerd's image store in the settings of Docker Desktop; Docker 24 or newer)`)
}
