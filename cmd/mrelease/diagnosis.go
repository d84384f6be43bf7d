package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

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

// skippedError is the outcome of a check that could not be made.
type skippedError string

func (e skippedError) Error() string { return string(e) }

// clockError says that this machine's clock is behind something that happened.
type clockError struct {
	now, event time.Time
	what       string
}

func (e *clockError) Error() string {
	return fmt.Sprintf("the clock says %s, which is before %s (%s)", e.now.UTC().Format(time.DateTime), e.what, e.event.UTC().Format(time.DateTime))
}

// Evidence returns both times.
func (e *clockError) Evidence() [][2]string {
	return [][2]string{{"this machine's clock", e.now.UTC().Format(time.RFC3339)}, {e.what, e.event.UTC().Format(time.RFC3339)}}
}

func (d *doctor) conclude(name, evidence string, err error) {
	found := diagnosis{Name: name, Status: "ok", Evidence: evidence}
	mark := d.lines.paint(green, "✓")
	var skipped skippedError
	switch {
	case errors.As(err, &skipped):
		found.Status, found.Evidence, mark = "skipped", string(skipped), "-"
	case err != nil:
		f := explain(err)
		found.Status, found.Evidence, mark = "failed", f.What, d.lines.paint(red, "✗")
		found.Code, found.Exit, found.Remedy = f.Code, f.Exit, f.Remedy
		d.unhealthy.failed = append(d.unhealthy.failed, name)
		if d.unhealthy.first == nil {
			d.unhealthy.first = err
		}
		found.specify(err)
	}
	d.answer.Checks = append(d.answer.Checks, found)
	if d.json {
		return
	}
	d.lines.note("%s %-14s %s", mark, name, found.Evidence)
	if found.Remedy != "" {
		d.lines.note("  %-14s mend: %s", "", found.Remedy)
	}
}

// specify names the first problem of a configuration, and the command that shows
// the rest.
func (f *diagnosis) specify(err error) {
	var c *settings.Error
	if !errors.As(err, &c) {
		return
	}
	f.Evidence = c.Problems[0].String()
	if more := len(c.Problems) - 1; more > 0 {
		f.Evidence += fmt.Sprintf(" (and %d more)", more)
	}
	f.Remedy = "mrelease check"
	if f.Name == "git" {
		f.Remedy = "git commit, or mrelease … --source-date-epoch SECONDS"
	}
}
