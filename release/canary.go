package release

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/mrelease/mrelease/canary"
	"github.com/mrelease/mrelease/request/deal"
)

// canary is the run that proves the app; of one that is not known yet, the run that would.
func (r *run) canary() (canary.Canary, error) {
	c := r.Settings.Canary
	text, err := c.RequestText()
	return canary.Canary{
		Chain: r.Chain, Market: r.Market, App: r.registration.Address, Owner: r.owner(), Tag: r.Settings.Order.Tag, Again: r.CanaryAgain,
		Terms: canary.Terms{
			Workerpool: c.Workerpool, MaxPrice: c.MaxPrice, Category: c.Category, Params: text, Deposit: c.Deposit, Timeout: time.Duration(c.Timeout),
			Expected: canary.Expected{File: c.File, Digest: string(c.Digest), Judge: string(c.Judge), JudgeTimeout: time.Duration(c.JudgeTimeout)},
		},
	}, err
}

// prove has the app run once before its order is offered.
func (r *run) prove(ctx context.Context) (string, error) {
	c, err := r.canary()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(filepath.Dir(r.Layout), "canary")
	if err := TryOutput(folder); err != nil {
		return "", err
	}
	proof, made, err := c.Prove(ctx, canary.Proving{Wallet: r.keys.wallet, Folder: folder, Getenv: r.Getenv, Tell: r.Teller.Note})
	if err != nil {
		return "", err
	}
	r.proof = &proof
	text := fmt.Sprintf("deal %s, task %s completed", proof.Deal, proof.Task)
	if proof.Unaddressed {
		text += ", its result not compared with its address"
	}
	return r.note("canary", made, text), nil
}

// lookForCanary says whether there was a run, else what one costs. Who cannot pay for it
// is told so before anything is written.
func (r *run) lookForCanary(ctx context.Context) ([]Finding, error) {
	c, err := r.canary()
	if err != nil {
		return nil, err
	}
	found, err := c.Look(ctx)
	switch {
	case err != nil:
		return nil, err
	case found.Stage == deal.Completed:
		return []Finding{{"canary", There, fmt.Sprintf("deal %s was completed; its result is judged at the release", found.Deal)}}, nil
	case found.Stage == deal.Late:
		return []Finding{{"canary", There, fmt.Sprintf("deal %s was made, and its time is over without a result: the release claims what was paid for it, and fails; with --canary-again it buys another run", found.Deal)}}, nil
	case found.Stage != "":
		return []Finding{{"canary", There, fmt.Sprintf("deal %s was made, and is %s: the release waits for it, and judges its result", found.Deal, found.Stage)}}, nil
	}
	cost := fmt.Sprintf("%s nRLC; of the wallet's stake %s nRLC are free", found.Price, found.Stake)
	if found.Missing.Sign() > 0 {
		cost += fmt.Sprintf(", and %s nRLC are deposited", found.Missing)
	}
	return []Finding{
		{"canary", ToMake, fmt.Sprintf("a run would be bought in workerpool %s", found.Workerpool)},
		{"canary cost", Note, cost},
	}, nil
}
