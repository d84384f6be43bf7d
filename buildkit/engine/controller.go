//go:build linux && amd64

package engine

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/cache/remotecache/local"
	"github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto" // the codec of BuildKit's messages
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

// newController puts BuildKit's parts together the way its daemon does, with
// one runc worker and the remote caches that need no cloud account.
func (e *Engine) newController(ctx context.Context, root string, opts Options) (*control.Controller, error) {
	hosts := registries(opts.Insecure)
	w, err := e.newWorker(ctx, root, opts.Runtime, hosts)
	if err != nil {
		return nil, err
	}
	workers := &worker.Controller{}
	if err := workers.Add(w); err != nil {
		return nil, fmt.Errorf("adding worker: %w", err)
	}
	sessions, err := session.NewManager()
	if err != nil {
		return nil, fmt.Errorf("creating session manager: %w", err)
	}
	opt := control.Opt{
		SessionManager:            sessions,
		WorkerController:          workers,
		ResolveCacheExporterFuncs: cacheExporters(sessions, hosts),
		ResolveCacheImporterFuncs: cacheImporters(sessions, w, hosts),
		LeaseManager:              w.LeaseManager(),
		ContentStore:              w.ContentStore(),
		GarbageCollect:            w.GarbageCollect,
		GracefulStop:              e.stopping,
		HistoryConfig:             noHistory(),
	}
	if opt.Frontends, err = frontends(workers); err != nil {
		return nil, err
	}
	if err := openDatabases(ctx, root, &opt); err != nil {
		return nil, err
	}
	return control.NewController(opt)
}

func frontends(workers *worker.Controller) (map[string]frontend.Frontend, error) {
	gw, err := gateway.NewGatewayFrontend(workers.Infos(), nil)
	if err != nil {
		return nil, fmt.Errorf("creating gateway frontend: %w", err)
	}
	return map[string]frontend.Frontend{
		"dockerfile.v0": forwarder.NewGatewayForwarder(workers.Infos(), dockerfile.Build),
		"gateway.v0":    gw,
	}, nil
}

func cacheExporters(sessions *session.Manager, hosts docker.RegistryHosts) map[string]remotecache.ResolveCacheExporterFunc {
	return map[string]remotecache.ResolveCacheExporterFunc{
		"registry": registry.ResolveCacheExporterFunc(sessions, hosts),
		"local":    local.ResolveCacheExporterFunc(sessions),
		"inline":   inline.ResolveCacheExporterFunc(),
	}
}

func cacheImporters(sessions *session.Manager, w *base.Worker, hosts docker.RegistryHosts) map[string]remotecache.ResolveCacheImporterFunc {
	return map[string]remotecache.ResolveCacheImporterFunc{
		"registry": registry.ResolveCacheImporterFunc(sessions, w.ContentStore(), hosts),
		"local":    local.ResolveCacheImporterFunc(sessions),
	}
}

// noHistory turns the record of past builds off: the state folder outlives the
// run, and what a build printed must not.
func noHistory() *config.HistoryConfig {
	none := int64(0)
	return &config.HistoryConfig{MaxEntries: &none}
}

func openDatabases(ctx context.Context, root string, opt *control.Opt) error {
	cache, err := bboltcachestorage.NewStore(filepath.Join(root, "cache.db"))
	if err != nil {
		return fmt.Errorf("opening cache index: %w", err)
	}
	history, err := boltutil.SafeOpen(filepath.Join(root, "history.db"), 0o600, databaseOptions())
	if err != nil {
		return fmt.Errorf("opening history: %w", err)
	}
	opt.CacheStore = cache
	opt.CacheManager = solver.NewCacheManager(ctx, "local", cache, worker.NewCacheResultStorage(opt.WorkerController))
	opt.HistoryDB = history
	return nil
}

func newServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcerrors.UnaryServerInterceptor),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
		grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	return server
}
