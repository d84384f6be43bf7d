package deal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
)

// Event is a step of a task.
type Event struct {
	Task Task
	Left time.Duration // until the task's deadline
}

// Idle is a time in which no task made a step.
type Idle struct {
	Tasks []Task        // that go on, at least one
	Since time.Duration // that long
	Left  time.Duration // until the deadline of the first of them
}

// String says what the chain tells of the first task, and how many others go on.
func (i Idle) String() string {
	t := i.Tasks[0]
	others := ""
	if n := len(i.Tasks) - 1; n > 0 {
		others = fmt.Sprintf(" (and %d more go on)", n)
	}
	return fmt.Sprintf("nothing new for %s: task %s is %s, %s%s; %s left until %s", i.Since.Round(time.Second), t.ID, t.Stage, t.Stage.lack(), others, i.Left.Round(time.Second), t.Deadline.Format(time.RFC3339))
}

// lack is what a task of a stage waits for.
func (s Stage) lack() string {
	switch s {
	case Waiting:
		return "the workerpool's scheduler has not taken it"
	case Initialised:
		return "no worker has contributed"
	case Contributed:
		return "the workers that contributed are too few, or do not agree"
	}
	return "the workers agree, and have not told on what"
}

// may says what it may mean that a task came no further. The chain does not tell which.
func (s Stage) may() string {
	switch s {
	case Waiting:
		return "the scheduler is down, or takes no tasks with such a tag"
	case Initialised:
		return "the app's program does not start (its command, its image, its enclave) or takes longer than the category allows, or no worker was free"
	case Contributed:
		return "the app's results differ from run to run, or the trust asks for more workers than there were"
	}
	return "the workers went away"
}

// Following says how tasks are followed.
type Following struct {
	Tell  func(Event)   // is told of each step of each task; may be nil
	Idle  func(Idle)    // is told when none made a step for a time, and again for twice that; may be nil
	Quiet time.Duration // how long that is at first; 0: a minute
	Every time.Duration // how often the chain is asked; 0: 5 s, a block of Bellecour
}

// TaskError says that a task ended without a result.
type TaskError struct {
	Task  Task
	Chain string
}

// Error implements error.
func (e *TaskError) Error() string {
	if e.Task.Stage == Late {
		return fmt.Sprintf("task %s did not end before its deadline", e.Task.ID)
	}
	return fmt.Sprintf("task %s failed", e.Task.ID)
}

// Evidence returns the task, and when it had to end.
func (e *TaskError) Evidence() [][2]string {
	return append([][2]string{
		{"expected", string(Completed)}, {"actual", string(e.Task.Stage)}, {"task", e.Task.ID.Hex()}, {"deal", e.Task.Deal.Hex()},
		{"deadline", e.Task.Deadline.Format(time.RFC3339)}, {"where", e.Chain},
	}, e.Task.Came()...)
}

// Came returns how far a task came that is late or failed, and what that may mean; nothing
// for another one.
func (t Task) Came() [][2]string {
	came, may := fmt.Sprintf("%s: %s", t.Reached, t.Reached.lack()), t.Reached.may()
	switch {
	case t.Stage != Late && t.Stage != Failed:
		return nil
	case t.Stage == Failed && t.Reached == Initialised: // by the scheduler, or by who claimed it
		came, may = Initialised.lack(), Waiting.may()+"; or "+may
	}
	return [][2]string{{"came to", came}, {"may mean", may}}
}

// maxOutage is how long a node may fail while a task is followed.
const maxOutage = 10 * time.Minute

// Follow waits until all tasks of a deal have ended, and returns them. A node that fails is
// asked again for some minutes: nothing is lost by waiting.
//
// Errors: *TaskError for the first task that ended without a result, beside all tasks;
// *node.RPCError.
func Follow(ctx context.Context, c *node.Client, d Deal, f Following) ([]Task, error) {
	w := watch{Following: f, told: map[uint64]Stage{}}
	answered := time.Now()
	for {
		tasks, err := Tasks(ctx, c, d)
		switch {
		case err == nil:
			answered = time.Now()
		case ctx.Err() != nil || time.Since(answered) > maxOutage:
			return nil, err
		}
		if over := w.look(tasks, time.Now()); over && err == nil {
			return tasks, firstFailure(c, tasks)
		}
		select {
		case <-ctx.Done():
			return tasks, ctx.Err()
		case <-time.After(cmp.Or(f.Every, 5*time.Second)):
		}
	}
}

// watch is what was told of tasks that are followed.
type watch struct {
	Following
	told  map[uint64]Stage
	moved time.Time     // when a task last made a step
	next  time.Duration // of rest, after which it is told
}

