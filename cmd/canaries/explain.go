package canaries

import (
	"errors"

	"github.com/mrelease/mrelease/canary"
)

// Exit codes beside those of the other commands.
const (
	exitUsage   = 2
	exitRunning = 18 // it is not known yet whether the run will be good
	exitCanary  = 19 // the run failed, or its result is not what was expected
	exitPolicy  = 40
)

// Explain returns code, exit code and remedy of the errors that only canaries have; "" for
// others.
func Explain(err error) (code string, exit int, remedy string) {
	for _, r := range []struct {
		matches func(error) bool
		code    string
		exit    int
		remedy  string
	}{
		{is[*canary.FailedError], "E-CANARY", exitCanary, "nothing was offered: mend the app and release a new version; if the app is right and the run was not, correct canary.* (what is expected is compared anew), and buy another one with --canary-again"},
		{is[*canary.RunningError], "E-CANARY-RUNNING", exitRunning, "run the same command again: it goes on waiting for the same run, and buys no other"},
		{is[*canary.OtherError], "E-CANARY-OTHER", exitPolicy, "set canary.* as it was when the run was bought, or buy another one with --canary-again"},
		{is[*canary.JudgeError], "E-CANARY-JUDGE", exitUsage, "correct the program that canary.judge names, or canary.judge-timeout, and run the same command again: it judges the same run"},
	} {
		if r.matches(err) {
			return r.code, r.exit, r.remedy
		}
	}
	return "", 0, ""
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}
