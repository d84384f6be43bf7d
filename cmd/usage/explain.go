package usage

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// Exit codes. They tell a script what kind of thing went wrong.
const (
	ExitUnexpected  = 1
	ExitUsage       = 2  // command line or configuration
	ExitDiffers     = 10 // the build is not reproducible
	ExitMeasurement = 11 // the image does not measure, or measures to something else
	ExitSignature   = 12 // of an image or a record; or it was withdrawn
	ExitChain       = 13 // the chain holds, or is, something else
	ExitOrder       = 14 // an order cannot be matched, or opened
	ExitUnmeasured  = 15 // all that was checked is right, and nothing was measured
	ExitResult      = 16 // a result is damaged, for another key, or refused
	ExitSecret      = 17 // the secret service has something else, or nothing
	ExitTask        = 18 // a task ended, or goes on, without a result
	ExitCanary      = 19 // a canary's run failed, or its result is not what was expected
	ExitNetwork     = 20 // registry or market, after retries
	ExitRPC         = 22 // the chain's node
	ExitFunds       = 23
	ExitWaits       = 24 // for the contract that owns the app, which somebody else has act
	ExitPolicy      = 40 // refused: overwriting a version, a dirty tree, a synthetic measurement
)

// Rule says what an error means. Of a table, the first rule that matches counts.
type Rule struct {
	Matches func(error) bool
	Code    string
	Exit    int
	Remedy  func(error) string
}

// On returns a rule: a table has them one in a line.
func On(matches func(error) bool, code string, exit int, remedy func(error) string) Rule {
	return Rule{matches, code, exit, remedy}
}

// Find returns the first rule that matches an error.
func Find(table []Rule, err error) (r Rule, found bool) {
	for _, r := range table {
		if r.Matches(err) {
			return r, true
		}
	}
	return Rule{}, false
}

// Is matches errors that have a T among their causes.
func Is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// IsFile matches a file or folder that cannot be read, written or made.
func IsFile(err error) bool { return Is[*fs.PathError](err) || Is[*os.LinkError](err) }

// IsFullDisk matches a file for which there is no room.
func IsFullDisk(err error) bool {
	return IsFile(err) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT))
}

// Say is a remedy that is the same for all errors of a rule.
func Say(text string) func(error) string { return func(error) string { return text } }
