package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/page"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/release/several"
)

// answerRelease tells the verdict and prints the record's path, or all with --json, and
// tells the CI system.
func (a *app) answerRelease(r release.Result, took time.Duration) error {
	answer := page.NewRelease(r, a.context())
	outputs, err := answer.Outputs()
	if err != nil {
		return err
	}
	summary := answer.Summary()
	if err := cmp.Or(a.story.ci.Outputs(outputs), a.story.ci.Summary(summary), release.WriteOutput(answer.SummaryPath, []byte(summary))); err != nil {
		return err
	}
	verdict := answer.Verdict()
	if len(r.Made) > 0 {
		verdict += fmt.Sprintf(" in %.1f s", took.Seconds())
	}
	a.story.note("%s", verdict)
	for _, row := range answer.Rows() {
		a.story.note("  %-12s %s", row[0], row[1])
	}
	a.story.note("  %-12s %s", "next", strings.Join(answer.Next(), "; "))
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err = fmt.Fprintln(a.stdout, answer.RecordPath)
	return err
}

// context is what answers say besides the result.
func (a *app) context() page.Context {
	c := a.page
	c.Steps = *a.story.steps
	return c
}

// answerJob tells a CI system what is no release: nothing, when there is no system.
func (a *app) answerJob(summary string, outputs []ci.Output, err error) error {
	if err != nil || a.page.Run.System == "" {
		return err
	}
	if err := a.story.ci.Summary(summary); err != nil || a.page.Summary == "" {
		return err
	}
	return cmp.Or(a.story.ci.Outputs(outputs), release.WriteOutput(a.page.Summary, []byte(summary)))
}

// fail tells of a failure, and what the run came to, as far as a CI system is told.
func (a *app) fail(command string, err error, f failure) error {
	f.write(a.story)
	a.story.ci.Failed(fmt.Sprintf("%s: %s. %s", f.Code, f.What, f.Remedy), page.Places(err))
	if usage.Is[*several.Error](err) && usage.Is[usage.ToldError](err) { // the command told of each app
		return nil
	}
	told := page.Failure{Command: command, Code: f.Code, What: f.What, Remedy: f.Remedy}
	for _, e := range f.rows() {
		told.Evidence = append(told.Evidence, [2]string{e.Name, e.Value})
	}
	told = page.NewFailure(told, err)
	outputs, err := told.Outputs(a.page, f)
	return a.answerJob(told.Summary(a.context()), outputs, err)
}

// report tells a CI system of the steps, as test cases.
func (a *app) report(command string) error {
	if len(*a.story.steps) == 0 {
		return nil
	}
	document, err := page.JUnit(command, *a.story.steps)
	if err != nil {
		return err
	}
	return a.story.ci.JUnit(document)
}
