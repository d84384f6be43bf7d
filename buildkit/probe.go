package buildkit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	runc "github.com/containerd/go-runc"
	"github.com/moby/buildkit/util/disk"

	"github.com/mrelease/mrelease/buildkit/engine"
	"github.com/mrelease/mrelease/buildkit/rootless"
)

// Health is what Probe found of a builder that can be used. All but its name is
// of the embedded one.
type Health struct {
	Builder string // as in Options.Builder
	Runtime string // runc's version
	Layers  string // how images are kept: "overlayfs", or "native", which copies every layer
	State   string // the folder of its cache
	Free    int64  // bytes left on the disk of that folder

	Rootless bool // it runs for a user who is not root

	Others []string  // of several daemons those that can be used too
	Lost   []Attempt // and those that cannot
}

// minFree is less than what any build and its cache take.
const minFree = 1 << 30

// Probe finds the builder that Open would give, without starting the embedded
// one: it does not wait for another build, and leaves no state. Its error is
// that of Open.
func Probe(ctx context.Context, opts Options) (Health, error) {
	if err := opts.Check(); err != nil {
		return Health{}, err
	}
	if len(opts.Remotes()) > 0 {
		return probeRemotes(ctx, opts)
	}
	if named := opts.Builder; named == Embedded || named == "" {
		health, err := probeEmbedded(ctx, opts)
		var none *NoBuilderError
		if named == Embedded || !errors.As(err, &none) {
			return health, err
		}
		opts.Builder = Docker
		if health, dockerErr := probeRemote(ctx, opts); dockerErr == nil {
			return health, nil
		} else if other := (*NoBuilderError)(nil); errors.As(dockerErr, &other) {
			return Health{}, &NoBuilderError{append(none.Attempts, other.Attempts...), none.Command}
		}
		return Health{}, err
	}
	return probeRemote(ctx, opts)
}

// probeRemotes asks all daemons at the same time. It is an error when none can be used.
func probeRemotes(ctx context.Context, opts Options) (Health, error) {
	all := opts.Remotes()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, r := range all {
		group.Go(func() {
			var b *Builder
			if b, errs[i] = openDaemon(ctx, opts, r); errs[i] == nil {
				errs[i] = b.Close()
			}
		})
	}
	group.Wait()
	var health Health
	var none NoBuilderError
	for i, err := range errs {
		switch lost, ok := errors.AsType[*NoBuilderError](err); {
		case ok:
			none.Attempts, none.Command = append(none.Attempts, lost.Attempts...), cmp.Or(none.Command, lost.Command)
		case err != nil:
			return Health{}, err
		case health.Builder == "":
			health.Builder = all[i].Address
		default:
			health.Others = append(health.Others, all[i].Address)
		}
	}
	if health.Lost = none.Attempts; health.Builder == "" {
		return Health{}, &none
	}
	return health, nil
}

func probeRemote(ctx context.Context, opts Options) (Health, error) {
	b, err := Open(ctx, opts)
	if err != nil {
		return Health{}, err
	}
	return Health{Builder: b.Name()}, b.Close()
}

func probeEmbedded(ctx context.Context, opts Options) (Health, error) {
	path, err := checkEmbedded(opts)
	if err != nil {
		return Health{}, err
	}
	version, err := (&runc.Runc{Command: path}).Version(ctx)
	if err != nil {
		return Health{}, unusable(Embedded, fmt.Sprintf("%s does not run: %v", path, err), "apt-get install --reinstall runc")
	}
	folder, err := existing(opts.State)
	if err != nil {
		return Health{}, err
	}
	space, err := disk.GetDiskStat(folder)
	if err != nil {
		return Health{}, fmt.Errorf("measuring disk: %w", err)
	}
	if space.Available < minFree {
		return Health{}, unusable(Embedded, fmt.Sprintf("only %d MB are free in %s", space.Available/1e6, opts.State), "mrelease … --state FOLDER (on a disk with room)")
	}
	health := Health{Builder: Embedded, Runtime: version.Runc, State: opts.State, Free: space.Available}
	if rootless.Privileged() {
		health.Layers = engine.Layers(folder)
		return health, nil
	}
	health.Rootless = true
	health.Layers, err = opts.launcher().Probe(ctx, folder)
	return health, unprivileged(err)
}

// existing returns the folder itself or the nearest one above it that is there.
func existing(folder string) (string, error) {
	for {
		_, err := os.Stat(folder)
		if err == nil {
			return folder, nil
		}
		if parent := filepath.Dir(folder); errors.Is(err, fs.ErrNotExist) && parent != folder {
			folder = parent
			continue
		}
		return "", fmt.Errorf("opening builder state: %w", err)
	}
}
