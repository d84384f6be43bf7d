package main

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/printable"
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

// doctorAnswer is the answer of mrelease doctor --json.
type doctorAnswer struct {
	Schema string      `json:"schema"`
	OK     bool        `json:"ok"`
	Checks []diagnosis `json:"checks"`
}

// diagnosis is what a check found. A skipped one waits for another to be mended.
type diagnosis struct {
	Name     string `json:"name"`
	Status   string `json:"status"` // ok, failed or skipped
	Evidence string `json:"evidence"`
	Code     string `json:"code,omitempty"`
	Exit     int    `json:"exit,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
}

// unhealthyError says which checks failed. Its cause is the first failure.
type unhealthyError struct {
	failed []string
	first  error
}

func (e *unhealthyError) Error() string { return "not ready: " + strings.Join(e.failed, ", ") }
func (e *unhealthyError) Unwrap() error { return e.first }

func (a *app) doctor(ctx context.Context) error {
	c := settings.Read(a.sources())
	d := preflight.Doctor{
		Checker: c, Source: a.sourceOptions(source.Options{Settings: c.Settings}), Keys: a.ring(c.Settings),
		Builder: a.builderOptions, Registry: a.registry(),
	}
	answer, unhealthy := doctorAnswer{Schema: "mrelease.doctor/v1"}, unhealthyError{}
	err := d.Examine(ctx, func(check, evidence string, err error) {
		found := diagnose(check, evidence, err)
		if found.Status == "failed" {
			unhealthy.failed = append(unhealthy.failed, check)
			if unhealthy.first == nil {
				unhealthy.first = err
			}
		}
		answer.Checks = append(answer.Checks, found)
		if !a.json {
			found.print(a.lines())
		}
	})
	if err != nil {
		return err
	}
	answer.OK = unhealthy.first == nil
	if a.json {
		if err := printJSON(a.stdout, answer); err != nil {
			return err
		}
	}
	if answer.OK {
		return nil
	}
	return usage.ToldError{Err: &unhealthy}
}

func diagnose(name, evidence string, err error) diagnosis {
	switch {
	case preflight.IsSkipped(err):
		return diagnosis{Name: name, Status: "skipped", Evidence: err.Error()}
	case err == nil:
		return diagnosis{Name: name, Status: "ok", Evidence: evidence}
	}
	f := explain(err)
	found := diagnosis{name, "failed", f.What, f.Code, f.Exit, f.Remedy}
	if c, ok := errors.AsType[*settings.Error](err); ok {
		found.Evidence, found.Remedy = c.First(), cmp.Or(c.Problems[0].Cure, "mrelease check")
		if name == "git" {
			found.Remedy = "git commit, or mrelease … --source-date-epoch SECONDS"
		}
	}
	return found
}

func (f diagnosis) print(lines story) {
	mark := map[string]printable.Own{"ok": lines.paint(green, "✓"), "failed": lines.paint(red, "✗"), "skipped": "-"}[f.Status]
	lines.note("%s %-14s %s", mark, f.Name, f.Evidence)
	if f.Remedy != "" {
		lines.note("  %-14s mend: %s", "", f.Remedy)
	}
}
