package canary

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
)

// Proving says what a canary is proved with.
type Proving struct {
	Wallet node.Wallet                  // of the app's owner
	Folder string                       // that the results of runs are put into, each in one of its own
	Getenv func(variable string) string // see judgeVariables
	Tell   func(text string)            // is told what happens; may be nil
}

// Prove finds the app's last run, or buys one where there is none, waits for it, and judges
// its result. It returns what the run shows, and whether this call bought it. A run that
// failed closes the order that sold it, and is not followed by another one unless that is
// asked for.
//
// Errors: *FailedError, *RunningError, *OtherError, *JudgeError, those of [deal.Trade.Buy],
// [deal.Claim] and of fetching a result.
func (c Canary) Prove(ctx context.Context, p Proving) (proof record.Canary, made bool, err error) {
	if p.Tell == nil {
		p.Tell = func(string) {}
	}
	r, err := c.last(ctx)
	if err == nil && r.deal != nil {
		proof, err = c.outcome(ctx, r, p)
	}
	if c.Again && isFailed(err) {
		p.Tell("another canary is bought: " + err.Error())
		r, err = c.round(r.number+1), nil
	}
	if err != nil || r.deal != nil {
		return proof, false, err
	}
	if r, made, err = c.buy(ctx, r, p); err != nil {
		return proof, false, err
	}
	proof, err = c.outcome(ctx, r, p)
	return proof, made, err
}

// buy buys the run of a round, or finds that it was bought.
func (c Canary) buy(ctx context.Context, r round, p Proving) (round, bool, error) {
	private, err := orders.Sign(ctx, c.Chain.Domain(), p.Wallet, r.order)
	if err != nil {
		return r, false, err
	}
	wanted, err := request.SignOrder(ctx, p.Wallet, c.Chain.Domain(), r.request)
	if err != nil {
		return r, false, err
	}
	d, made, err := c.trade(private).Buy(ctx, p.Wallet, wanted, deal.Buying{Deposit: c.Terms.Deposit, Tell: func(m poco.Match, deposited *big.Int) {
		if deposited.Sign() > 0 {
			p.Tell(fmt.Sprintf("deposited %s nRLC in the hub", deposited))
		}
		p.Tell(fmt.Sprintf("buying a run in workerpool %s for %s nRLC", m.Workerpool.Workerpool, m.RunPrice()))
	}})
	r.deal = &d
	return r, made, err
}

// outcome waits for the run of a round and judges it.
func (c Canary) outcome(ctx context.Context, r round, p Proving) (record.Canary, error) {
	t, err := c.follow(ctx, r, p)
	if err != nil {
		return record.Canary{}, c.close(ctx, r, p, err)
	}
	folder := filepath.Join(p.Folder, t.ID.Hex())
	if err := os.RemoveAll(folder); err != nil { // of an earlier run of the release, which may have been killed
		return record.Canary{}, fmt.Errorf("removing result: %w", err)
	}
	got, err := c.fetch(ctx, r, t, folder, p.Tell)
	if err != nil {
		return record.Canary{}, c.close(ctx, r, p, err)
	}
	v, err := c.Terms.Expected.judge(ctx, folder, p.Getenv)
	if err != nil {
		return record.Canary{}, err
	}
	if v.problem != "" {
		said, err := saidBy(folder)
		failed := &FailedError{Place: c.place(r, t), Problem: v.problem, Expected: v.expected, Actual: v.actual, Folder: folder, Printed: said, Judged: v.printed}
		return record.Canary{}, c.close(ctx, r, p, errors.Join(failed, err))
	}
	if !got.Checked {
		p.Tell("the canary's result was not compared with its address: " + got.Unchecked)
	}
	proof, err := c.proof(r, t)
	proof.Unaddressed = !got.Checked
	return proof, err
}

