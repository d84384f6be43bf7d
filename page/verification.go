package page

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
)

// Verification is the answer of mrelease verify: mrelease.verify/v1.
type Verification struct {
	Schema string   `json:"schema"`
	OK     bool     `json:"ok"`             // each link was looked at, and holds
	Said   string   `json:"verdict"`        // in words: PASSED, FAILED, or INCOMPLETE and why
	Code   string   `json:"code,omitempty"` // of the error that the verification ends with
	Asked  Asked    `json:"asked"`
	Checks []Check  `json:"checks"`
	Stated []string `json:"stated"` // what the record's owner states and nothing outside says

	record record.Record
	given  string // how the release was named
}

// Asked is whom a verification asked about the chain.
type Asked struct {
	Chain  string         `json:"chain"`
	ID     uint64         `json:"chainId"`
	Hub    record.Address `json:"hub"`
	Node   string         `json:"node"`             // URL, without secrets
	Market string         `json:"market"`           // likewise
	Config []string       `json:"config,omitempty"` // files that say so in place of what is built in
	Bundle string         `json:"bundle,omitempty"` // file that answered in the place of node, market and registry
	AsOf   *time.Time     `json:"asOf,omitempty"`   // when it was made, as it says
	Block  *Block         `json:"block,omitempty"`  // at which it proves app and order; without a file: as of which the chain answered
}

// Block is a block of a chain.
type Block struct {
	Hash   common.Hash `json:"hash"`
	Number uint64      `json:"number"`
	Time   time.Time   `json:"time"`
	Given  bool        `json:"given"` // the hash is one that whoever verifies gave
}

// NewAsked says whom a world asks, and which files chose that.
func NewAsked(w record.World, files []string) Asked {
	asked := Asked{
		Chain: w.Chain.Name, ID: w.Chain.ID, Hub: record.Address(w.Chain.Hub),
		Node: w.Chain.Node(), Market: w.Market.Node(), Config: files,
	}
	if s := w.Saved; s != nil {
		asked.Bundle, asked.AsOf = s.File, &s.Made
		if f := s.Facts; f != nil {
			asked.Block = &Block{f.Block.Hash, f.Block.Number, f.Block.Time, s.Given}
		}
	}
	return asked
}

func (q Asked) String() string {
	from := "as built in"
	if len(q.Config) > 0 {
		from = "with " + strings.Join(q.Config, ", ")
	}
	if q.Bundle != "" {
		return fmt.Sprintf("nobody: %s (%d), hub %s, as %s of %s has it (%s ago), %s", q.Chain, q.ID, common.Address(q.Hub), q.Bundle, q.AsOf.Format(time.RFC3339), time.Since(*q.AsOf).Round(time.Minute), q.Block)
	}
	return fmt.Sprintf("%s (%d), hub %s, node %s, market %s, %s", q.Chain, q.ID, common.Address(q.Hub), q.Node, q.Market, from)
}

// isHearsay reports whether a file is all that says what the chain has: whoever made it may
// have made the chain, too.
func (q Asked) isHearsay() bool { return q.Bundle != "" && (q.Block == nil || !q.Block.Given) }

// String names the block, and says whose word its hash is.
func (b *Block) String() string {
	switch {
	case b == nil:
		return "without a proof"
	case b.Given:
		return fmt.Sprintf("proven at block %d of %s, whose hash was given", b.Number, b.Time.Format(time.RFC3339))
	}
	return fmt.Sprintf("proven at block %d (%s) of %s, if that is one of the chain", b.Number, b.Hash, b.Time.Format(time.RFC3339))
}

// Check is a link of a release.
type Check struct {
	Name     string      `json:"name"`
	OK       bool        `json:"ok"`
	State    string      `json:"state"`          // holds, fails, unchecked, absent: there is no such link
	Word     record.Word `json:"word,omitempty"` // by whose word it holds
	By       string      `json:"by,omitempty"`   // who signed or asserts it, where the evidence does not say it
	Code     string      `json:"code,omitempty"` // of the error
	Evidence string      `json:"evidence"`
}

