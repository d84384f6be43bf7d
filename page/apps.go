package page

import (
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/ci"
)

// Apps is the answer of a command about several apps: mrelease.apps/v1.
type Apps struct {
	Schema  string `json:"schema"`
	Command string `json:"command"` // release, plan or build
	OK      bool   `json:"ok"`      // all are done
	Apps    []App  `json:"apps"`
	Run     ci.Run `json:"run,omitzero"`
	AppsFailure

	context Context
}

// AppsFailure is why the command ends with another exit code than 0: what mrelease.error/v1
// has, of the first app that failed. All of it is empty when all are done.
type AppsFailure struct {
	Code     string `json:"code,omitempty"`
	What     string `json:"what,omitempty"`
	Evidence any    `json:"evidence,omitempty"`
	Remedy   string `json:"remedy,omitempty"`
	Exit     int    `json:"exit,omitempty"`
}

// App is what became of one of them.
type App struct {
	Name   string `json:"name"`
	State  string `json:"state"`            // done, failed or untouched
	Step   string `json:"step,omitempty"`   // that failed
	Answer any    `json:"answer,omitempty"` // that of the command for one app
	Error  any    `json:"error,omitempty"`  // mrelease.error/v1

	Verdict string      `json:"-"` // in one line
	Rows    [][2]string `json:"-"` // what there is now
	Verify  []string    `json:"-"` // commands that check it
}

// NewApps makes the answer of a command.
func NewApps(command string, all []App, failed AppsFailure, c Context) Apps {
	return Apps{Schema: "mrelease.apps/v1", Command: command, OK: failed.Code == "", Apps: all, Run: c.Run, AppsFailure: failed, context: c}
}

// mark is the state as a table has it.
func (a App) mark() string {
	return map[string]string{"done": "✓ done", "failed": "✗ failed", "untouched": "– untouched"}[a.State]
}

// Summary is what a job's page shows: a line for each app, the steps, and the rest folded.
func (a Apps) Summary() string {
	var m markdown
	done := 0
	var b strings.Builder
	b.WriteString("\n| App | Result | What |\n|---|---|---|\n")
	for _, app := range a.Apps {
		if app.State == "done" {
			done++
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", Code(app.Name), app.mark(), cell(app.Verdict))
	}
	m.add(fmt.Sprintf("### %s %s: %d of %d apps done\n", map[bool]string{true: "✓", false: "✗"}[a.OK], Code("mrelease "+a.Command), done, len(a.Apps)))
	m.add(b.String())
	var verify []string
	for _, app := range a.Apps {
		verify = append(verify, app.Verify...)
	}
	if len(verify) > 0 {
		m.add("\nCheck it yourself:\n\n" + Fence(strings.Join(verify, "\n")))
	}
	for _, app := range a.Apps {
		if len(app.Rows) == 0 {
			continue
		}
		var rows markdown
		var cells [][2]string
		for _, row := range app.Rows {
			cells = append(cells, [2]string{row[0], cell(row[1])})
		}
		rows.table(cells)
		m.fold(app.Name, rows.String()) // of letters, digits and . _ -
	}
	m.steps(a.context.Steps)
	if run := a.context.run(); run != "" {
		m.table([][2]string{{"Run", run}})
	}
	return m.String()
}

// Outputs are those of a release: of each app the document says more.
func (a Apps) Outputs() ([]ci.Output, error) {
	var verify []string
	for _, app := range a.Apps {
		verify = append(verify, app.Verify...)
	}
	return outputs(Identity{}, left{summary: a.context.Summary, verify: verify}, a)
}
