package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/cmd/together"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks for a release",
		Long: `doctor looks at all that a release needs of this machine and of the services
that the configuration names: the builder, the registry and its login, the keys,
the chain, the wallet's coins, the market, git and the clock. It looks at
everything, also when something fails, and says what mends it. The exit code is
that of the first failure. Nothing is written.`,
		Example: "  mrelease doctor\n  mrelease doctor --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.doctor(c.Context()) },
	}
	a.sourceFlags(c)
	a.builderFlags(c)
	a.targetFlags(c)
	a.commitFlag(c)
	return c
}

func (a *app) doctor(ctx context.Context) error {
	c, err := settings.ReadOne(a.sources())
	if err != nil {
		return err
	}
	lines := a.lines()
	p := together.Doctoring{Program: a.shared(), Explain: failureOf, Line: lines.note, Marks: map[string]any{"ok": lines.paint(green, "✓"), "failed": lines.paint(red, "✗"), "skipped": "-"}}
	return p.Examine(ctx, preflight.Doctor{
		Checker: c, Source: a.sourceOptions(source.Options{Settings: c.Settings}), Keys: a.ring(c.Settings),
		Builder: func() (buildkit.Options, error) { return a.builderOptions(c.Settings) }, Registry: a.registry(),
	})
}
