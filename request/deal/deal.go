package deal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
)

// Resource is an app, a dataset or a workerpool in a deal.
type Resource struct {
	Pointer common.Address // of its contract; zero: none
	Owner   common.Address
	Price   *big.Int // per run, in nRLC
}

// Deal is runs that were bought.
type Deal struct {
	ID                       common.Hash
	App, Dataset, Workerpool Resource
	Category                 uint64
	Tag                      poco.Tag
	Requester, Beneficiary   common.Address
	Callback                 common.Address // zero: none
	Params                   string
	Start                    time.Time
	First, Size              uint64    // its runs, among those of the request
	Deadline                 time.Time // what has not ended then never will
}

// NoDealError says that there is no deal of an id.
type NoDealError struct {
	ID    common.Hash
	Chain string
}

// Error implements error.
func (e *NoDealError) Error() string { return fmt.Sprintf("there is no deal %s on %s", e.ID, e.Chain) }

// Evidence returns where it was looked for.
func (e *NoDealError) Evidence() [][2]string {
	return [][2]string{{"expected", "deal " + e.ID.Hex()}, {"where", e.Chain}}
}

// Read reads a deal. Errors: *NoDealError, *node.RPCError.
func Read(ctx context.Context, c *node.Client, id common.Hash) (Deal, error) {
	type answer struct {
		App, Dataset, Workerpool         Resource
		Trust, Category                  *big.Int
		Tag                              [32]byte
		Requester, Beneficiary, Callback common.Address
		Params                           string
		StartTime, BotFirst, BotSize     *big.Int
	}
	got, err := node.Call[answer](ctx, c, c.HubContract(), "viewDeal", id)
	if err != nil {
		return Deal{}, err
	}
	if got.Requester == (common.Address{}) {
		return Deal{}, &NoDealError{id, c.Name}
	}
	d := Deal{
		ID: id, App: got.App, Dataset: got.Dataset, Workerpool: got.Workerpool, Category: got.Category.Uint64(), Tag: got.Tag,
		Requester: got.Requester, Beneficiary: got.Beneficiary, Callback: got.Callback, Params: got.Params,
		Start: at(got.StartTime), First: got.BotFirst.Uint64(), Size: got.BotSize.Uint64(),
	}
	longest, err := longestRun(ctx, c, got.Category)
	d.Deadline = d.Start.Add(longest)
	return d, err
}

// longestRun asks how long after a deal's start its runs must have ended.
func longestRun(ctx context.Context, c *node.Client, category *big.Int) (time.Duration, error) {
	type answer struct {
		Name, Description string
		WorkClockTimeRef  *big.Int // seconds
	}
	got, err := node.Call[answer](ctx, c, c.HubContract(), "viewCategory", category)
	if err != nil {
		return 0, err
	}
	ratio, err := node.Call[*big.Int](ctx, c, c.HubContract(), "final_deadline_ratio")
	if err != nil {
		return 0, err
	}
	return time.Duration(got.WorkClockTimeRef.Int64()*ratio.Int64()) * time.Second, nil
}

// at is a time as the contracts have it.
func at(seconds *big.Int) time.Time { return time.Unix(seconds.Int64(), 0).UTC() }

// OfRequest returns the deals that were made of a request's order, the first one first.
// An order that was closed before it was matched has none. Errors: *TooManyError,
// *node.RPCError.
func OfRequest(ctx context.Context, c *node.Client, order poco.RequestOrder) ([]Deal, error) {
	hash := order.Hash(c.Domain())
	consumed, err := node.Consumed(ctx, c, hash)
	if err != nil {
		return nil, err
	}
	var deals []Deal
	for sold := uint64(0); consumed.Cmp(new(big.Int).SetUint64(sold)) > 0; {
		d, err := Read(ctx, c, idOf(hash, sold))
		if none := new(NoDealError); errors.As(err, &none) { // the rest was closed
			return deals, nil
		}
		if err != nil {
			return nil, err
		}
		if len(deals) == bounds.Deals {
			return nil, tooMany("deals of request "+hash.Hex(), bounds.Deals, nil)
		}
		deals = append(deals, d)
		sold += max(d.Size, 1)
	}
	return deals, nil
}

// TooManyError is the [bounds.Error] of deals and runs that are more than is looked at.
type TooManyError struct{ bound *bounds.Error }

// Error implements error.
func (e *TooManyError) Error() string { return e.bound.Error() }

// Unwrap returns the bound.
func (e *TooManyError) Unwrap() error { return e.bound }

// Evidence returns bound and number.
func (e *TooManyError) Evidence() [][2]string { return e.bound.Evidence() }

func tooMany(of string, most int, got *big.Int) error {
	e := &TooManyError{&bounds.Error{What: "the number of " + of, Most: fmt.Sprint(most)}}
	if got != nil {
		e.bound.Got = got.String()
	}
	return e
}

