package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

func (a *app) explainCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "explain A B",
		Short: "Say how two releases differ, and why",
		Long: `explain compares any two of: the record of a release, an image in a registry, the
folder of an OCI layout, and an ` + lock.Name + `. It says what the enclave is
measured from that changed, and for images which files and settings, with the
usual causes and their cures.`,
		Example: "  mrelease explain dist/record.json ghcr.io/acme/hello:1.1.0\n  mrelease explain enclave.lock dist/image",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.explainTwo(c.Context(), args, limit)
		},
	}
	a.configFlag(c)
	c.Flags().IntVar(&limit, "lines", 20, "differences of a layer to show")
	return c
}

// explainAnswer is the answer of mrelease explain --json.
type explainAnswer struct {
	Schema  string        `json:"schema"`
	A       string        `json:"a"`
	B       string        `json:"b"`
	Equal   bool          `json:"equal"`
	Record  []diff.Field  `json:"record,omitempty"` // of two records
	Changes []lock.Change `json:"changes"`          // of what the enclave is measured from
	Diff    *diff.Report  `json:"diff,omitempty"`   // of two images
}

// subject is one of the two, with as much of it as there is.
type subject struct {
	record *record.Record
	image  v1.Image // nil for a lock
	lock   lock.Lock
}

func (a *app) explainTwo(ctx context.Context, args []string, limit int) error {
	cfg, err := a.load(settings.Purpose{})
	if err != nil {
		return err
	}
	var both [2]subject
	for i, where := range args {
		if both[i], err = openSubject(ctx, cfg, where); err != nil {
			return err
		}
	}
	x, y := both[0], both[1]
	answer := explainAnswer{Schema: "mrelease.explain/v1", A: args[0], B: args[1], Changes: append([]lock.Change{}, lock.Drift(x.lock, y.lock)...)}
	if x.record != nil && y.record != nil {
		answer.Record = recordFields(*x.record, *y.record)
	}
	if x.image != nil && y.image != nil {
		report, err := diff.Compare(ctx, x.image, y.image, release.Random(cfg.Enclave))
		if err != nil {
			return err
		}
		answer.Diff = &report
	}
	answer.Equal = len(answer.Changes) == 0 && len(answer.Record) == 0 && (answer.Diff == nil || answer.Diff.Manifest.Verdict == diff.Equal)
	return a.printExplained(answer, limit)
}

func (a *app) printExplained(answer explainAnswer, limit int) error {
	if a.json {
		return printJSON(a.stdout, answer)
	}
	out := a.lines()
	for _, f := range answer.Record {
		out.note("%s: %s -> %s", f.Name, cmp.Or(f.A, "none"), cmp.Or(f.B, "none"))
	}
	for _, c := range answer.Changes {
		out.note("%s", c)
	}
	if answer.Equal {
		out.note("equal")
	}
	if answer.Diff != nil {
		return answer.Diff.WriteText(a.stdout, limit)
	}
	return nil
}

// openSubject reads what a file, a folder or a reference names.
func openSubject(ctx context.Context, cfg settings.Settings, where string) (s subject, err error) {
	if !isFile(where) {
		if s.image, err = release.OpenImage(ctx, where); err != nil {
			return s, err
		}
		return s, s.describe(ctx, cfg)
	}
	schema, err := documentSchema(where)
	if err != nil {
		return s, err
	}
	switch {
	case schema == lock.Schema || filepath.Ext(where) == filepath.Ext(lock.Name): // one that a merge broke says where
		s.lock, err = lock.ReadFile(where)
		return s, err
	case schema == record.Schema:
		return openRecorded(ctx, cfg, where)
	}
	return s, &usageError{fmt.Errorf("%q is neither a record nor a lock", where), "mrelease explain"}
}

// documentSchema returns the schema that a document names; a file that is no document
// names none.
func documentSchema(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading document: %w", err)
	}
	var head struct {
		Schema string `json:"schema"`
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(data, &head); errors.As(err, &syntax) {
		return "", nil
	}
	return head.Schema, nil
}

func openRecorded(ctx context.Context, cfg settings.Settings, path string) (s subject, err error) {
	rec, err := record.ReadFile(path)
	if err != nil {
		return s, err
	}
	s.record = &rec
	if s.image, _, err = release.OpenRecorded(ctx, rec); err != nil {
		return s, err
	}
	if err := s.describe(ctx, cfg); err != nil {
		return s, err
	}
	s.lock.MRENCLAVE = rec.Enclave.MRENCLAVE
	return s, nil
}

// describe makes the lock of the image. What only a configuration knows stays
// open, and of the measurement that is known which the image states.
func (s *subject) describe(ctx context.Context, cfg settings.Settings) error {
	facts, err := release.ImageFacts(s.image)
	if err != nil {
		return err
	}
	if s.lock, err = lock.Describe(ctx, s.image, facts); err != nil {
		return err
	}
	s.lock.Partial = true
	spec := cfg.Enclave.Spec()
	if spec.Claim, err = release.Claim(s.image); err != nil {
		return err
	}
	if stated, known, err := measure.Stated(ctx, s.image, spec); err == nil && known && stated.Format != measure.None {
		s.lock.MRENCLAVE = &stated.MRENCLAVE
	}
	return nil
}

// recordFields compares what only records state.
func recordFields(a, b record.Record) []diff.Field {
	var fields []diff.Field
	for _, f := range []diff.Field{
		{Name: "version", A: a.Version, B: b.Version},
		{Name: "commit", A: a.Source.Commit, B: b.Source.Commit},
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
