package together

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
)

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

// Doctoring is what mrelease doctor has of the program.
type Doctoring struct {
	usage.Program
	Explain func(error) Failure
	Line    func(format string, args ...any) // one line of the answer
	Marks   map[string]any                   // by status
}

// Examine has a doctor look at all, and tells what it found.
func (p Doctoring) Examine(ctx context.Context, d preflight.Doctor) error {
	answer, unhealthy := doctorAnswer{Schema: "mrelease.doctor/v1"}, unhealthyError{}
	err := d.Examine(ctx, func(check, evidence string, err error) {
		found := p.diagnose(check, evidence, err)
		if found.Status == "failed" {
			unhealthy.failed = append(unhealthy.failed, check)
			if unhealthy.first == nil {
				unhealthy.first = err
			}
		}
		answer.Checks = append(answer.Checks, found)
		if !*p.JSON {
			p.print(found)
		}
	})
	if err != nil {
		return err
	}
	answer.OK = unhealthy.first == nil
	if *p.JSON {
		if err := p.PrintJSON(p.Out, answer); err != nil {
			return err
		}
	}
	if answer.OK {
		return nil
	}
	return usage.ToldError{Err: &unhealthy}
}

func (p Doctoring) diagnose(name, evidence string, err error) diagnosis {
	switch {
	case preflight.IsSkipped(err):
		return diagnosis{Name: name, Status: "skipped", Evidence: err.Error()}
	case err == nil:
		return diagnosis{Name: name, Status: "ok", Evidence: evidence}
	}
	f := p.Explain(err)
	found := diagnosis{name, "failed", f.What, f.Code, f.Exit, f.Remedy}
	if c, ok := errors.AsType[*settings.Error](err); ok {
		found.Evidence, found.Remedy = c.First(), cmp.Or(c.Problems[0].Cure, "mrelease check")
		if name == "git" {
			found.Remedy = "git commit, or mrelease … --source-date-epoch SECONDS"
		}
	}
	return found
}

func (p Doctoring) print(f diagnosis) {
	p.Line("%s %-14s %s", p.Marks[f.Status], f.Name, f.Evidence)
	if f.Remedy != "" {
		p.Line("  %-14s mend: %s", "", f.Remedy)
	}
}
