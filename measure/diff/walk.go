package diff

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/mrelease/mrelease/measure/rootfs"
)

// item is an entry with its place in the layer, from 1.
type item struct {
	rootfs.Entry
	place int
}

// walk reads two layers in step and compares entries of the same path.
type walk struct {
	base     bool
	report   *changes
	waiting  [2]map[string][]*item // entries whose counterpart has not come yet
	pairs    []step
	packages [2]map[string]string // of the databases that differ
}

// step is where a path stands in either layer.
type step struct {
	a, b int
	path string
}

func (w *walk) run(ctx context.Context, a, b *stream) (err error) {
	defer func() { err = errors.Join(err, a.close(), b.close()) }()
	for side := range w.waiting {
		w.waiting[side], w.packages[side] = map[string][]*item{}, map[string]string{}
	}
	for !a.done || !b.done {
		for side, s := range []*stream{a, b} {
			next, err := s.next(ctx)
			if err != nil {
				return err
			}
			if next != nil {
				w.take(side, next)
			}
		}
	}
	w.finish()
	return nil
}

// take compares an entry with its counterpart, or keeps it until that comes.
func (w *walk) take(side int, it *item) {
	other := 1 - side
	queue := w.waiting[other][it.Path]
	if len(queue) == 0 {
		w.waiting[side][it.Path] = append(w.waiting[side][it.Path], it)
		return
	}
	if w.waiting[other][it.Path] = queue[1:]; len(queue) == 1 {
		delete(w.waiting[other], it.Path)
	}
	both := [2]*item{it, it}
	both[other] = queue[0]
	w.pairs = append(w.pairs, step{both[0].place, both[1].place, it.Path})
	w.compare(both[0], both[1])
}

// finish reports what has no counterpart, the packages, and the order.
func (w *walk) finish() {
	for side, waiting := range w.waiting {
		for _, path := range slices.Sorted(maps.Keys(waiting)) {
			for _, it := range waiting[path] {
				w.only(side, it)
			}
		}
	}
	for _, f := range compareMaps(w.packages[0], w.packages[1]) {
		w.report.add(Change{Path: f.Name, Kind: Package, A: f.A, B: f.B}, facts{base: w.base})
	}
	w.compareOrder()
}

// only reports an entry that one layer has.
func (w *walk) only(side int, it *item) {
	maps.Copy(w.packages[side], it.Packages)
	c := Change{Path: it.Path, Kind: Presence, A: absent, B: absent}
	*[]*string{&c.A, &c.B}[side] = describeEntry(it.Entry)
	w.report.add(c, facts{base: w.base})
}

// compareOrder names, of two entries that stand the other way round in B, the
// one that is further from its place.
func (w *walk) compareOrder() {
	slices.SortFunc(w.pairs, func(s, t step) int { return s.a - t.a })
	for i := 1; i < len(w.pairs); i++ {
		s, t := w.pairs[i-1], w.pairs[i]
		if s.b < t.b {
			continue
		}
		c := Change{Path: s.path, Kind: Order, A: "before " + t.path, B: "after " + t.path}
		if s.distance() < t.distance() {
			c = Change{Path: t.path, Kind: Order, A: "after " + s.path, B: "before " + s.path}
		}
		w.report.add(c, facts{base: w.base})
	}
}

func (s step) distance() int { return max(s.a-s.b, s.b-s.a) }
