package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
)

// Word is by whose word a link of a verification holds.
type Word string

// The words. What a chain's node, a market or a registry says and nothing proves is
// asserted, too: Check.By says by whom.
const (
	Proved   Word = "proved"   // computed by whoever verifies
	Signed   Word = "signed"   // by a key or an identity, and the signature was checked
	Asserted Word = "asserted" // by somebody, and nobody proves it
	// Absent is what a release may have and this one has not: nothing holds by it.
	Absent Word = "absent"
)

// Check is one link of a verification, looked up.
type Check struct {
	Name     string
	Word     Word   // by whose word it holds; empty when Err is set
	By       string // who asserts it, or signed it; empty: the evidence says it
	Evidence string // what was found; empty when Err is set
	Err      error  // why the link does not hold, or could not be looked up; see [Unchecked]
	Took     time.Duration
}

// String is what was found, and by whose word; or why not.
func (c Check) String() string {
	switch {
	case c.Err != nil:
		return c.Err.Error()
	case c.By != "":
		return fmt.Sprintf("%s by %s: %s", c.Word, c.By, c.Evidence)
	case c.Word == Signed:
		return fmt.Sprintf("%s %s", c.Word, c.Evidence)
	}
	return fmt.Sprintf("%s: %s", c.Word, c.Evidence)
}

// found is what a check found.
type found struct {
	word         Word
	by, evidence string
}

func proved(evidence string) found       { return found{Proved, "", evidence} }
func signed(evidence string) found       { return found{Signed, "", evidence} }
func asserted(by, evidence string) found { return found{Asserted, by, evidence} }

// Who asserts things.
const (
	theNode     = "the node"
	theMarket   = "the market"
	theRegistry = "the registry"
)

// UncheckedError says that a link could not be looked up, and why; that something is
// wrong with it is another error.
type UncheckedError struct{ Why string }

func (e *UncheckedError) Error() string { return "not checked: " + e.Why }

// Unchecked reports whether an error of a check says that the link was not looked up, or
// that there is nothing to look at: that is no reason to distrust it, and none to trust it.
func Unchecked(err error) bool {
	var unmeasured *measure.UnmeasuredError
	var unchecked *UncheckedError
	var unrecorded *UnrecordedError
	return errors.As(err, &unmeasured) || errors.As(err, &unchecked) || errors.As(err, &unrecorded)
}

// UnverifiedError says that links of a release do not hold. Its cause is the first
// one's: the later checks depend on the earlier ones.
type UnverifiedError struct {
	Failed, Total int
	Err           error
}

func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("the release does not verify: %d of %d checks failed", e.Failed, e.Total)
}

// Unwrap returns the first check's error.
func (e *UnverifiedError) Unwrap() error { return e.Err }

type check struct {
	name string
	look func(context.Context) (found, error)
}

// run looks a link up, within the time that there is for one.
func (l check) run(ctx context.Context) Check {
	c, start := Check{Name: l.name}, time.Now()
	var f found
	c.Err = bounds.Within(ctx, bounds.Act, "the check of the "+l.name, func(ctx context.Context) (err error) {
		f, err = l.look(ctx)
		return err
	})
	c.Word, c.By, c.Evidence, c.Took = f.word, f.by, f.evidence, time.Since(start)
	return c
}
