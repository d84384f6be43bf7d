package record

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/request/deal"
)

// Canary is a run of the app, which its owner bought before the order was offered. That
// there was one stands on the chain; what its result was compared with, and that it was as
// expected, is the owner's word.
type Canary struct {
	Deal   common.Hash `json:"deal"`
	Task   common.Hash `json:"task"`
	Result common.Hash `json:"result"`           // digest of its result, as the chain has it
	File   string      `json:"file,omitempty"`   // path in the result of the file whose digest was compared
	Digest string      `json:"digest,omitempty"` // that digest, sha256:…
	Judge  string      `json:"judge,omitempty"`  // digest of the program that judged the result
	// Unaddressed says that the result was not compared with its address on IPFS: then of
	// its files those alone are known to be the workers' that the digest is made of.
	Unaddressed bool `json:"unaddressed,omitempty"`
}

// Stated says what the owner states of the run.
func (c Canary) Stated() string {
	stated := "that the canary ran before the order was offered"
	if c.File != "" {
		stated += fmt.Sprintf(", that %s of its result had %s", c.File, c.Digest)
	}
	if c.Judge != "" {
		stated += fmt.Sprintf(", that the program %s took its result", c.Judge)
	}
	if c.Unaddressed {
		stated += ", that of its result no more was compared than its digest: what is not deterministic in it may be a gateway's"
	}
	return stated
}

// canary looks up the run: that it was of this app, bought by the owner, and completed.
func (a auditor) canary(ctx context.Context) (found, error) {
	c := a.Canary
	d, err := deal.Read(ctx, a.World.Chain, c.Deal)
	if err != nil {
		return found{}, err
	}
	tasks, err := deal.Tasks(ctx, a.World.Chain, d)
	if err != nil {
		return found{}, err
	}
	if len(tasks) == 0 {
		return found{}, &Error{"has a canary whose deal has no run", "no task", c.Task.Hex()}
	}
	t := tasks[0]
	for _, is := range []struct{ problem, got, want string }{
		{"has a canary of another app", d.App.Pointer.Hex(), common.Address(a.App.Address).Hex()},
		{"has a canary that somebody else than the app's owner bought", d.Requester.Hex(), common.Address(a.App.Owner).Hex()},
		{"has another task than its canary's deal", c.Task.Hex(), t.ID.Hex()},
		{"has a canary that is not completed", string(t.Stage), string(deal.Completed)},
		{"has another result of its canary than the chain", c.Result.Hex(), t.Digest.Hex()},
	} {
		if is.got != is.want {
			return found{}, &Error{is.problem, is.got, is.want}
		}
	}
	return asserted(theNode, fmt.Sprintf("deal %s: the owner bought a run of this app, which workerpool %s completed; whether its result was good is the owner's word", c.Deal, d.Workerpool.Pointer)), nil
}
