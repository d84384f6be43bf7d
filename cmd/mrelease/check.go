package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) checkCommand() *cobra.Command {
	var printSchema bool
	c := &cobra.Command{
		Use: "check",

		SuggestFor: []string{"validate", "lint"},

		Short: "Check the configuration and the files that it names",
		Long: `check reads all that a release reads on this machine, and reports everything
that is wrong with it at once: the configuration, the Dockerfile, the build's
secrets, the signing key and the wallet. Keys are decrypted when their passwords
are set. It uses no network and needs no builder. Lines that begin with "note"
are findings that stop no release.`,
		Example: "  mrelease check\n  mrelease check --schema > mrelease.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if printSchema {
				return a.printSchema()
			}
			return a.check(c.Context())
		},
	}
	a.configFlag(c)
	a.contextFlag(c)
	a.targetFlags(c)
	c.Flags().BoolVar(&printSchema, "schema", false, "print the JSON schema of the configuration, and do nothing else")
	return c
}

// checkAnswer is the answer of mrelease check --json.
type checkAnswer struct {
	Schema   string              `json:"schema"`
	OK       bool                `json:"ok"`
	Checks   []preflight.Part    `json:"checks"` // those that passed
	Findings []preflight.Finding `json:"findings,omitempty"`
	Problems []settings.Problem  `json:"problems,omitempty"`
}

func (a *app) check(ctx context.Context) error {
	c := settings.Read(a.sources())
	found := preflight.Check(ctx, c, a.sourceOptions(source.Options{Settings: c.Settings}), a.ring(c.Settings))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.json {
		if err := printJSON(a.stdout, checkAnswer{"mrelease.check/v1", len(found.Problems) == 0, found.Passed, found.Findings, found.Problems}); err != nil {
			return err
		}
	} else {
		printInspection(a.lines(), found)
	}
	if err := c.Err(); err != nil {
		return usage.ToldError{Err: err}
	}
	return nil
}

func printInspection(lines story, found preflight.Inspection) {
	for _, p := range found.Passed {
		lines.note("%s    %-14s %s", lines.paint(green, "ok"), p.Name, p.Evidence)
	}
	for _, f := range found.Findings {
		lines.note("%s  %s: %s: %s\n     %-14s %s", lines.paint(yellow, "note"), f.Where, f.Code, f.Text, "cure", f.Cure)
	}
}

func (a *app) printSchema() error {
	schema, err := settings.Schema()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(schema)
	return err
}
