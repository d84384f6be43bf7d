package canary

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request/deal"
)

// Found is what there is of a canary, or what it would cost.
type Found struct {
	Deal       common.Hash // that bought it; zero: none
	Task       common.Hash // its run
	Stage      deal.Stage
	Workerpool common.Address // that runs it, or would
	Price      *big.Int       // nRLC that is paid for it
	Stake      *big.Int       // nRLC of its owner in the hub that are free
	Missing    *big.Int       // nRLC that would be deposited for it
}

// Look looks for the canary's run; where there is none, or another one is to be bought, for
// who would run it and at what price. It writes nothing, and refuses what [Canary.Prove]
// would refuse before it buys a run.
//
// Errors: *FailedError for a run that failed on chain, *OtherError, *deal.NoMatchError,
// *node.StakeError, *market.Error, *node.RPCError.
func (c Canary) Look(ctx context.Context) (Found, error) {
	r, err := c.last(ctx)
	if c.Again && isFailed(err) {
		return c.price(ctx)
	}
	if err != nil {
		return Found{}, err
	}
	if r.deal == nil {
		return c.price(ctx)
	}
	t, err := c.task(ctx, r)
	if err != nil {
		return Found{}, err
	}
	if t.Stage == deal.Failed && c.Again {
		return c.price(ctx)
	}
	if t.Stage == deal.Failed {
		return Found{}, c.unfinished(r, t)
	}
	return Found{Deal: r.deal.ID, Task: t.ID, Stage: t.Stage, Workerpool: r.deal.Workerpool.Pointer, Price: r.deal.Workerpool.Price}, nil
}

// isFailed tells what another run can be bought after.
func isFailed(err error) bool { return is[*FailedError](err) || is[*OtherError](err) }

// price looks for who would run the app, and whether its owner can pay for that: whichever
// round it is.
func (c Canary) price(ctx context.Context) (Found, error) {
	unsold := c.round(maxRounds) // of which the hub knows nothing
	m, err := c.trade(poco.SignedAppOrder{AppOrder: unsold.order}).Choose(ctx, poco.SignedRequestOrder{RequestOrder: unsold.request})
	if err != nil {
		return Found{}, err
	}
	stake, err := node.StakeOf(ctx, c.Chain, c.Owner)
	if err != nil {
		return Found{}, err
	}
	f := Found{Workerpool: m.Workerpool.Workerpool, Price: m.RunPrice(), Stake: stake.Free, Missing: new(big.Int)}
	if f.Price.Cmp(stake.Free) <= 0 {
		return f, nil
	}
	f.Missing.Sub(f.Price, stake.Free)
	err = node.CheckStake(ctx, c.Chain, c.Owner, f.Price)
	var short *node.StakeError
	if c.Terms.Deposit && errors.As(err, &short) && short.Purse.Cmp(f.Missing) >= 0 {
		err = nil
	}
	return f, err
}

// trade sells the run by an order that is on no market.
func (c Canary) trade(private poco.SignedAppOrder) deal.Trade {
	return deal.Trade{Chain: c.Chain, Market: c.Market, Pick: deal.Pick{Private: &private}}
}

// task reads the run of a round that was bought.
func (c Canary) task(ctx context.Context, r round) (deal.Task, error) {
	tasks, err := deal.Tasks(ctx, c.Chain, *r.deal)
	if err == nil && len(tasks) != 1 {
		err = fmt.Errorf("looking for the canary's run: deal %s has %d", r.deal.ID, len(tasks))
	}
	if err != nil {
		return deal.Task{}, err
	}
	return tasks[0], nil
}

func (c Canary) place(r round, t deal.Task) Place {
	return Place{App: c.App, Workerpool: r.deal.Workerpool.Pointer, Deal: r.deal.ID, Task: t.ID, Chain: c.Chain.Name}
}

// unfinished says that a run did not come to a result in time.
func (c Canary) unfinished(r round, t deal.Task) *FailedError {
	return &FailedError{
		Place: c.place(r, t), Problem: "it brought no result before its deadline",
		Expected: "a result before " + t.Deadline.UTC().Format(timeFormat),
		Actual:   fmt.Sprintf("the task failed, and the %s nRLC that were paid for it are back", r.deal.Workerpool.Price),
		Came:     t.Came(),
	}
}

// timeFormat is how times are written.
const timeFormat = "2006-01-02T15:04:05Z"
