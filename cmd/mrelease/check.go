package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/together"
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

func (a *app) check(ctx context.Context) error {
	lines := a.lines()
	return together.Check(ctx, settings.Read(a.sources()), together.Checks{
		Program: a.shared(),
		Source:  func(cfg settings.Settings) source.Options { return a.sourceOptions(source.Options{Settings: cfg}) },
		Keys:    a.ring, Line: lines.note, OK: lines.paint(green, "ok"), Remark: lines.paint(yellow, "note"),
	})
}

func (a *app) printSchema() error {
	schema, err := settings.Schema()
	if err != nil {
		return err
	}
	_, err = a.stdout.Write(schema)
	return err
}
