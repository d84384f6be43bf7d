package page

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/release"
	"github.com/mrelease/mrelease/settings"
)

// Context is what an answer says besides the result of the work.
type Context struct {
	Run      ci.Run
	Configs  []string   // configuration files that were read
	Record   string     // path of the record
	Summary  string     // path that the summary is written to; empty: nothing of a release is known yet
	Lock     string     // path of the accepted lock
	Accepted *lock.Lock // nil when none was accepted
	Before   *Before    // of what is proposed, the state that it would change; else nil
	Steps    []Step
}

// Before is what the commit has that a proposal would be merged into.
type Before struct {
	Lock *lock.Lock // nil when none was accepted there
	Seen bool       // false: the commit is not in this clone, so nothing is known of it
}

// proposed compares what is accepted with what was before the proposal. Unless both have
// a measurement there is nothing to compare.
func (c Context) proposed() (older, newer string, changes []lock.Change) {
	if c.Before == nil || c.Before.Lock == nil || c.Accepted == nil || c.Before.Lock.MRENCLAVE == nil || c.Accepted.MRENCLAVE == nil {
		return "", "", nil
	}
	older, newer = c.Before.Lock.MRENCLAVE.String(), c.Accepted.MRENCLAVE.String()
	return older, newer, slices.DeleteFunc(lock.Drift(*c.Before.Lock, *c.Accepted), func(c lock.Change) bool { return !c.IsCause() })
}

// BesideRecord sets the path of the record, and that of the summary beside it.
func (c *Context) BesideRecord(path string) {
	c.Record, c.Summary = path, filepath.Join(filepath.Dir(path), "summary.md")
}

// measured compares a measurement with what was accepted. Nothing can be said without
// both.
func (c Context) measured(now string) (accepted, changed string) {
	if c.Accepted == nil || c.Accepted.MRENCLAVE == nil {
		return "", ""
	}
	accepted = c.Accepted.MRENCLAVE.String()
	if now != "" {
		changed = strconv.FormatBool(now != accepted)
	}
	return accepted, changed
}

// configFlags are the flags that name the configuration files.
func (c Context) configFlags() string {
	var flags strings.Builder
	for _, file := range c.Configs {
		flags.WriteString("--config " + Word(file) + " ")
	}
	return flags.String()
}

// unlessUsual are configFlags, and nothing where a command reads those files by itself.
func (c Context) unlessUsual() string {
	if slices.Equal(c.Configs, []string{settings.File}) {
		return ""
	}
	return c.configFlags()
}

// Identity is what tells a release from all others. Its keys are outputs of the GitHub
// Action. What is not known, as before the build, is empty.
type Identity struct {
	Version          string `json:"version"`
	Image            string `json:"image"` // repository:tag
	Digest           string `json:"digest,omitempty"`
	ConfigDigest     string `json:"config-digest,omitempty"`
	MRENCLAVE        string `json:"mrenclave,omitempty"`
	MRENCLAVEChanged string `json:"mrenclave-changed,omitempty"` // true or false: against enclave.lock, or, planned, of enclave.lock against the commit to merge into
	Fingerprint      string `json:"fingerprint,omitempty"`       // what the chain stores
	AppAddress       string `json:"app-address,omitempty"`
	OrderHash        string `json:"order-hash,omitempty"`
}

func identity(rec record.Record) Identity {
	return Identity{
		Version: rec.Version, Image: rec.Image.Reference, Digest: rec.Image.Digest.String(), ConfigDigest: rec.Image.Config.String(),
		MRENCLAVE: rec.Enclave.Measured(), Fingerprint: rec.Enclave.Value,
		AppAddress: common.Address(rec.App.Address).Hex(), OrderHash: rec.Order.Hash.Hex(),
	}
}

// Release is the answer of mrelease release: mrelease.release/v1.
type Release struct {
	Schema string `json:"schema"`
	Identity
	Synthetic         bool          `json:"synthetic,omitempty"`
	AlreadyRegistered bool          `json:"already-registered"`
	AlreadyPublished  bool          `json:"already-published"`
	TxHash            string        `json:"tx-hash,omitempty"`
	RecordPath        string        `json:"record-path"`
	SummaryPath       string        `json:"summary-path"`
	VerifyCommands    []string      `json:"verify-commands"`
	Made              []string      `json:"made"`                // the steps that this run made something in; empty when all was there
	PlanHash          string        `json:"plan-hash,omitempty"` // of the plan that was approved
	Run               ci.Run        `json:"run,omitzero"`
	Record            record.Record `json:"record"`

	approved *approval.Plan // nil: none was
	context  Context
}

