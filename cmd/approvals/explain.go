package approvals

import (
	"errors"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/release"
)

// inSourceRemedy says where a plan's file can be, and where that is left out of what is built.
func inSourceRemedy(err error) string {
	ignore := "the ignore file that counts (.dockerignore, or the Dockerfile's own)"
	if e, ok := errors.AsType[*release.InSourceError](err); ok && e.Ignore != "" {
		ignore = e.Ignore
	}
	return "write it to dist/plan.json, and have dist in " + ignore
}

// Rules say what the errors mean that only releases have that are approved, by a plan's file
// or by the owners of a Safe.
func Rules() []usage.Rule {
	return []usage.Rule{
		usage.On(usage.Is[*approval.DiffersError], "E-PLAN-DIFFERS", usage.ExitPolicy, usage.Say("nothing was written by this run: undo what differs, or run mrelease plan -o again and have that plan approved")),
		usage.On(usage.Is[*approval.HashError], "E-PLAN-HASH", usage.ExitPolicy, usage.Say("take the plan's file from whoever approved it again, or run mrelease plan -o again and have that plan approved")),
		usage.On(usage.Is[*release.WaitingError], "E-SAFE", usage.ExitWaits, usage.Say("import the file named above at the Safe's interface (app Transaction Builder), have it executed there, then run the same command again")),
		usage.On(usage.Is[*release.InSourceError], "E-OUTPUT", usage.ExitUsage, inSourceRemedy),
		usage.On(usage.Is[*approval.Error], "E-PLAN", usage.ExitUsage, usage.Say("make a plan with mrelease plan -o and this version of mrelease, and have it approved")),
	}
}
