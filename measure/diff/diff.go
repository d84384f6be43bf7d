package diff

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Options say which differences a random seal makes.
type Options struct {
	Files       []string // absolute paths, or names of files in any folder
	Annotations []string // of the manifest
	OtherInputs bool     // the images are of different sources: their times are expected to differ
}

func (o Options) isRandom(file string) bool {
	return slices.ContainsFunc(o.Files, func(f string) bool {
		return f == file || !strings.Contains(f, "/") && f == path.Base(file)
	})
}

// Compare compares two images. The layers of both are read when their diff ids
// differ, and not otherwise.
func Compare(ctx context.Context, a, b v1.Image, opts Options) (Report, error) {
	x, err := open(a)
	if err != nil {
		return Report{}, err
	}
	y, err := open(b)
	if err != nil {
		return Report{}, err
	}
	c := comparison{a: x, b: y, opts: opts, causes: newTally(x.epoch(), y.epoch(), opts.OtherInputs)}
	r := Report{Schema: Schema, Config: Part{Equal, x.configDigest, y.configDigest}, Manifest: Part{Equal, x.digest, y.digest}}
	if r.Config.A != r.Config.B {
		if r.Settings, err = settings(x, y); err != nil {
			return Report{}, err
		}
	}
	if r.Manifest.A != r.Manifest.B {
		r.Annotations = annotations(x.manifest, y.manifest, opts)
		if r.Layers, err = c.layers(ctx); err != nil {
			return Report{}, err
		}
	}
	r.Causes = c.causes.list()
	r.Config.Verdict = r.configVerdict()
	r.Manifest.Verdict = r.manifestVerdict()
	return r, nil
}

// configVerdict is Random when a seal's files are all that differs: a setting
// that differs is never random.
func (r Report) configVerdict() Verdict {
	if r.Config.A == r.Config.B {
		return Equal
	}
	if len(r.Settings) == 0 && len(r.Layers) > 0 && !slices.ContainsFunc(r.Layers, Layer.isDifferent) {
		return Random
	}
	return Different
}

func (r Report) manifestVerdict() Verdict {
	if r.Manifest.A == r.Manifest.B {
		return Equal
	}
	fixed := slices.ContainsFunc(r.Annotations, func(f Field) bool { return !f.Random }) || slices.ContainsFunc(r.Layers, Layer.isDifferent)
	if fixed || r.configVerdict() == Different || len(r.Annotations)+len(r.Layers) == 0 {
		return Different
	}
	return Random
}

// isDifferent reports whether anything but a seal's files differs.
func (l Layer) isDifferent() bool {
	return len(l.Folded) > 0 || slices.ContainsFunc(l.Changes, func(c Change) bool { return !c.Random })
}

// subject is an image with what is known of it before its layers are read.
type subject struct {
	image        v1.Image
	digest       v1.Hash
	configDigest v1.Hash
	manifest     *v1.Manifest
	config       *v1.ConfigFile
	rawConfig    []byte
	layers       []v1.Layer
}

func open(image v1.Image) (s subject, err error) {
	s.image = image
	if s.digest, err = image.Digest(); err != nil {
		return s, fmt.Errorf("reading digest: %w", err)
	}
	if s.manifest, err = image.Manifest(); err != nil {
		return s, fmt.Errorf("reading manifest: %w", err)
	}
	s.configDigest = s.manifest.Config.Digest
	if s.config, err = image.ConfigFile(); err != nil {
		return s, fmt.Errorf("reading config: %w", err)
	}
	if s.rawConfig, err = image.RawConfigFile(); err != nil {
		return s, fmt.Errorf("reading config: %w", err)
	}
	if s.layers, err = image.Layers(); err != nil {
		return s, fmt.Errorf("listing layers: %w", err)
	}
	if n := len(s.config.RootFS.DiffIDs); n != len(s.layers) || len(s.manifest.Layers) != n {
		return s, fmt.Errorf("listing layers: the manifest has %d, the config %d", len(s.manifest.Layers), n)
	}
	return s, nil
}

// epoch is the time that the image says it was made at.
func (s subject) epoch() int64 { return s.config.Created.Unix() }

// history returns the entry of a layer's instruction; the zero value when the
// config does not tell.
func (s subject) history(layer int) v1.History {
	for _, h := range s.config.History {
		if h.EmptyLayer {
			continue
		}
		if layer == 0 {
			return h
		}
		layer--
	}
	return v1.History{}
}

// annotations compares those of the manifests.
func annotations(a, b *v1.Manifest, opts Options) []Field {
	fields := compareMaps(a.Annotations, b.Annotations)
	for i, f := range fields {
		fields[i].Random = slices.Contains(opts.Annotations, f.Name)
	}
	return fields
}
