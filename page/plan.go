package page

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
)

// Plan is the answer of mrelease plan: mrelease.plan/v1.
type Plan struct {
	Schema string `json:"schema"`
	Identity
	Commit   string            `json:"commit,omitempty"`
	Dirty    bool              `json:"dirty,omitempty"` // the source is not the commit
	Inputs   string            `json:"inputs"`
	Wallet   string            `json:"wallet"`                     // address of the app's owner
	StatedBy string            `json:"wallet-stated-by,omitempty"` // who states it, as its key was not opened
	Payer    string            `json:"payer,omitempty"`            // address of who pays, where that is another than the owner
	Steps    []release.Finding `json:"steps"`
	Make     []string          `json:"make"` // the things that a release would make; empty when all is there
	Cost     *release.Cost     `json:"cost,omitempty"`
	Run      ci.Run            `json:"run,omitzero"`
	Offered
	Hash string `json:"plan-hash"` // of what would be approved: see package approval

	conclusion string
	bound      approval.Plan // what would be approved
	notes      []release.Finding
	context    Context
}

// Offered is what else is told of the order.
type Offered struct {
	Obstacles []poco.Obstacle      `json:"obstacles,omitempty"`    // who cannot use it
	Others    []release.OtherOrder `json:"other-orders,omitempty"` // of its line: those that a release would retire, and those that stay
}

// NewPlan makes the answer of a plan.
func NewPlan(p release.Plan, c Context) Plan {
	a := Plan{
		Schema: "mrelease.plan/v1", Identity: Identity{Version: p.Version, Image: p.Image, Digest: p.Digest, AppAddress: p.AppAddress, OrderHash: p.OrderHash},
		Commit: p.Commit, Dirty: p.Dirty, Inputs: p.Inputs.String(), Wallet: p.Wallet, StatedBy: p.StatedBy, Payer: p.Payer,
		Make: p.With(release.ToMake), Cost: p.Cost, Run: c.Run, Offered: Offered{p.Obstacles, p.Others()}, Hash: p.Bound.Hash, conclusion: p.Conclusion(), bound: p.Bound, context: c,
	}
	if older, newer, _ := c.proposed(); older != "" {
		a.MRENCLAVEChanged = strconv.FormatBool(older != newer)
	}
	for _, f := range p.Findings {
		if f.State == release.Note {
			a.notes = append(a.notes, f)
		} else {
			a.Steps = append(a.Steps, f)
		}
	}
	return a
}

func (p Plan) has(name string) string {
	return strconv.FormatBool(slices.ContainsFunc(p.Steps, func(f release.Finding) bool { return f.Name == name && f.State == release.There }))
}

// Outputs are those of a release, as far as they are known before one.
func (p Plan) Outputs() ([]ci.Output, error) {
	return outputs(p.Identity, left{registered: p.has("app"), published: p.has("order"), plan: &p.bound, summary: p.context.Summary}, p)
}

// Bound is what would be approved.
func (p Plan) Bound() approval.Plan { return p.bound }

// Verdict says in one line what a release would make.
func (p Plan) Verdict() string { return p.conclusion }

// Cases are what was found, as steps.
func (p Plan) Cases() []Step {
	var cases []Step
	for _, f := range p.Steps {
		cases = append(cases, Step{Name: f.Name, Evidence: string(f.State) + ": " + f.Evidence})
	}
	return cases
}

