package world

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"net/http"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/worker"
	"github.com/mrelease/mrelease/sandbox/workerpool"
)

// granted is what an account is given to pay runs with, in nRLC.
const granted = 1000e9

// Grant gives RLC to an account on one of the chains.
func (c Chain) Grant(ctx context.Context, to common.Address) error {
	return workerpool.Grant(ctx, c.pool(), Key(0), to, big.NewInt(granted))
}

// pool is the chain as workerpools know it.
func (c Chain) pool() workerpool.Chain {
	return workerpool.Chain{ID: c.ID, Hub: c.Hub, WorkerpoolRegistry: c.WorkerpoolRegistry, RLC: c.RLC, Free: c.Fees == poco.FeesLegacy, Client: c.Client}
}

// startPools starts a workerpool on each chain, at the same time, and gives the wallet
// what it can pay runs with.
func (w *World) startPools(ctx context.Context, o Options, market http.Handler) error {
	work := o.Pool.Work
	if work == nil {
		w.SetFormat(cmp.Or(o.Pool.Format, worker.CBC))
		does := &worker.Worker{Secret: w.Stored.Value, Store: w.Results, Format: w.resultFormat}
		w.closers = append(w.closers, does.Close)
		work = does.Work
	}
	var group errgroup.Group
	for _, c := range w.chains() {
		group.Go(func() (err error) {
			c.Workerpool, err = workerpool.Start(ctx, workerpool.Options{
				Chain: c.pool(), Market: market, Bank: Key(0), Scheduler: Key(8), Worker: Key(9),
				Work: work, Ended: o.Pool.Ended,
				Fails: func(f workerpool.Fault) bool { return w.Faults.Fails(string(f)) },
			})
			if err != nil {
				return fmt.Errorf("starting workerpool on chain %d: %w", c.ID, err)
			}
			return c.Grant(ctx, crypto.PubkeyToAddress(w.Wallet().PublicKey))
		})
	}
	err := group.Wait()
	for _, c := range w.chains() {
		if c.Workerpool != nil {
			w.closers = append(w.closers, c.Workerpool.Close)
			o.Progress(fmt.Sprintf("%-13s %s on chain %d", "workerpool", c.Workerpool.Address, c.ID))
		}
	}
	return err
}

// SetFormat says in which format results are encrypted from now on.
func (w *World) SetFormat(f worker.Format) { w.format.Store(f) }

func (w *World) resultFormat() worker.Format { return w.format.Load().(worker.Format) }

// afterPools lets who asks for orders of workerpools wait until those are open: they open
// while the world is up already.
func (w *World) afterPools(market http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/workerpoolorders") {
			for _, c := range w.chains() {
				if err := c.Workerpool.Wait(r.Context()); err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
					return
				}
			}
		}
		market.ServeHTTP(rw, r)
	})
}
