package approvals

import (
	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/release"
)

// Rules say what the errors mean that only releases have that were approved.
func Rules() []usage.Rule {
	return []usage.Rule{
		usage.On(usage.Is[*approval.DiffersError], "E-PLAN-DIFFERS", usage.ExitPolicy, usage.Say("nothing was written by this run: undo what differs, or run mrelease plan -o again and have that plan approved")),
		usage.On(usage.Is[*approval.HashError], "E-PLAN-HASH", usage.ExitPolicy, usage.Say("take the plan's file from whoever approved it again, or run mrelease plan -o again and have that plan approved")),
		usage.On(usage.Is[*release.InSourceError], "E-OUTPUT", usage.ExitUsage, usage.Say("write it to dist/plan.json, and have dist in .dockerignore")),
		usage.On(usage.Is[*approval.Error], "E-PLAN", usage.ExitUsage, usage.Say("make a plan with mrelease plan -o and this version of mrelease, and have it approved")),
	}
}
