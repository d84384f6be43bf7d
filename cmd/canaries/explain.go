package canaries

import (
	"github.com/mrelease/mrelease/canary"
	"github.com/mrelease/mrelease/cmd/usage"
)

// Rules say what the errors mean that only canaries have.
func Rules() []usage.Rule {
	return []usage.Rule{
		usage.On(usage.Is[*canary.FailedError], "E-CANARY", usage.ExitCanary, usage.Say("nothing was offered: mend the app and release a new version; if the app is right and the run was not, correct canary.* (what is expected is compared anew), and buy another one with --canary-again")),
		usage.On(usage.Is[*canary.RunningError], "E-CANARY-RUNNING", usage.ExitTask, usage.Say("run the same command again: it goes on waiting for the same run, and buys no other")),
		usage.On(usage.Is[*canary.OtherError], "E-CANARY-OTHER", usage.ExitPolicy, usage.Say("set canary.* as it was when the run was bought, or buy another one with --canary-again")),
		usage.On(usage.Is[*canary.JudgeError], "E-CANARY-JUDGE", usage.ExitUsage, usage.Say("correct the program that canary.judge names, or canary.judge-timeout, and run the same command again: it judges the same run")),
	}
}
