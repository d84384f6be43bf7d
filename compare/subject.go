package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// Differences are how two releases differ.
type Differences struct {
	Record  []diff.Field  // of two records
	Changes []lock.Change // of what the enclave is measured from
	Diff    *diff.Report  // of two images
}

// Equal reports whether there are none.
func (d Differences) Equal() bool {
	return len(d.Changes) == 0 && len(d.Record) == 0 && (d.Diff == nil || d.Diff.Manifest.Verdict == diff.Equal)
}

// subject is one of the two, with as much of it as there is.
type subject struct {
	record *record.Record
	image  v1.Image // nil for a lock
	lock   lock.Lock
}

// Comparer compares releases.
type Comparer struct {
	Enclave  settings.Enclave // of the configuration; as far as there is one
	Registry registry.Client  // opens images
}

// Two compares any two of: the record of a release, an image in a registry, the
// folder of an OCI layout, and a lock. It takes [bounds.Act] at most.
func (c Comparer) Two(ctx context.Context, a, b string) (d Differences, err error) {
	err = bounds.Within(ctx, bounds.Act, "the comparison", func(ctx context.Context) (err error) {
		d, err = c.two(ctx, a, b)
		return err
	})
	return d, err
}

func (c Comparer) two(ctx context.Context, a, b string) (Differences, error) {
	x, err := c.open(ctx, a)
	if err != nil {
		return Differences{}, err
	}
	y, err := c.open(ctx, b)
	if err != nil {
		return Differences{}, err
	}
	d := Differences{Changes: append([]lock.Change{}, lock.Drift(x.lock, y.lock)...)}
	if x.record != nil && y.record != nil {
		d.Record = recordFields(*x.record, *y.record)
	}
	if x.image != nil && y.image != nil {
		if d.Diff, err = compareImages(ctx, c.Enclave, x, y, d); err != nil {
			return Differences{}, err
		}
	}
	return d, nil
}

// compareImages compares the images of two releases. What differs in what they are made
// from is the first cause: nothing of how they were built is at fault then.
func compareImages(ctx context.Context, e settings.Enclave, x, y subject, d Differences) (*diff.Report, error) {
	opts := release.Random(e)
	a, errA := inputs(x.image)
	b, errB := inputs(y.image)
	if err := errors.Join(errA, errB); err != nil {
		return nil, err
	}
	opts.OtherInputs = a != b && a != "" && b != ""
	report, err := diff.Compare(ctx, x.image, y.image, opts)
	if err != nil || !opts.OtherInputs {
		return &report, err
	}
	var causes []diff.Cause
	for _, f := range d.Record {
		if slices.Contains(inputFields(), f.Name) {
			causes = append(causes, diff.Cause{Name: fmt.Sprintf("another %s: %s -> %s", f.Name, cmp.Or(f.A, "none"), cmp.Or(f.B, "none")), Cure: meant})
		}
	}
	for _, c := range d.Changes {
		if c.IsCause() {
			causes = append(causes, diff.Cause{Name: c.What, Cure: meant})
		}
	}
	if len(causes) == 0 {
		causes = append(causes, diff.Cause{Name: fmt.Sprintf("other inputs: %s -> %s", a, b), Cure: meant})
	}
	report.Causes = append(causes, report.Causes...)
	return &report, nil
}

// meant is the cure of what somebody changed.
const meant = "none is needed if it is meant: the two are made from other inputs; mrelease reproduce --against shows whether one of them can be made again"

// inputs is the digest of what an image is made from, as its manifest states it; empty
// when it does not.
func inputs(image v1.Image) (string, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return "", fmt.Errorf("reading manifest: %w", err)
	}
	return manifest.Annotations[registry.InputsAnnotation], nil
}

// open reads what a file, a folder or a reference names.
func (c Comparer) open(ctx context.Context, where string) (s subject, err error) {
	if info, err := os.Stat(where); err != nil || !info.Mode().IsRegular() {
		if s.image, err = release.OpenImage(ctx, c.Registry, where); err != nil {
			return s, err
		}
		return s, s.describe(ctx, c.Enclave)
	}
	data, err := bounds.ReadJSON(where, max(bounds.Record, bounds.Lock))
	if err != nil {
		return s, fmt.Errorf("reading document: %w", err)
	}
	is := document.Of(data)
	switch {
	case is.Schema == lock.Schema || filepath.Ext(where) == filepath.Ext(lock.Name): // one that a merge broke says where
		s.lock, err = lock.ReadFile(where)
		return s, err
	case release.IsRecord(is, data):
		return c.openRecorded(ctx, where)
	}
	return s, &document.Error{File: where, Want: "record, lock or image", Is: is.String()}
}

func (c Comparer) openRecorded(ctx context.Context, path string) (s subject, err error) {
	rec, err := release.ReadRecord(path)
	if err != nil {
		return s, err
	}
	s.record = &rec
	if s.image, _, err = release.OpenRecorded(ctx, c.Registry, rec); err != nil {
		return s, err
	}
	if err := s.describe(ctx, c.Enclave); err != nil {
		return s, err
	}
	s.lock.MRENCLAVE = rec.Enclave.MRENCLAVE
	return s, nil
}

// describe makes the lock of the image. What only a configuration knows stays
// open, and of the measurement that is known which the image states.
func (s *subject) describe(ctx context.Context, e settings.Enclave) error {
	facts, err := release.ImageFacts(s.image)
	if err != nil {
		return err
	}
	if s.lock, err = lock.Describe(ctx, s.image, facts); err != nil {
		return err
	}
	s.lock.Partial = true
	spec := e.Spec()
	if spec.Claim, err = release.Claim(s.image); err != nil {
		return err
	}
	if stated, known, err := measure.Stated(ctx, s.image, spec); err == nil && known && stated.Format != measure.None {
		s.lock.MRENCLAVE = &stated.MRENCLAVE
	}
	return nil
}

// inputFields are those of recordFields that an image is made from.
func inputFields() []string { return []string{"version", "commit", "time", "enclave format"} }

// recordFields compares what only records state.
func recordFields(a, b record.Record) []diff.Field {
	var fields []diff.Field
	for _, f := range []diff.Field{
		{Name: "version", A: a.Version, B: b.Version},
		{Name: "source", A: a.Source.State(), B: b.Source.State()},
		{Name: "time", A: when(a), B: when(b)},
		{Name: "inputs", A: a.Source.Inputs.String(), B: b.Source.Inputs.String()},
		{Name: "enclave format", A: string(a.Enclave.Format), B: string(b.Enclave.Format)},
		{Name: "enclave value", A: a.Enclave.Value, B: b.Enclave.Value},
		{Name: "chain", A: a.App.Chain, B: b.App.Chain},
		{Name: "app", A: a.OnChain().Name, B: b.OnChain().Name},
		{Name: "order", A: a.Order.Hash.Hex(), B: b.Order.Hash.Hex()},
	} {
		if f.A != f.B {
			fields = append(fields, f)
		}
	}
	return fields
}

// when writes the time of a release's image.
func when(r record.Record) string { return time.Unix(r.Source.Epoch, 0).UTC().Format(time.RFC3339) }
