//go:build linux && amd64

package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/containerd/containerd/v2/core/diff/apply"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/containerd/platforms"
	cachemetadata "github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/executor/resources"
	"github.com/moby/buildkit/executor/runcexecutor"
	"github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/buildkit/util/network/proxyprovider"
	"github.com/moby/buildkit/worker/base"
	"github.com/moby/buildkit/worker/label"
	"github.com/moby/sys/userns"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	bolt "go.etcd.io/bbolt"
)

// namespace is what BuildKit calls its part of containerd's stores.
const namespace = "buildkit"

// newWorker puts the parts of a runc worker together. BuildKit's own constructor
// would make an RSA key at each start, for a proxy that few builds use, and have
// each of the hundreds of changes that a build makes to its databases wait for
// the disk.
func (e *Engine) newWorker(ctx context.Context, root, runtime string, hosts docker.RegistryHosts) (*base.Worker, error) {
	kind := Layers(root)
	opt := base.WorkerOpt{
		Root:            filepath.Join(root, "runc-"+kind),
		Labels:          map[string]string{label.Executor: "oci", label.Snapshotter: kind, label.Network: "host", label.OCIProcessMode: oci.ProcessSandbox.String()},
		Platforms:       []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())},
		GCPolicy:        e.policy,
		BuildkitVersion: client.BuildkitVersion{Package: buildkitModule, Version: Version()},
		RegistryHosts:   hosts,
	}
	opt.MountPoolRoot = filepath.Join(opt.Root, "cachemounts")
	if err := os.MkdirAll(opt.Root, 0o700); err != nil {
		return nil, fmt.Errorf("configuring worker: %w", err)
	}
	var err error
	if opt.ID, err = base.ID(opt.Root); err != nil {
		return nil, fmt.Errorf("naming worker: %w", err)
	}
	if err := addExecutor(&opt, root, runtime); err != nil {
		return nil, err
	}
	if err := e.openStores(ctx, &opt, kind); err != nil {
		return nil, err
	}
	w, err := base.NewWorker(ctx, opt)
	if err != nil {
		return nil, fmt.Errorf("starting worker: %w", err)
	}
	return w, nil
}

// Layers says how an engine keeps an image's layers below a folder that exists:
// "overlayfs", or, where the kernel or the file system does not have it,
// "native", which copies every layer. Both give the same images.
func Layers(root string) string {
	if overlayutils.Supported(root) != nil {
		return "native"
	}
	return "overlayfs"
}

// newSnapshotter opens the layers in a folder.
func newSnapshotter(folder, kind string) (snapshots.Snapshotter, error) {
	if kind == "native" {
		return native.NewSnapshotter(folder)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	store, err := storage.NewMetaStore(filepath.Join(folder, "metadata.db"), func(o *bolt.Options) error {
		o.NoSync = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	return overlay.NewSnapshotter(folder, overlay.AsynchronousRemove, overlay.WithMetaStore(store))
}

// openStores opens what the worker keeps: layers, blobs, and what it knows of
// them.
func (e *Engine) openStores(ctx context.Context, opt *base.WorkerOpt, kind string) error {
	layers, err := newSnapshotter(filepath.Join(opt.Root, "snapshots"), kind)
	if err != nil {
		return fmt.Errorf("opening layers: %w", err)
	}
	e.layers = layers // BuildKit does not close it
	e.blobs = filepath.Join(opt.Root, "content", "blobs")
	blobs, err := local.NewStore(filepath.Dir(e.blobs))
	if err != nil {
		return fmt.Errorf("opening blobs: %w", err)
	}
	index, err := boltutil.Open(filepath.Join(opt.Root, "containerdmeta.db"), 0o644, databaseOptions())
	if err != nil {
		return fmt.Errorf("opening index of layers and blobs: %w", err)
	}
	opt.ContentMetadata = index
	known := metadata.NewDB(index, blobs, map[string]snapshots.Snapshotter{kind: layers})
	if err := known.Init(ctx); err != nil {
		return fmt.Errorf("opening index of layers and blobs: %w", err)
	}
	opt.Snapshotter = containerd.NewSnapshotter(kind, known.Snapshotter(kind), namespace, nil)
	opt.ContentStore = containerd.NewContentStore(known.ContentStore(), namespace)
	opt.Applier, opt.Differ = apply.NewFileSystemApplier(opt.ContentStore), walking.NewWalkingDiff(opt.ContentStore)
	opt.LeaseManager, opt.GarbageCollect = leaseutil.WithNamespace(metadata.NewLeaseManager(known), namespace), known.GarbageCollect
	if opt.MetadataStore, err = cachemetadata.NewStore(filepath.Join(opt.Root, "metadata_v2.db")); err != nil {
		return fmt.Errorf("opening cache metadata: %w", err)
	}
	return opt.MetadataStore.DB().View(func(tx *bolt.Tx) error {
		tx.DB().NoSync = true // the constructor takes no options
		return nil
	})
}

// addExecutor adds what runs steps: runc, on the host's network, without, or
// behind a proxy that records.
func addExecutor(opt *base.WorkerOpt, root, runtime string) (err error) {
	if opt.ResourceMonitor, err = resources.NewMonitor(); err != nil {
		return fmt.Errorf("watching resources: %w", err)
	}
	host := network.NewHostProvider()
	opt.NetworkProviders = map[pb.NetMode]network.Provider{pb.NetMode_UNSET: host, pb.NetMode_HOST: host, pb.NetMode_NONE: network.NewNoneProvider()}
	opt.ProxyProvider = &lazyProxy{opt: proxyprovider.Opt{
		Root: root, EgressProviders: map[pb.NetMode]network.Provider{pb.NetMode_UNSET: host, pb.NetMode_HOST: host},
	}}
	opt.Executor, err = runcexecutor.New(runcexecutor.Opt{
		Root:              filepath.Join(opt.Root, "executor"),
		CommandCandidates: []string{runtime},
		Rootless:          userns.RunningInUserNS(), // there are no control groups to be had
		ProcessMode:       oci.ProcessSandbox,
		ResourceMonitor:   opt.ResourceMonitor,
		ProxyProvider:     opt.ProxyProvider,
	}, opt.NetworkProviders)
	if err != nil {
		return fmt.Errorf("finding runtime: %w", err)
	}
	return nil
}

// lazyProxy is BuildKit's recording proxy, made when a build asks for it: it has
// a certificate authority of its own.
type lazyProxy struct {
	opt  proxyprovider.Opt
	lock sync.Mutex
	made network.ProxyProvider
}

// NewProxy implements network.ProxyProvider.
func (p *lazyProxy) NewProxy(ctx context.Context, cfg *network.ProxyConfig) (network.ProxyNamespace, error) {
	made, err := p.provider()
	if err != nil {
		return nil, fmt.Errorf("starting the recording proxy: %w", err)
	}
	return made.NewProxy(ctx, cfg)
}

func (p *lazyProxy) provider() (network.ProxyProvider, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.made != nil {
		return p.made, nil
	}
	var err error
	p.made, err = proxyprovider.New(p.opt)
	return p.made, err
}

// Close implements network.ProxyProvider.
func (p *lazyProxy) Close() error {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.made == nil {
		return nil
	}
	return p.made.Close()
}
