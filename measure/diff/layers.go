package diff

import (
	"cmp"
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// comparison is a comparison under way.
type comparison struct {
	a, b   subject
	opts   Options
	causes *tally
}

// pair says which layers are compared with each other; -1 is none.
type pair struct{ a, b int }

// layers compares the layers that differ.
func (c comparison) layers(ctx context.Context) ([]Layer, error) {
	var found []Layer
	for _, p := range match(c.a.config.RootFS.DiffIDs, c.b.config.RootFS.DiffIDs) {
		layer, err := c.layer(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("comparing layer %d: %w", layer.Index, err)
		}
		if len(layer.Changes) > 0 {
			found = append(found, layer)
		}
	}
	return found, nil
}

// match pairs layers: those of the common beginning and end with their equals,
// those between in order.
func match(a, b []v1.Hash) []pair {
	var pairs []pair
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		pairs = append(pairs, pair{start, start})
		start++
	}
	end := 0
	for end < min(len(a), len(b))-start && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	for i := start; i < max(len(a), len(b))-end; i++ {
		pairs = append(pairs, pair{orNone(i, len(a)-end), orNone(i, len(b)-end)})
	}
	for i := end; i > 0; i-- {
		pairs = append(pairs, pair{len(a) - i, len(b) - i})
	}
	return pairs
}

func orNone(index, count int) int {
	if index < count {
		return index
	}
	return -1
}

// layer compares two layers, or lists the only one there is.
func (c comparison) layer(ctx context.Context, p pair) (Layer, error) {
	l := Layer{Index: p.a, Base: c.isBase(p)}
	if p.a >= 0 {
		l.A, l.CreatedBy = c.a.config.RootFS.DiffIDs[p.a].String(), c.a.history(p.a).CreatedBy
	}
	if p.b >= 0 {
		l.B = c.b.config.RootFS.DiffIDs[p.b].String()
		l.CreatedBy = cmp.Or(l.CreatedBy, c.b.history(p.b).CreatedBy)
	}
	if p.a < 0 {
		l.Index = p.b
	}
	if l.A == l.B {
		l.Changes = c.packing(p)
		return l, nil
	}
	var walk walk
	walk.base, walk.report = l.Base, newChanges(c.opts, c.causes)
	if err := walk.run(ctx, c.stream(c.a, p.a), c.stream(c.b, p.b)); err != nil {
		return l, err
	}
	l.Changes, l.Folded = walk.report.list()
	return l, nil
}

// isBase guesses whether a layer was there before this build: then its
// instruction's time is not the image's in either image.
func (c comparison) isBase(p pair) bool {
	old := func(s subject, layer int) bool {
		return layer < 0 || s.history(layer).Created.Unix() != s.epoch()
	}
	return old(c.a, p.a) && old(c.b, p.b)
}

// packing compares how a layer of the same content is stored.
func (c comparison) packing(p pair) []Change {
	a, b := c.a.manifest.Layers[p.a], c.b.manifest.Layers[p.b]
	if a.Digest == b.Digest && a.MediaType == b.MediaType {
		return nil
	}
	change := Change{Path: "/", Kind: Compression, A: describe(a), B: describe(b)}
	change.Cause = c.causes.note(change, facts{})
	return []Change{change}
}

func describe(d v1.Descriptor) string {
	return fmt.Sprintf("%s, %d bytes, %s", d.MediaType, d.Size, short(d.Digest.String()))
}
