package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/compare"
	"github.com/mrelease/mrelease/measure/diff"
	"github.com/mrelease/mrelease/measure/lock"
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

func (a *app) explainTwo(ctx context.Context, args []string, limit int) error {
	cfg, err := a.load(settings.Purpose{})
	if err != nil {
		return err
	}
	d, err := compare.Comparer{Enclave: cfg.Enclave, Registry: a.registry()}.Two(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(a.stdout, explainAnswer{"mrelease.explain/v1", args[0], args[1], d.Equal(), d.Record, d.Changes, d.Diff})
	}
	out := a.lines()
	for _, f := range d.Record {
		out.note("%s: %s -> %s", f.Name, cmp.Or(f.A, "none"), cmp.Or(f.B, "none"))
	}
	for _, c := range d.Changes {
		out.note("%s", c)
	}
	if d.Equal() {
		out.note("equal")
	}
	if d.Diff != nil {
		return d.Diff.WriteText(a.stdout, limit)
	}
	return nil
}