// NewRelease makes the answer of a release.
func NewRelease(r release.Result, c Context) Release {
	rec := r.Record
	a := Release{
		Schema:    "mrelease.release/v1",
		Identity:  identity(rec),
		Synthetic: rec.Enclave.Synthetic, AlreadyRegistered: !r.Registration.Created, AlreadyPublished: !r.Offering.Published && !rec.IsPresigned(),
		RecordPath: c.Record, SummaryPath: c.Summary, Made: append([]string{}, r.Made...), Run: c.Run, Record: rec, context: c,
	}
	_, a.MRENCLAVEChanged = c.measured(a.MRENCLAVE)
	if r.Approved != nil {
		a.PlanHash, a.approved = r.Approved.Hash, r.Approved
	}
	if r.Registration.Tx != (common.Hash{}) {
		a.TxHash = r.Registration.Tx.Hex()
	}
	verify := "mrelease verify "
	if !slices.ContainsFunc(poco.Chains(), func(c poco.Chain) bool { return c.Name == rec.App.Chain }) {
		verify += c.configFlags()
	}
	a.VerifyCommands = []string{
		verify + Word(c.Record),
		"mrelease reproduce " + c.configFlags() + "--version " + Word(a.Version) + " --against " + Word(a.Image+"@"+a.Digest),
	}
	return a
}

// Next are the commands that come after a release.
func (a Release) Next() []string {
	next := a.VerifyCommands[:1:1]
	if a.context.Accepted == nil {
		next = append(next, "mrelease accept "+a.context.unlessUsual()+Word(a.RecordPath)+" && git add "+Word(a.context.Lock))
	}
	return next
}

// Outputs are the values for the steps that come after. The document is the answer in
// JSON.
func (a Release) Outputs() ([]ci.Output, error) {
	return outputs(a.Identity, left{
		registered: strconv.FormatBool(a.AlreadyRegistered), published: strconv.FormatBool(a.AlreadyPublished),
		tx: a.TxHash, plan: a.approved, record: a.RecordPath, summary: a.SummaryPath, verify: a.VerifyCommands,
	}, a)
}

// left is what a run left behind, as outputs say it.
type left struct {
	registered, published, tx, record, summary string
	plan                                       *approval.Plan // that was made, or approved; nil for none
	verify                                     []string
}

// planned are the hash of the plan, and the plan as its file has it, in one line.
func (l left) planned() (hash string, document []byte, err error) {
	if l.plan == nil {
		return "", nil, nil
	}
	if document, err = json.Marshal(l.plan); err != nil {
		err = fmt.Errorf("encoding plan: %w", err)
	}
	return l.plan.Hash, document, err
}

// outputs are the same whatever was run, so that none is missing.
func outputs(i Identity, l left, document any) ([]ci.Output, error) {
	encoded, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encoding answer: %w", err)
	}
	hash, plan, err := l.planned()
	if err != nil {
		return nil, err
	}
	return []ci.Output{
		{Name: "version", Value: i.Version}, {Name: "image", Value: i.Image}, {Name: "digest", Value: i.Digest}, {Name: "config-digest", Value: i.ConfigDigest},
		{Name: "mrenclave", Value: i.MRENCLAVE}, {Name: "mrenclave-changed", Value: i.MRENCLAVEChanged}, {Name: "fingerprint", Value: i.Fingerprint},
		{Name: "app-address", Value: i.AppAddress}, {Name: "already-registered", Value: l.registered},
		{Name: "order-hash", Value: i.OrderHash}, {Name: "already-published", Value: l.published}, {Name: "tx-hash", Value: l.tx}, {Name: "plan-hash", Value: hash},
		{Name: "record-path", Value: l.record}, {Name: "summary-path", Value: l.summary},
		{Name: "verify-commands", Value: strings.Join(l.verify, "\n"), File: "verify-commands.txt"},
		{Name: "plan-json", Value: string(plan), File: "plan.json"},
		{Name: "result-json", Value: string(encoded), File: "result.json"},
	}, nil
}

// KnownOutputs are those whose values are known before a release.
func (c Context) KnownOutputs() []ci.Output {
	return []ci.Output{{Name: "record-path", Value: c.Record}, {Name: "summary-path", Value: c.Summary}}
}

// Verdict says in one line what a release came to.
func (a Release) Verdict() string {
	if len(a.Made) == 0 {
		return "nothing was made: image, signature, provenance, app and order of " + a.Version + " were there already"
	}
	if slices.Equal(a.Made, []string{"attest"}) {
		return "nothing was made but what the image's key attests of it: image, signature, app and order of " + a.Version + " were there already"
	}
	return fmt.Sprintf("released %s %s on %s", a.Record.App.Name, a.Version, a.Record.App.Chain)
}

