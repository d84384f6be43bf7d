// Package workerpool is a workerpool that works: a scheduler and a worker with accounts of
// their own on a chain with iExec's contracts. The scheduler owns the pool, keeps orders
// open on the market, watches the deals that are made with them, and initializes and
// finalizes their tasks; the worker does them, contributes and reveals.
//
// A key that is made for a task stands in for the enclave's: it signs what the contracts
// want an enclave to sign of a deal whose tag has the bit tee.
package workerpool

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/poco"
)

// Options say what pool to run.
type Options struct {
	Chain             Chain
	Market            http.Handler
	Bank              *ecdsa.PrivateKey // of who deployed the contracts, has RLC, and may make categories
	Scheduler, Worker *ecdsa.PrivateKey // have coins for fees
	Work              Work
	Fails             func(Fault) bool              // whether it was ordered to happen now
	Ended             func(id common.Hash, e error) // is told how a task ended, or a deal of which there will be none
}

// Fault is something that can be ordered to go wrong with a task or a deal.
type Fault string

// The faults.
const (
	Unseen  Fault = "scheduler" // a deal is not seen: its tasks are never initialized
	Idle    Fault = "worker"    // a task is initialized, and nobody contributes to it
	Mistold Fault = "digest"    // the contracts are told another digest than that of the result
)

// Work does a task. Its error says why there is no result; the contracts are told nothing
// then, and the task can be claimed when its deadline is past.
type Work func(context.Context, Task) (Result, error)

// Unread is the [Work] of who is not asked for a result: it is made of nothing but the number
// of the run, and is nowhere.
func Unread(_ context.Context, t Task) (Result, error) {
	return Result{Digest: common.Hash{1, byte(t.Index)}, Location: []byte(`{"storage":"ipfs","location":"/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"}`)}, nil
}

// Task is what a worker is given.
type Task struct {
	ID      common.Hash
	Index   uint64 // among the runs of the request
	Deal    Deal
	App     App
	Dataset Dataset       // empty when the deal has none
	Limit   time.Duration // how long it may run
}

// Result is what the contracts are told.
type Result struct {
	Digest   common.Hash
	Location []byte // JSON that says where the result is stored
	Callback []byte // for the deal's callback contract, if it has one; the digest is its hash then
}

// Pool is a running workerpool on one chain.
type Pool struct {
	Address common.Address // of the workerpool's contract
	Short   uint64         // number of the category whose tasks are late after a minute

	o                 Options
	node              *node
	scheduler, worker *account

	mu     sync.Mutex // of the orders
	orders []offered

	opened chan struct{} // is closed when it is open, or failed to be
	failed error

	stop func()
	busy sync.WaitGroup
}

// description of the pool's contract, which with its owner decides its address.
const description = "sandbox workerpool"

// short is the time reference of the category [Pool.Short], in seconds. A run may take as
// long, and its task must have ended after ten times as long.
const short = 5

// Start starts a pool: its orders are on the market when [Pool.Wait] returns. Close ends
// it.
func Start(ctx context.Context, o Options) (*Pool, error) {
	n, err := newNode(o.Chain)
	if err != nil {
		return nil, err
	}
	p := &Pool{o: o, node: n, scheduler: newAccount(n, o.Scheduler), worker: newAccount(n, o.Worker), opened: make(chan struct{})}
	if err := p.fund(ctx); err != nil {
		return nil, fmt.Errorf("funding workerpool: %w", err)
	}
	if p.Address, err = read[common.Address](ctx, n, n.WorkerpoolRegistry, "predictWorkerpool", p.scheduler.address, description); err != nil {
		return nil, err
	}
	if ctx, err = p.watch(ctx); err != nil {
		return nil, err
	}
	p.busy.Go(func() {
		defer close(p.opened)
		if p.failed = p.open(ctx); p.failed != nil {
			p.failed = fmt.Errorf("opening workerpool: %w", p.failed)
		}
	})
	return p, nil
}

// Wait waits until the pool is open.
func (p *Pool) Wait(ctx context.Context) error {
	select {
	case <-p.opened:
		return p.failed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops the pool, with what it is doing.
func (p *Pool) Close() error {
	p.stop()
	p.busy.Wait()
	return nil
}

// open makes the pool's contract, and publishes its orders.
func (p *Pool) open(ctx context.Context) error {
	if err := p.scheduler.act(ctx, p.node.WorkerpoolRegistry, "createWorkerpool", p.scheduler.address, description); err != nil {
		return err
	}
	return p.openOrders(ctx)
}

// fund does what only the bank can: it makes the stakes of scheduler and worker, which the
// contracts keep while they work and take from who fails, and the category.
func (p *Pool) fund(ctx context.Context) error {
	count, err := read[*big.Int](ctx, p.node, p.node.Hub, "countCategory")
	if err != nil {
		return err
	}
	p.Short = count.Uint64()
	stake := big.NewInt(100 * nRLC)
	both := new(big.Int).Add(stake, stake)
	deposit := call{to: p.node.Hub, method: "depositForArray", args: []any{[]*big.Int{stake, stake}, []common.Address{p.scheduler.address, p.worker.address}}}
	calls := []call{{to: p.node.Hub, method: "createCategory", args: []any{"seconds", `""`, big.NewInt(short)}}}
	if p.node.isNative() {
		deposit.value = wei(both)
	} else {
		calls = append(calls, call{to: p.node.RLC, method: "approve", args: []any{p.node.Hub, both}})
	}
	return newBank(p.node, p.o.Bank).all(ctx, append(calls, deposit)...)
}

// newBank returns an account that knows what its calls cost.
func newBank(n *node, key *ecdsa.PrivateKey) *account {
	bank := newAccount(n, key)
	bank.gas = 500_000
	return bank
}

// nRLC are as many as an RLC is worth.
const nRLC = 1e9

// wei is an amount of RLC where that is the chain's coin.
func wei(amount *big.Int) *big.Int { return new(big.Int).Mul(amount, big.NewInt(1e18/nRLC)) }

// Grant gives RLC to an account, which can deposit them in the hub.
func Grant(ctx context.Context, c Chain, bank *ecdsa.PrivateKey, to common.Address, amount *big.Int) error {
	n, err := newNode(c)
	if err != nil {
		return err
	}
	grant := call{to: c.RLC, method: "transfer", args: []any{to, amount}}
	if n.isNative() {
		grant = call{to: to, value: wei(amount)}
	}
	return newBank(n, bank).all(ctx, grant)
}

// terms are those of an order.
type terms struct {
	category uint64
	tag      poco.Tag
	price    int64 // nRLC for a run
}

// priceList has an order for each category with the tag tee, and for the shortest of
// iExec's categories one for each framework that its schedulers know.
func (p *Pool) priceList() []terms {
	list := []terms{{0, poco.Tag{31: 0b0011}, 100}, {0, poco.Tag{31: 0b1001}, 100}, {p.Short, poco.TEE(), 50}}
	for category := range p.Short {
		list = append(list, terms{category, poco.TEE(), 100 * int64(category+1)})
	}
	return list
}