// look tells what is new of tasks, and reports whether all have ended.
func (w *watch) look(tasks []Task, now time.Time) (over bool) {
	var open []Task
	for _, t := range tasks {
		if w.told[t.Index] != t.Stage {
			w.moved, w.next = now, cmp.Or(w.Quiet, time.Minute)
			if w.Tell != nil {
				w.Tell(Event{t, max(t.Deadline.Sub(now), 0)})
			}
		}
		w.told[t.Index] = t.Stage
		if !t.Stage.IsOver() {
			open = append(open, t)
		}
	}
	if rest := now.Sub(w.moved); len(open) > 0 && rest >= w.next {
		w.next *= 2
		if w.Idle != nil {
			w.Idle(Idle{open, rest, max(open[0].Deadline.Sub(now), 0)})
		}
	}
	return len(open) == 0
}

func firstFailure(c *node.Client, tasks []Task) error {
	for _, t := range tasks {
		if t.Stage != Completed {
			return &TaskError{t, c.Name}
		}
	}
	return nil
}

// EarlyError says that a deal's deadline is not past.
type EarlyError struct {
	Deal  Deal
	Now   time.Time
	Chain string
}

// Error implements error.
func (e *EarlyError) Error() string {
	return fmt.Sprintf("the tasks of deal %s can still be done", e.Deal.ID)
}

// Evidence returns both times.
func (e *EarlyError) Evidence() [][2]string {
	return [][2]string{
		{"expected", "a time after " + e.Deal.Deadline.Format(time.RFC3339)}, {"actual", e.Now.Format(time.RFC3339)}, {"where", e.Chain},
	}
}

// RestError says that a call did not come to all tasks of a deal.
type RestError struct {
	Deal common.Hash
	Next uint64 // index of the first task that was not looked at
	Left uint64 // how many were not
}

// Error implements error.
func (e *RestError) Error() string {
	return fmt.Sprintf("%d tasks of deal %s were not looked at: one call looks at %d", e.Left, e.Deal, bounds.Runs)
}

// Evidence returns where to go on.
func (e *RestError) Evidence() [][2]string {
	return [][2]string{{"expected", fmt.Sprintf("%d tasks at most", bounds.Runs)}, {"actual", fmt.Sprintf("%d more, from the index %d", e.Left, e.Next)}, {"deal", e.Deal.Hex()}}
}

// Claim takes back what was paid for the tasks of a deal that did not end in time, and
// returns the tasks as they are then, and of how many the money came back. Whoever sends
// the transaction, it is the requester who is paid back. It begins with the task of an
// index, or with the deal's first one if that is behind it, and goes on for [bounds.Runs].
//
// Errors: *EarlyError before the deadline, *RestError when there are more tasks behind
// those, *node.FundsError, *node.RPCError.
func Claim(ctx context.Context, c *node.Client, w node.Wallet, d Deal, from uint64) (tasks []Task, claimed int, err error) {
	end := d.First + d.Size
	from = min(max(from, d.First), end)
	to := from + min(end-from, bounds.Runs)
	if tasks, claimed, err = claimSome(ctx, c, w, d, from, to); err == nil && to < end {
		err = &RestError{d.ID, to, end - to}
	}
	return tasks, claimed, err
}

func claimSome(ctx context.Context, c *node.Client, w node.Wallet, d Deal, from, to uint64) (tasks []Task, claimed int, err error) {
	if _, err := c.Settle(ctx, w.Payer().Address); err != nil {
		return nil, 0, err
	}
	if tasks, err = readTasks(ctx, c, d, from, to); err != nil {
		return nil, 0, err
	}
	for i, t := range tasks {
		if t.Stage == Completed || t.Stage == Failed {
			continue
		}
		if t.Stage != Late {
			return tasks, claimed, &EarlyError{d, time.Now().UTC(), c.Name}
		}
		sending := claim(ctx, c, w, t)
		now, err := readTask(ctx, c, d, t.Index, time.Now())
		switch {
		case err != nil:
			return tasks, claimed, errors.Join(sending, err)
		case now.Stage != Failed: // else somebody was faster, which is as good
			return tasks, claimed, cmp.Or(sending, error(&TaskError{now, c.Name}))
		case sending == nil:
			claimed++
		}
		tasks[i] = now
	}
	return tasks, claimed, nil
}

// claim claims a task. One that was never initialised is, first.
func claim(ctx context.Context, c *node.Client, w node.Wallet, t Task) error {
	method, args := "claim", []any{t.ID}
	if t.Reached == Waiting {
		method, args = "initializeAndClaimArray", []any{[][32]byte{t.Deal}, []*big.Int{new(big.Int).SetUint64(t.Index)}}
	}
	_, err := c.Send(ctx, w, c.HubContract(), method, args...)
	if err != nil {
		return fmt.Errorf("claiming task: %w", err)
	}
	return nil
}