// Rows are what there is now, as it is called.
func (a Release) Rows() [][2]string {
	return slices.DeleteFunc([][2]string{
		{"Image", a.Image + "@" + a.Digest}, {"MRENCLAVE", a.MRENCLAVE}, {"It is", a.Record.Enclave.Rests()}, {"App", a.AppAddress + existing(a.AlreadyRegistered)},
		{"Canary", a.canary()}, {"Order", a.OrderHash + a.sold()}, {"Transaction", a.TxHash}, {"Source", a.Record.Source.State()},
	}, func(row [2]string) bool { return row[1] == "" })
}

// canary is the deal of the run that proved the release; nothing without one.
func (a Release) canary() string {
	if a.Record.Canary == nil {
		return ""
	}
	return "deal " + a.Record.Canary.Deal.Hex()
}

// sold is what is said of the order beside its hash.
func (a Release) sold() string {
	if a.Record.IsPresigned() {
		return " (presigned by the owner, and on no market: who has the record has it)"
	}
	return existing(a.AlreadyPublished)
}

func existing(there bool) string {
	if there {
		return " (was there already)"
	}
	return ""
}

// Summary is what a job's page shows: the verdict, the steps, what was released, how to
// check it, and the rest folded.
func (a Release) Summary() string {
	var m markdown
	m.add(fmt.Sprintf("### ✓ Released %s %s on %s\n", Code(a.Record.App.Name), Code(a.Version), Code(a.Record.App.Chain)))
	if len(a.Made) == 0 {
		m.add("\nNothing was made: all of it was there already.\n")
	}
	if a.Synthetic {
		m.add("\n**Synthetic measurement**: made by a stand-in toolchain, it says nothing of a real enclave.\n")
	}
	m.steps(a.context.Steps)
	m.table([][2]string{
		{"Source", Code(a.Record.Source.State())},
		{"Image", Code(a.Image + "@" + a.Digest)},
		{"MRENCLAVE", a.context.measurement(a.MRENCLAVE, nil)},
		{"It is", cell(a.Record.Enclave.Rests())},
		{"App", Code(a.AppAddress) + existing(a.AlreadyRegistered)},
		{"Canary", Code(a.canary())},
		{"Order", Code(a.OrderHash) + a.sold()},
		{"Transaction", Code(a.TxHash)},
		{"Approved plan", Code(a.PlanHash)},
		{"Run", a.context.run()},
	})
	m.add("\nCheck it yourself:\n\n" + Fence(strings.Join(a.VerifyCommands, "\n")))
	m.fold("Details", a.details())
	m.fold("Materials of the build", a.materials())
	return m.String()
}

// measurement is the cell with the measurement: what was accepted, what it is now, and
// why they differ.
func (c Context) measurement(now string, reasons []lock.Change) string {
	accepted, changed := c.measured(now)
	switch {
	case now == "" && accepted == "":
		return ""
	case accepted == "":
		return Code(now) + " (none was accepted before)"
	case now == "" && len(reasons) == 0:
		return Code(accepted) + " is the accepted one; the build tells whether it stays"
	case changed == "false":
		return Code(now) + ", as accepted"
	}
	if now == "" {
		return Code(accepted) + " → another one" + because(reasons)
	}
	return Code(accepted) + " → " + Code(now) + because(reasons)
}

// because lists the first reasons for a change.
func because(reasons []lock.Change) (text string) {
	var why []string
	for _, reason := range reasons[:min(len(reasons), 3)] {
		why = append(why, cell(reason.String()))
	}
	if len(why) > 0 {
		text = ": " + strings.Join(why, ", ")
	}
	if more := len(reasons) - len(why); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// run is the cell with the run.
func (c Context) run() string {
	var parts []string
	for _, part := range []string{string(c.Run.System), c.Run.Event, c.Run.URL, c.Run.Workflow} {
		if part != "" {
			parts = append(parts, cell(part))
		}
	}
	return strings.Join(parts, " ")
}

func (a Release) details() string {
	var m markdown
	m.table([][2]string{
		{"Made by this run", Code(strings.Join(a.Made, ", "))}, {"Inputs", Code(a.Record.Source.Inputs.String())}, {"Image config", Code(a.ConfigDigest)},
		{"Fingerprint", cell(a.Fingerprint)}, {"Chain", Code(fmt.Sprintf("%s (%d), hub %s", a.Record.App.Chain, a.Record.App.ChainID, common.Address(a.Record.App.Hub)))},
		{"Owner", Code(common.Address(a.Record.App.Owner).Hex())}, {"Record", Code(a.RecordPath)},
	})
	return m.String()
}

// materials lists what the build took from elsewhere.
func (a Release) materials() string {
	var b strings.Builder
	for _, material := range a.Record.Source.Materials {
		fmt.Fprintf(&b, "%s %s\n", material.Digest, material.URI)
	}
	if b.Len() == 0 {
		return "None."
	}
	return Fence(b.String())
}
