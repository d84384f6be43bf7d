package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	poolBuilders = 4
	poolApps     = 100
	waiting      = "4" // seconds of each build, for the builders share this machine's processors
)

// pools builds many apps over four builders, one at a time on each, beside a quarter of them
// on one builder, and again with one builder killed in the middle.
func pools(ctx context.Context, b *bench) (rows []row, err error) {
	apps := max(int(poolApps*b.scale), poolBuilders) / poolBuilders * poolBuilders
	quarter, err := b.pooled(ctx, apps/poolBuilders, 1, 0)
	if err != nil {
		return nil, err
	}
	all, err := b.pooled(ctx, apps, poolBuilders, 0)
	if err != nil {
		return nil, err
	}
	killed, err := b.pooled(ctx, apps, poolBuilders, all.Wall/2)
	if err != nil {
		return nil, fmt.Errorf("with one builder killed: %w", err)
	}
	name := fmt.Sprintf("%d apps over %d builders", apps, poolBuilders)
	over := row{Name: name, Unit: "s", Ours: times([]cost{all}), Theirs: times([]cost{quarter})}
	over.Ratio = over.Theirs.Median / over.Ours.Median
	over.Note = fmt.Sprintf("others: a quarter of them on one builder; a builder makes one build at a time, of which %s s are a step that waits", waiting)
	lost := row{Name: name + ", one killed in the middle", Unit: "s", Ours: times([]cost{killed})}
	lost.Note = "all were built"
	return []row{over.atMostTimes(1.2), lost}, nil
}

// pooled builds apps with so many new builders, which have built one before. After some
// time, unless that is 0, one is killed.
func (b *bench) pooled(ctx context.Context, apps, builders int, killAfter time.Duration) (c cost, err error) {
	var all []*daemon
	defer func() {
		for i, d := range all {
			err = errors.Join(err, d.stop(), os.RemoveAll(b.poolDaemon(i)))
		}
	}()
	var list strings.Builder
	for i := range builders {
		d, err := b.startDaemon(ctx, b.poolDaemon(i))
		if err != nil {
			return c, err
		}
		all = append(all, d)
		entry := fmt.Sprintf("{address: %q, builds: 1}", d.address)
		fmt.Fprintf(&list, "  - %s\n", entry)
		if _, err := b.builtBy(ctx, "builders: ["+entry+"]\n", 1, nil); err != nil {
			return c, err
		}
	}
	return b.builtBy(ctx, "builders:\n"+list.String(), apps, func() (stop func()) {
		if killAfter == 0 {
			return func() {}
		}
		timer := time.AfterFunc(killAfter, func() { _ = all[0].process.Process.Signal(syscall.SIGKILL) })
		return func() { timer.Stop() }
	})
}

func (b *bench) poolDaemon(i int) string { return filepath.Join(b.dir, fmt.Sprintf("pool-%d", i)) }

// builtBy builds new apps by the builders that settings name. Something may go on meanwhile.
func (b *bench) builtBy(ctx context.Context, settings string, apps int, meanwhile func() (stop func())) (c cost, err error) {
	f := &fleet{b, filepath.Join(b.dir, "pool-state")}
	p, cmd, err := f.command(ctx, apps, "build")
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	for i := range apps {
		file := filepath.Join(p.app(i).dir, "Dockerfile")
		text := "FROM iexechub/python-scone\nCOPY src /app\nRUN sleep " + waiting + "\nENTRYPOINT [\"python3\", \"/app/app.py\"]\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return c, fmt.Errorf("changing example: %w", err)
		}
	}
	file, err := os.OpenFile(filepath.Join(p.dir, "bench.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return c, fmt.Errorf("configuring mrelease: %w", err)
	}
	_, err = file.WriteString(settings)
	if err = errors.Join(err, file.Close()); err != nil {
		return c, fmt.Errorf("configuring mrelease: %w", err)
	}
	if meanwhile != nil {
		defer meanwhile()()
	}
	_, c, err = timed(cmd)
	return c, err
}
