//go:build linux && amd64

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/util/disk"
)

// collectTimeout bounds the garbage collection of Close. What is left is
// collected at the end of the next run.
const collectTimeout = 10 * time.Second

// gcPolicy is BuildKit's default policy, for a cache of at most limit bytes, or
// for the size of the disk when limit is zero.
func gcPolicy(root string, limit int64) ([]client.PruneInfo, error) {
	space, err := disk.GetDiskStat(root)
	if err != nil {
		return nil, fmt.Errorf("measuring disk: %w", err)
	}
	caps := config.DetectDefaultGCCap(space)
	if limit > 0 {
		caps = config.GCConfig{GCMaxUsedSpace: config.DiskSpace{Bytes: limit}}
	}
	var policy []client.PruneInfo
	for _, rule := range config.DefaultGCPolicy(caps, space) {
		policy = append(policy, client.PruneInfo{
			Filter:        rule.Filters,
			All:           rule.All,
			KeepDuration:  rule.KeepDuration.Duration,
			ReservedSpace: rule.ReservedSpace.AsBytes(space),
			MaxUsedSpace:  rule.MaxUsedSpace.AsBytes(space),
			MinFreeSpace:  rule.MinFreeSpace.AsBytes(space),
		})
	}
	return policy, nil
}

// collect applies the policy now. BuildKit by itself collects a second after a
// build and at most once a minute, so a process that ends with its build would
// never get there.
func (e *Engine) collect() error {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	for _, rule := range e.policy {
		err := e.client.Prune(ctx, nil, pruneRule(rule))
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("collecting garbage: %w", err)
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return nil
}

// pruneRule is a whole rule of a policy as one option.
type pruneRule client.PruneInfo

// SetPruneOption implements client.PruneOption.
func (r pruneRule) SetPruneOption(info *client.PruneInfo) { *info = client.PruneInfo(r) }
