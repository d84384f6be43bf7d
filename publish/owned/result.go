package owned

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// Result is what came out of an app, or of one of its links.
type Result string

// The results.
const (
	Holds      Result = "holds"      // each link that was looked at; layers and measurement may not have been
	Unsold     Result = "unsold"     // all but its order, which is not on sale any more
	Unrecorded Result = "unrecorded" // no record explains it: mrelease did not release it, or the record is gone
	Unasked    Result = "unasked"    // who has to answer did not, or not so that it can be judged
	Failed     Result = "failed"     // a link does not hold
)

// Results are all of them, the worst first. The worst of an app's links is its own, and the
// worst of all apps is what a call comes to.
func Results() []Result { return []Result{Failed, Unasked, Unrecorded, Unsold, Holds} }

// App is an app, verified.
type App struct {
	apps.Registration
	Subject record.Subject
	Checks  []record.Check // in order; those of [record.Verify], unless nothing leads to a release
	Result  Result
}

// Worst is the first link that is as bad as the app; of one that holds, the first that was
// not looked at, if there is one.
func (a App) Worst() (c record.Check, found bool) {
	for _, c := range a.Checks {
		if c.Err != nil && a.of(c) == a.Result {
			return c, true
		}
	}
	return c, false
}

// judge sets the result: the worst of the links.
func (a *App) judge() {
	has := map[Result]bool{}
	for _, c := range a.Checks {
		has[a.of(c)] = true
	}
	for _, r := range Results() {
		if has[r] {
			a.Result = r
			return
		}
	}
}

// of is what a link came to.
func (a App) of(c record.Check) Result {
	switch {
	case c.Err == nil, is[*measure.UnmeasuredError](c.Err):
		return Holds
	case is[*record.UnrecordedError](c.Err), is[*record.Error](a.Subject.Missing): // it names no image as mrelease does
		return Unrecorded
	case is[*record.UncheckedError](c.Err) && is[*record.UnrecordedError](a.Subject.Missing):
		return Unrecorded // what it lacks stands in the record
	case is[*record.UncheckedError](c.Err):
		return Unasked
	case hasEnded(c.Err):
		return Unsold
	case isOutage(c.Err):
		return Unasked
	}
	return Failed
}

// hasEnded tells an order that is sold no more from one that is another, or not signed.
func hasEnded(err error) bool {
	var order *node.OrderError
	return is[*orders.NotOfferedError](err) || errors.As(err, &order) && order.State != ""
}

// isOutage tells who did not answer, or not within bounds, from what was answered.
func isOutage(err error) bool {
	if is[*registry.MissingError](err) { // it was asked, and has no such image
		return false
	}
	return is[*registry.Error](err) || is[*registry.SilentError](err) || is[*registry.LoginError](err) || is[*market.Error](err) || is[*node.RPCError](err) ||
		is[*bounds.SlowError](err) || is[*bounds.Error](err) || is[*bounds.AddressError](err)
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Tally counts what came out.
type Tally struct {
	Owner common.Address
	Chain string
	Apps  int
	Of    map[Result]int
	// Stopped is why no more apps than these were verified; nil: these are all.
	Stopped error

	first map[Result]cause
}

// cause is an app and why it came to its result.
type cause struct {
	app  common.Address
	link string
	err  error
}

func newTally(owner common.Address, chain string) Tally {
	return Tally{Owner: owner, Chain: chain, Of: map[Result]int{}, first: map[Result]cause{}}
}

func (t *Tally) add(a App) {
	t.Apps++
	t.Of[a.Result]++
	worst, found := a.Worst()
	if _, known := t.first[a.Result]; found && !known {
		t.first[a.Result] = cause{a.Address, worst.Name, worst.Err}
	}
}

// String counts in words.
func (t Tally) String() string {
	words := map[Result]string{
		Failed: "failed", Unasked: "could not be asked about", Unrecorded: "not explained by a record", Unsold: "not on sale, and hold otherwise", Holds: "hold in all that was looked at",
	}
	parts := make([]string, 0, len(words)+1)
	for _, r := range Results() {
		if n := t.Of[r]; n > 0 {
			parts = append([]string{fmt.Sprintf("%d %s", n, words[r])}, parts...)
		}
	}
	if t.Stopped != nil {
		parts = append(parts, "not all were looked at")
	}
	return fmt.Sprintf("%s of %s on %s: %s", printable.Count(t.Apps, "app"), t.Owner, t.Chain, strings.Join(parts, ", "))
}

// Err is what the call comes to, by the worst result that there is, and the first app that
// has it; that not all apps could be enumerated counts as one that could not be asked about.
// It is nil when each link of each app was looked at, and holds; else an *Error.
func (t Tally) Err() error {
	for _, r := range Results() {
		c, there := t.first[r]
		if r == Unasked && t.Stopped != nil && !there {
			return &Error{Tally: t, Err: t.Stopped}
		}
		if there {
			return &Error{t, c.app, c.link, c.err}
		}
	}
	return nil
}

// Error says that not all links of an owner's apps hold, or were looked at.
type Error struct {
	Tally Tally
	App   common.Address // the first that came to the worst result; zero: why there are more
	Link  string
	Err   error
}

func (e *Error) Error() string { return e.Tally.String() }

// Unwrap returns why the app came to that.
func (e *Error) Unwrap() error { return e.Err }

// Evidence returns the app, its link, and what is known of it.
func (e *Error) Evidence() (facts [][2]string) {
	if e.App != (common.Address{}) {
		facts = append(facts, [2]string{"app", e.App.Hex()}, [2]string{"link", e.Link})
	}
	facts = append(facts, [2]string{"because", e.Err.Error()})
	var more interface{ Evidence() [][2]string }
	if errors.As(e.Err, &more) {
		facts = append(facts, more.Evidence()...)
	}
	return facts
}

// NoneError says that an owner has no app.
type NoneError struct {
	Owner common.Address
	Chain string
	Block node.Block
}

func (e *NoneError) Error() string { return fmt.Sprintf("%s owns no app on %s", e.Owner, e.Chain) }

// Evidence returns where and when that is so.
func (e *NoneError) Evidence() [][2]string {
	return [][2]string{{"expected", "an app of " + e.Owner.Hex()}, {"actual", "none"}, {"where", e.Chain + ", " + e.Block.String()}}
}
