package together

import (
	"context"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Checks are what mrelease check has of the program.
type Checks struct {
	usage.Program
	Source func(settings.Settings) source.Options
	Keys   func(settings.Settings) keys.Ring
	Line   func(format string, args ...any) // one line of the answer
	OK     any                              // the words that lines begin with
	Remark any
}

// checkAnswer is the answer of mrelease check --json.
type checkAnswer struct {
	Schema   string              `json:"schema"`
	OK       bool                `json:"ok"`
	Checks   []preflight.Part    `json:"checks"` // those that passed
	Findings []preflight.Finding `json:"findings,omitempty"`
	Problems []settings.Problem  `json:"problems,omitempty"`
}

// Check checks a configuration, of one app or of several.
func Check(ctx context.Context, c *settings.Checker, p Checks) error {
	found := preflight.Inspection{Passed: []preflight.Part{}}
	for i, app := range c.Apps() {
		look := preflight.Check
		if i > 0 {
			look = preflight.CheckOwn
		}
		one := look(ctx, app, p.Source(app.Settings), p.Keys(app.Settings))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, part := range one.Passed {
			if name := app.Settings.Apps.Chosen; name != "" && !preflight.IsCommon(part.Name) {
				part.Name = name + " " + part.Name
			}
			found.Passed = append(found.Passed, part)
		}
		found.Findings = append(found.Findings, one.Findings...)
	}
	err := c.Err()
	if *p.JSON {
		found.Problems = settings.Problems(err)
		if err := p.PrintJSON(p.Out, checkAnswer{"mrelease.check/v1", err == nil, found.Passed, found.Findings, found.Problems}); err != nil {
			return err
		}
	} else {
		p.print(found)
	}
	if err != nil {
		return usage.ToldError{Err: err}
	}
	return nil
}

func (p Checks) print(found preflight.Inspection) {
	for _, part := range found.Passed {
		p.Line("%s    %-14s %s", p.OK, part.Name, part.Evidence)
	}
	for _, f := range found.Findings {
		p.Line("%s  %s: %s: %s\n     %-14s %s", p.Remark, f.Where, f.Code, f.Text, "cure", f.Cure)
	}
}
