package canary

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Place is where a run can be looked up.
type Place struct {
	App, Workerpool common.Address
	Deal, Task      common.Hash
	Chain           string
}

func (p Place) facts() [][2]string {
	return [][2]string{{"app", p.App.Hex() + " on " + p.Chain}, {"deal", p.Deal.Hex()}, {"task", p.Task.Hex()}, {"workerpool", p.Workerpool.Hex()}}
}

// FailedError says that a release's canary failed, or did not bring what was expected:
// nothing is offered.
type FailedError struct {
	Place
	Problem          string
	Expected, Actual string
	Came             [][2]string // how far a run without a result came, and what that may mean; else empty
	Folder           string      // with the result; empty: there is none
	Printed          string      // by the run, as far as its result tells
	Judged           string      // what its judge printed
	Closed           string      // what became of the order that sold the run
}

// Error implements error.
func (e *FailedError) Error() string { return "the canary failed: " + e.Problem }

// Evidence returns what was expected, where the run can be looked up, and what it printed.
func (e *FailedError) Evidence() [][2]string {
	facts := append([][2]string{{"expected", e.Expected}, {"actual", e.Actual}}, e.Came...)
	facts = append(facts, e.facts()...)
	if e.Folder != "" {
		facts = append(facts, [2]string{"result", e.Folder})
	}
	facts = append(facts, printed("the run printed", e.Printed)...)
	facts = append(facts, printed("its judge printed", e.Judged)...)
	return append(facts, printed("its order", e.Closed)...)
}

// RunningError says that a canary was not waited for any longer: nothing is known of it yet,
// and nothing is offered.
type RunningError struct {
	Place
	Status   string
	Waited   time.Duration
	Deadline time.Time // after which it can be claimed
}

// Error implements error.
func (e *RunningError) Error() string {
	return fmt.Sprintf("the canary has not ended within %s", e.Waited)
}

// Evidence returns how far it is, and how long it may take.
func (e *RunningError) Evidence() [][2]string {
	facts := [][2]string{{"expected", "a result"}, {"actual", e.Status}, {"deadline", e.Deadline.UTC().Format(time.RFC3339) + ": then what was paid for it can be claimed"}}
	return append(facts, e.facts()...)
}

// OtherError says that a canary was bought with other settings than there are now: its deal
// cannot be found by them, and what it would show is not what is asked.
type OtherError struct {
	Order common.Hash // which sold it
	Round uint64      // how many were bought before it
	App   common.Address
	Chain string
}

// Error implements error.
func (e *OtherError) Error() string {
	return "a canary of this app was bought with other settings than canary.* has now"
}

// Evidence returns the order that was used up.
func (e *OtherError) Evidence() [][2]string {
	return [][2]string{
		{"expected", "a deal of the request that canary.* makes"}, {"actual", fmt.Sprintf("none, and order %s, which sells canary %d, has no runs left", e.Order, e.Round+1)},
		{"where", e.App.Hex() + " on " + e.Chain},
	}
}