// fetch brings what a completed run made into a new folder, and tells whether it is what
// its address names. What is no result, or cannot be shown to be the one that the workers
// agreed on, is a *FailedError; a gateway that has nothing is not.
func (c Canary) fetch(ctx context.Context, r round, t deal.Task, folder string, tell func(string)) (gateway.Got, error) {
	from := request.Fetching{
		Gateways:  gateway.Gateways{URLs: []string{c.Chain.Gateway}, Tell: tell},
		Unpacking: result.Unpacking{Folder: folder, Most: bounds.ResultContent},
	}
	got, err := from.Fetch(ctx, t)
	switch {
	case err != nil && !isNoResult(err):
		return got.Got, fmt.Errorf("fetching the canary's result: %w", err)
	case err != nil:
		return got.Got, &FailedError{Place: c.place(r, t), Problem: "its result is none", Expected: "an archive with the digest " + t.Digest.Hex(), Actual: err.Error()}
	case got.Archive != "": // of which nobody asked for the encryption
		return got.Got, &FailedError{Place: c.place(r, t), Problem: "its result is encrypted", Expected: "a result in clear, as the request asks for", Actual: got.Archive}
	case got.Result.Unchecked != "":
		return got.Got, &FailedError{
			Place: c.place(r, t), Problem: "its result cannot be compared with what the workers agreed on",
			Expected: "a result with the digest " + t.Digest.Hex(), Actual: got.Result.Unchecked, Folder: folder,
		}
	}
	return got.Got, nil
}

// isNoResult reports whether a result that was fetched is none, whoever fetches it; or more
// than anybody unpacks.
func isNoResult(err error) bool {
	return is[*bounds.Error](err) || is[*deal.LocationError](err) || is[*result.DamagedError](err) || is[*result.RefusedError](err) || is[*result.DigestError](err)
}

func is[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// pause is how long the chain is left alone between two questions for a run.
const pause = time.Second

// follow waits for a run's end, and takes back what was paid for one that is late.
func (c Canary) follow(ctx context.Context, r round, p Proving) (deal.Task, error) {
	limit := c.Terms.Timeout
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err := deal.Follow(limited, c.Chain, *r.deal, deal.Following{Every: pause, Tell: func(e deal.Event) {
		if !e.Task.Stage.IsOver() {
			p.Tell(fmt.Sprintf("the canary's task %s is %s, %s left", e.Task.ID, e.Task.Stage, e.Left.Round(time.Second)))
		}
	}, Idle: func(i deal.Idle) { p.Tell(i.String()) }})
	if err != nil && !is[*deal.TaskError](err) && (ctx.Err() != nil || limited.Err() == nil) {
		return deal.Task{}, err
	}
	t, err := c.task(ctx, r)
	if err != nil {
		return t, err
	}
	came := t // before it is claimed, after which the chain tells less
	if t.Stage == deal.Late {
		tasks, _, err := deal.Claim(ctx, c.Chain, p.Wallet, *r.deal, 0)
		if err != nil {
			return t, err
		}
		t = tasks[0]
	}
	switch t.Stage {
	case deal.Completed:
		return t, nil
	case deal.Failed:
		return t, c.unfinished(r, came)
	}
	return t, &RunningError{Place: c.place(r, t), Status: string(t.Stage), Waited: limit, Deadline: t.Deadline}
}

// close closes the order of a round that failed: the run used it up, unless the hub says
// otherwise. Other errors are returned as they are.
func (c Canary) close(ctx context.Context, r round, p Proving, err error) error {
	var failed *FailedError
	if !errors.As(err, &failed) {
		return err
	}
	if _, closing := node.Close(ctx, c.Chain, p.Wallet, r.order); closing != nil {
		return errors.Join(err, closing)
	}
	failed.Closed = fmt.Sprintf("%s is closed: no runs of it are left on chain", r.order.Hash(c.Chain.Domain()))
	return err
}

// output is the file of a result that has what the run printed, where a worker keeps it.
const output = "stdout.txt"

// saidBy returns the end of what a run printed; nothing where its result does not tell.
func saidBy(folder string) (said string, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", fmt.Errorf("reading result: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := root.Open(output)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading result: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	kept := &tail{most: bounds.Printed}
	_, err = io.Copy(kept, f)
	return kept.String(), err
}

// proof states what a run showed, and what was compared.
func (c Canary) proof(r round, t deal.Task) (record.Canary, error) {
	e := c.Terms.Expected
	proof := record.Canary{Deal: r.deal.ID, Task: t.ID, Result: t.Digest, File: e.File, Digest: e.Digest}
	var err error
	proof.Judge, err = e.JudgeDigest()
	return proof, err
}
