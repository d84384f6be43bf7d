package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// point is where a row stands on the plot of what grows: its size is a number of what the
// series names.
type point struct {
	Series string  `json:"series"`
	Size   float64 `json:"size"`
}

// The series, by what their sizes are.
const (
	bySize  = "MB in one file"
	byFiles = "files of 300 bytes"
	byApps  = "apps"
)

// growth measures builds of ever larger images, of ever more files, and of ever more apps,
// each once.
func growth(ctx context.Context, b *bench) (rows []row, err error) {
	for _, series := range []struct {
		name    string
		sizes   []float64
		measure func(context.Context, *bench, int) (row, error)
	}{
		{bySize, []float64{10, 30, 100, 300, 1000, 2000}, growingSize},
		{byFiles, []float64{100, 1000, 10_000, 100_000}, growingFiles},
		{byApps, []float64{1, 3, 10, 30, 100}, growingApps},
	} {
		for _, size := range series.sizes {
			size = math.Ceil(size * b.scale)
			r, err := series.measure(ctx, b, int(size))
			if err != nil {
				return nil, fmt.Errorf("with %.0f %s: %w", size, series.name, err)
			}
			r.Name = fmt.Sprintf("growth: %.0f %s", size, series.name)
			r.At = &point{series.name, size}
			rows = append(rows, r)
		}
	}
	rows[0].Note = "each point of growth is measured once; the others build with a daemon that is up"
	return rows, nil
}

func growingSize(ctx context.Context, b *bench, megabytes int) (row, error) {
	return b.copied(ctx, func(p project) error {
		return errors.Join(writeHalves(filepath.Join(p.dir, "data"), int64(megabytes)*1e6), p.copyFirst("data"))
	})
}

func growingFiles(ctx context.Context, b *bench, files int) (row, error) {
	return b.copied(ctx, func(p project) error {
		return errors.Join(writeMany(filepath.Join(p.dir, "many"), files), p.copyFirst("many"))
	})
}

// copied compares a build from nothing that copies something.
func (b *bench) copied(ctx context.Context, write func(project) error) (r row, err error) {
	p, err := b.newProject()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.remove()) }()
	if err := write(p); err != nil {
		return r, err
	}
	ours, err := b.fromNothing(ctx, p, "gzip", once)
	if err != nil {
		return r, err
	}
	theirs, err := b.rawFromNothing(ctx, p, "gzip", once)
	return compare("", ours, theirs), err
}

// growingApps compares the builds of new apps: in one run, and by buildctl one after the
// other, as a script has it do. The base is there.
func growingApps(ctx context.Context, b *bench, apps int) (r row, err error) {
	f := &fleet{b, filepath.Join(b.dir, "growth-state")}
	warm, cmd, err := f.command(ctx, 1, "build")
	if err != nil {
		return r, err
	}
	if _, _, err = timed(cmd); err != nil {
		return r, err
	}
	p, cmd, err := f.command(ctx, apps, "build")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, warm.remove(), p.remove(), os.RemoveAll(f.state)) }()
	_, ours, err := timed(cmd)
	if err != nil {
		return r, err
	}
	theirs, err := b.rawApps(ctx, warm, p, apps)
	return compare("", []cost{ours}, []cost{theirs}), err
}

// rawApps has buildctl build each app of a project, with a daemon that has built one.
func (b *bench) rawApps(ctx context.Context, warm, p project, apps int) (sum cost, err error) {
	root := filepath.Join(b.dir, "growth-daemon")
	d, err := b.startDaemon(ctx, root)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(root)) }()
	if _, err := b.rawLayout(ctx, d, warm.app(0), "gzip"); err != nil {
		return sum, err
	}
	for i := range apps {
		c, err := d.during(func() (cost, error) { return b.rawLayout(ctx, d, p.app(i), "gzip") })
		if err != nil {
			return sum, err
		}
		sum = sum.and(c)
	}
	return sum, nil
}

// app is one of the apps of a fleet's project.
func (p project) app(i int) project {
	name := fmt.Sprintf("%s-%d", p.name, i)
	return project{name, p.version, filepath.Join(p.dir, name)}
}
