package workerpool_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/workerpool"
	"github.com/mrelease/mrelease/sandbox/world"
)

// start starts a world whose workers do as they are told.
func start(t *testing.T, work workerpool.Work) (*world.World, ends) {
	t.Helper()
	told := make(ends, 100)
	begun := time.Now()
	w, err := world.Start(t.Context(), world.Options{Contracts: "../node_modules", Pool: &world.Pool{Work: work, Ended: told.add}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("up in %s", time.Since(begun))
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w, told
}

// given is a result that is made of nothing but the number of the run.
func given(_ context.Context, t workerpool.Task) (workerpool.Result, error) {
	return workerpool.Result{Digest: common.Hash{1, byte(t.Index)}, Location: []byte(`{"storage":"ipfs","location":"/ipfs/given"}`)}, nil
}

func TestTasksAreDone(t *testing.T) {
	w, told := start(t, given)
	for _, c := range []world.Chain{w.V6, w.V5} {
		b := newBuyer(t, w, c)
		app := b.app("registry/app:1", common.Hash{2}, "")
		for _, r := range []run{
			{app: app, tag: poco.TEE(), volume: 2}, {app: app, tag: poco.Tag{31: 3}}, {app: app, tag: poco.Tag{31: 9}},
			{app: app, tag: poco.TEE(), category: 4}, {app: app, tag: poco.TEE(), category: c.Workerpool.Short},
		} {
			free, _ := b.stake()
			offer := b.offers(r.category, r.tag)[0]
			_, tasks := b.match(r, offer)
			for i, id := range tasks {
				if err := told.wait(t, id); err != nil {
					t.Fatalf("chain %d, %+v: %v", c.ID, r, err)
				}
				if got := b.task(id); got.Status != completed || got.ResultDigest != [32]byte{1, byte(i)} || string(got.Results) != `{"storage":"ipfs","location":"/ipfs/given"}` {
					t.Errorf("chain %d: task is %+v", c.ID, got)
				}
			}
			paid, locked := b.stake()
			if want := free - int64(len(tasks))*offer.WorkerpoolPrice.Int64(); paid != want || locked != 0 {
				t.Errorf("chain %d: stake is %d and %d, want %d", c.ID, paid, locked, want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	broken := errors.New("no such image")
	w, told := start(t, func(context.Context, workerpool.Task) (workerpool.Result, error) { return workerpool.Result{}, broken })
	b := newBuyer(t, w, w.V6)
	app := b.app("registry/app:1", common.Hash{2}, "")
	t.Run("work that fails", func(t *testing.T) {
		_, tasks := b.buy(run{app: app, tag: poco.TEE()})
		if err := told.wait(t, tasks[0]); !errors.Is(err, broken) {
			t.Error(err)
		}
		if got := b.task(tasks[0]); got.Status != active {
			t.Errorf("task is %+v", got)
		}
	})
	t.Run("a tag without tee", func(t *testing.T) { // which the pool's order lets in
		deal, tasks := b.match(run{app: app, tag: poco.Tag{31: 2}}, b.offers(0, poco.Tag{31: 3})[0])
		var refused *workerpool.TagError
		if err := told.wait(t, deal); !errors.As(err, &refused) {
			t.Error(err)
		}
		if got := b.task(tasks[0]); got.Status != unset {
			t.Errorf("task is %+v", got)
		}
	})
}

// A task that nobody contributed to gives the requester the coins back when its deadline
// is past, and costs the pool a part of its stake.
func TestLateTasksAreClaimed(t *testing.T) {
	w, told := start(t, given)
	for _, c := range []world.Chain{w.V6, w.V5} {
		b := newBuyer(t, w, c)
		app := b.app("registry/app:1", common.Hash{2}, "")
		free, _ := b.stake()
		if err := w.Faults.Add(fault.Rule{Service: string(workerpool.Idle), Drop: true}); err != nil {
			t.Fatal(err)
		}
		_, tasks := b.buy(run{app: app, tag: poco.TEE(), category: c.Workerpool.Short})
		if err := told.wait(t, tasks[0]); !errors.Is(err, workerpool.ErrOrdered) {
			t.Fatal(err)
		}
		if now, locked := b.stake(); now >= free || locked == 0 {
			t.Errorf("chain %d: stake is %d, %d locked", c.ID, now, locked)
		}
		if err := c.Advance(time.Minute); err != nil {
			t.Fatal(err)
		}
		b.send(c.Hub, nil, "claim", tasks[0])
		if now, locked := b.stake(); now != free || locked != 0 {
			t.Errorf("chain %d: stake is %d, %d locked, want %d", c.ID, now, locked, free)
		}
		if got := b.task(tasks[0]); got.Status != failed {
			t.Errorf("chain %d: task is %+v", c.ID, got)
		}
	}
}

func TestFaults(t *testing.T) {
	w, told := start(t, given)
	b := newBuyer(t, w, w.V6)
	app := b.app("registry/app:1", common.Hash{2}, "")
	for service, status := range map[workerpool.Fault]uint8{workerpool.Unseen: unset, workerpool.Idle: active, workerpool.Mistold: completed} {
		if err := w.Faults.Add(fault.Rule{Service: string(service), Drop: true}); err != nil {
			t.Fatal(err)
		}
		deal, tasks := b.buy(run{app: app, tag: poco.TEE()})
		id := tasks[0]
		if service == workerpool.Unseen {
			id = deal
		}
		if err := told.wait(t, id); errors.Is(err, workerpool.ErrOrdered) == (service == workerpool.Mistold) {
			t.Errorf("%s: %v", service, err)
		}
		if got := b.task(tasks[0]); got.Status != status || status == completed && got.ResultDigest == [32]byte{1} {
			t.Errorf("%s: task is %+v", service, got)
		}
	}
}