// idOf is how the hub names a deal of an order, of which so many runs were sold before,
// and likewise a task of a deal by its index.
func idOf(of common.Hash, index uint64) common.Hash {
	word := binary.BigEndian.AppendUint64(make([]byte, 24), index)
	return crypto.Keccak256Hash(of[:], word)
}

// Stage is how far a task is.
type Stage string

// The stages. The first five are of tasks that go on.
const (
	Waiting     Stage = "waiting"     // the scheduler has not taken it
	Initialised Stage = "initialised" // it has, and no worker has contributed
	Contributed Stage = "contributed" // workers have, and do not agree yet
	Revealing   Stage = "revealing"   // they agree, and tell on what
	Completed   Stage = "completed"
	Failed      Stage = "failed" // it was claimed: what was paid is back
	Late        Stage = "late"   // the deadline is past, and nobody has claimed it
)

// IsOver reports whether a task comes to no other stage by itself.
func (s Stage) IsOver() bool { return s == Completed || s == Failed || s == Late }

// Task is a run.
type Task struct {
	ID           common.Hash
	Deal         common.Hash
	Index        uint64
	Stage        Stage
	Reached      Stage // that it had before it was late or failed; else Stage
	Deadline     time.Time
	Contributors []common.Address
	Digest       common.Hash // of the result, which the workers agreed on; zero before
	Results      []byte      // says where the result is; see [Task.Location]
	Callback     []byte      // what the callback contract was called with
}

// Tasks reads the tasks of a deal. Errors: *TooManyError, *node.RPCError.
func Tasks(ctx context.Context, c *node.Client, d Deal) ([]Task, error) {
	if d.Size > bounds.Runs {
		return nil, tooMany("runs of deal "+d.ID.Hex(), bounds.Runs, new(big.Int).SetUint64(d.Size))
	}
	return readTasks(ctx, c, d, d.First, d.First+d.Size)
}

// readTasks reads the tasks of a deal from one index to before another.
func readTasks(ctx context.Context, c *node.Client, d Deal, from, to uint64) ([]Task, error) {
	now, err := now(ctx, c)
	if err != nil {
		return nil, err
	}
	var tasks []Task
	for i := from; i < to; i++ {
		t, err := readTask(ctx, c, d, i, now)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// now is the chain's time, or this machine's if that is later: a chain without
// transactions may have no new block, and the next one has the time that it is then.
func now(ctx context.Context, c *node.Client) (time.Time, error) {
	last, err := c.LastBlock(ctx)
	if here := time.Now(); here.After(last) {
		last = here
	}
	return last, err
}

func readTask(ctx context.Context, c *node.Client, d Deal, index uint64, now time.Time) (Task, error) {
	type answer struct {
		Status                                                            uint8
		Dealid                                                            [32]byte
		Idx, Timeref, ContributionDeadline, RevealDeadline, FinalDeadline *big.Int
		ConsensusValue                                                    [32]byte
		RevealCounter, WinnerCounter                                      *big.Int
		Contributors                                                      []common.Address
		ResultDigest                                                      [32]byte
		Results                                                           []byte
		ResultsTimestamp                                                  *big.Int
		ResultsCallback                                                   []byte
	}
	t := Task{ID: idOf(d.ID, index), Deal: d.ID, Index: index, Deadline: d.Deadline}
	got, err := node.Call[answer](ctx, c, c.HubContract(), "viewTask", t.ID)
	if err != nil {
		return t, err
	}
	t.Contributors, t.Digest, t.Results, t.Callback = got.Contributors, got.ResultDigest, got.Results, got.ResultsCallback
	if got.FinalDeadline.Sign() > 0 {
		t.Deadline = at(got.FinalDeadline)
	}
	t.Stage = stage(got.Status, len(got.Contributors))
	t.Reached = t.Stage
	if t.Stage == Failed {
		t.Reached = reached(got.ConsensusValue, len(got.Contributors))
	}
	if !t.Stage.IsOver() && !now.Before(t.Deadline) {
		t.Stage = Late
	}
	return t, nil
}

// reached is how far a task had come that was claimed, which the contracts keep. One that was
// never initialised is like one that no worker took: a claim initialises it.
func reached(consensus common.Hash, contributors int) Stage {
	switch {
	case consensus != common.Hash{}:
		return Revealing
	case contributors > 0:
		return Contributed
	}
	return Initialised
}

// stage is TaskStatusEnum of IexecLibCore_v5, and what the workers have done.
func stage(status uint8, contributors int) Stage {
	switch {
	case status == 0:
		return Waiting
	case status == 1 && contributors == 0:
		return Initialised
	case status == 1:
		return Contributed
	case status == 2:
		return Revealing
	case status == 3:
		return Completed
	}
	return Failed
}