// Summary says what a release would change: the measurement, the app's address and the
// order, and what would be made.
func (p Plan) Summary() string {
	var m markdown
	m.add(fmt.Sprintf("### Plan for version %s: %s\n", Code(p.Version), Code(p.conclusion)))
	var b strings.Builder
	b.WriteString("\n| | A release | Evidence |\n|---|---|---|\n")
	for _, f := range p.Steps {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", Code(f.Name), map[release.State]string{
			release.There: "✓ finds it", release.ToMake: "+ makes it", release.ToRetire: "− retires it", release.Unknown: "? cannot be told yet",
		}[f.State], cell(f.Evidence))
	}
	m.add(b.String())
	m.table([][2]string{
		{"Source", Code(record.Source{Commit: p.Commit, Dirty: p.Dirty}.State())},
		{"Image", Code(p.Image)},
		{"MRENCLAVE", p.measurement()},
		{"App", p.later(p.AppAddress)},
		{"Order", p.later(p.OrderHash)},
		{"Owner", Code(p.Wallet)},
		{"Gas", Code(p.bound.Cost.Max+" wei at most") + p.paidBy()},
		{"Plan", Code(p.Hash)},
		{"Not known yet", Code(strings.Join(p.bound.Unknown(), ", "))},
		{"Run", p.context.run()},
	})
	if p.context.Accepted == nil {
		m.add("\nNo measurement was accepted yet: a release takes whatever the build measures to.\n")
	}
	if p.context.Before != nil && !p.context.Before.Seen {
		m.add("\nWhat is accepted is not compared with the commit to merge into, which is not in this clone: `fetch-depth: 2` of actions/checkout brings it, or GIT_DEPTH on GitLab.\n")
	}
	b.Reset()
	for _, f := range p.notes {
		fmt.Fprintf(&b, "%s: %s\n", f.Name, shortened(f.Evidence, maxCell))
	}
	m.fold("Details", Fence(b.String()))
	return m.String()
}

// paidBy says who pays, where that is another than the owner.
func (p Plan) paidBy() string {
	if p.Payer == "" {
		return ""
	}
	return ", of the payer " + Code(p.Payer)
}

// measurement says what the proposal would do to what is accepted.
func (p Plan) measurement() string {
	older, newer, changes := p.context.proposed()
	switch {
	case older != "" && older != newer:
		return Code(older) + " → " + Code(newer) + because(changes)
	case older != "":
		return Code(newer) + ", as before; the build tells whether it stays"
	}
	return p.context.measurement("", nil)
}

// later is a value that is known only once the image is built.
func (Plan) later(value string) string {
	if value == "" {
		return "a new one, known when the image is built"
	}
	return Code(value)
}

// Failure is what a summary says of a run that failed.
type Failure struct {
	Command  string
	Code     string
	What     string
	Evidence [][2]string
	Remedy   string
	Changes  []lock.Change // what the enclave drifted in; none for another failure
	Now      string        // the measurement that it has, as far as it is known
}

// Summary says what failed, how far it came, and what mends it.
func (f Failure) Summary(c Context) string {
	var m markdown
	m.add(fmt.Sprintf("### ✗ %s failed: %s\n\n%s\n", Code(f.Command), Code(f.Code), cell(f.What)))
	m.add("\nRemedy: " + cell(f.Remedy) + "\n")
	m.steps(c.Steps)
	if len(f.Changes) > 0 {
		m.table([][2]string{{"MRENCLAVE", c.measurement(f.Now, f.Changes)}, {"Run", c.run()}})
	} else if run := c.run(); run != "" {
		m.table([][2]string{{"Run", run}})
	}
	var b strings.Builder
	for _, pair := range f.Evidence {
		fmt.Fprintf(&b, "%s: %s\n", pair[0], shortened(pair[1], maxBlock))
	}
	if b.Len() > 0 {
		m.fold("Evidence", Fence(b.String()))
	}
	return m.String()
}

// Outputs are those of a release. Of the enclave they say what the failure knows;
// the document is the error's.
func (f Failure) Outputs(c Context, document any) ([]ci.Output, error) {
	i := Identity{MRENCLAVE: f.Now}
	if len(f.Changes) > 0 || f.Now != "" {
		i.MRENCLAVEChanged = "true"
	}
	return outputs(i, left{summary: c.Summary}, document)
}

// NewFailure adds to a failure what its error knows of the enclave.
func NewFailure(f Failure, err error) Failure {
	drift, ok := errors.AsType[*lock.DriftError](err)
	if !ok {
		return f
	}
	f.Changes = drift.Changes
	for _, c := range drift.Changes {
		if c.Measured && !c.IsCause() {
			f.Now = c.New
		}
	}
	f.Changes = slices.DeleteFunc(slices.Clone(f.Changes), func(c lock.Change) bool { return c.Measured && !c.IsCause() })
	return f
}