// NewVerification begins the answer about a release that was named like this.
func NewVerification(asked Asked, s record.Subject, given string) Verification {
	return Verification{Schema: "mrelease.verify/v1", Asked: asked, Stated: append([]string{}, s.Stated()...), record: s.Record, given: given}
}

// Add adds a link. Code and text are those of its error, as it is shown.
func (v *Verification) Add(c record.Check, code, text string) {
	check := Check{Name: c.Name, OK: c.Err == nil, State: "holds", Word: c.Word, By: c.By, Evidence: c.Evidence}
	if c.Err != nil {
		check.State, check.Code, check.Evidence = "fails", code, text
	}
	switch {
	case record.Unchecked(c.Err):
		check.State = "unchecked"
	case c.Word == record.Absent:
		check.State = "absent"
	}
	v.Checks = append(v.Checks, check)
}

// Conclude judges the links by their errors, in order, and returns the error that the
// verification ends with; nil when all of them hold.
func (v *Verification) Conclude(all []error) error {
	var failed, open []error
	for _, err := range all {
		if record.Unchecked(err) {
			open = append(open, err)
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	if v.Asked.isHearsay() {
		open = append(open, &record.HearsayError{File: v.Asked.Bundle, Block: v.Asked.Block.String()})
	}
	switch {
	case len(failed) > 0:
		v.Said = "FAILED"
		return &record.UnverifiedError{Failed: len(failed), Total: len(all), Err: failed[0]}
	case len(open) > 0:
		return v.incomplete(open)
	}
	v.OK, v.Said = true, "PASSED"
	return nil
}

// incomplete says what of the links that were not looked at matters most: that it is the
// measurement alone is said when it is.
func (v *Verification) incomplete(open []error) error {
	var unrecorded *record.UnrecordedError
	if errors.As(errors.Join(open...), &unrecorded) {
		v.Said = "INCOMPLETE: there is no record by the app's owner"
		return fmt.Errorf("what was checked holds, but %w", unrecorded)
	}
	isUnmeasured := func(err error) bool { return errors.As(err, new(*measure.UnmeasuredError)) }
	if others := slices.DeleteFunc(slices.Clone(open), isUnmeasured); len(others) > 0 {
		v.Said = "INCOMPLETE: not all links could be looked at"
		return errors.Join(others...)
	}
	switch {
	case len(open) > 1:
		v.Said = "INCOMPLETE: neither layers nor measurement were checked"
		return fmt.Errorf("all else holds, but layers and measurement were %w", open[0])
	case record.IsOfLayers(open[0]): // of an app without a measurement
		v.Said = "INCOMPLETE: the layers were not checked"
		return fmt.Errorf("all else holds, but the layers were %w", open[0])
	}
	v.Said = "INCOMPLETE: the measurement was not checked"
	return fmt.Errorf("all else holds, but the measurement was %w", open[0])
}

// Verdict is the answer in one line.
func (v Verification) Verdict() string { return v.Said }

// Outputs are those of a release, as the record that was checked has them.
func (v Verification) Outputs(c Context) ([]ci.Output, error) {
	return outputs(identity(v.record), left{registered: "true", published: "true", record: c.Record, summary: c.Summary}, v)
}

// Summary says what was checked, and what was not.
func (v Verification) Summary(c Context) string {
	var m markdown
	m.add(fmt.Sprintf("### %s: %s\n", Code(v.Said), Code("mrelease verify "+v.given)))
	m.add("\nAsked: " + cell(v.Asked.String()) + "\n")
	m.steps(c.Steps)
	m.add("\nNot checked, stated by the app's owner alone: " + cell(strings.Join(v.Stated, ", ")) + "\n")
	if run := c.run(); run != "" {
		m.table([][2]string{{"Run", run}})
	}
	return m.String()
}
