package workerpool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/poco"
)

// TagError says that a deal's tag is of no kind that the scheduler knows, which leaves the
// deal alone.
type TagError struct{ Tag poco.Tag }

// Error implements error.
func (e *TagError) Error() string {
	return fmt.Sprintf("deal not served: its tag %s is none of a plain run or one in an enclave (tee, alone or with scone or tdx)", e.Tag)
}

// ErrOrdered is how a task ends that was ordered to fail.
var ErrOrdered = errors.New("ordered to fail")

// watch starts to watch for deals, until the pool is closed, when the context ends that it
// returns.
func (p *Pool) watch(ctx context.Context) (context.Context, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // the pool outlives its start
	logs := make(chan types.Log, 64)
	notice := p.node.abi.Events["SchedulerNotice"].ID
	seen, err := p.node.Client.SubscribeFilterLogs(ctx, ethereum.FilterQuery{
		Addresses: []common.Address{p.node.Hub},
		Topics:    [][]common.Hash{{notice}, {common.BytesToHash(p.Address[:])}},
	}, logs)
	if err != nil {
		stop()
		return nil, fmt.Errorf("watching for deals: %w", err)
	}
	p.stop = stop
	p.busy.Go(func() {
		defer seen.Unsubscribe()
		for {
			select {
			case l := <-logs:
				p.busy.Go(func() { p.serve(ctx, common.BytesToHash(l.Data)) })
			case <-seen.Err():
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, nil
}

// serve does the tasks of a deal, one after the other.
func (p *Pool) serve(ctx context.Context, id common.Hash) {
	deal, err := p.accept(ctx, id)
	if err == nil {
		err = p.refresh(ctx)
	}
	if err != nil {
		p.ended(ctx, id, err)
		return
	}
	first, size := deal.BotFirst.Uint64(), deal.BotSize.Uint64()
	for i := first; i < first+size && ctx.Err() == nil; i++ {
		task := Task{ID: taskID(id, i), Index: i, Deal: deal}
		err := p.scheduler.act(ctx, p.node.Hub, "initialize", id, new(big.Int).SetUint64(i))
		if err == nil {
			err = p.do(ctx, task)
		}
		p.ended(ctx, task.ID, err)
	}
}

func (p *Pool) ended(ctx context.Context, id common.Hash, err error) {
	if p.o.Ended != nil && ctx.Err() == nil { // what a closing pool breaks off has not ended
		p.o.Ended(id, err)
	}
}

// accept reads a deal, and refuses one that a scheduler does not serve.
func (p *Pool) accept(ctx context.Context, id common.Hash) (Deal, error) {
	deal, err := read[Deal](ctx, p.node, p.node.Hub, "viewDeal", id)
	if err != nil {
		return deal, err
	}
	// As iexec-core reads it: the lowest four bits are the framework. What is served
	// besides is the tag of 2019, tee alone.
	kinds := []poco.Tag{{}, poco.TEE(), {31: 0b0011}, {31: 0b1001}}
	if !slices.Contains(kinds, poco.Tag(deal.Tag)) {
		return deal, &TagError{deal.Tag}
	}
	if p.o.Fails(Unseen) {
		return deal, fmt.Errorf("deal not seen: %w", ErrOrdered)
	}
	return deal, nil
}

// taskID is how the contracts name a deal's task.
func taskID(deal common.Hash, index uint64) common.Hash {
	return crypto.Keccak256Hash(deal[:], word(index))
}

// word is a number as the contracts pack it.
func word(n uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), n) }

// do has a task done, and tells the contracts of its result.
func (p *Pool) do(ctx context.Context, t Task) error {
	if p.o.Fails(Idle) {
		return fmt.Errorf("task not taken: %w", ErrOrdered)
	}
	if err := p.describe(ctx, &t); err != nil {
		return err
	}
	result, err := p.o.Work(ctx, t)
	if err != nil {
		return err
	}
	if p.o.Fails(Mistold) {
		result.Digest[0] ^= 0xff
	}
	if err := p.contribute(ctx, t, result.Digest); err != nil {
		return err
	}
	if err := p.worker.act(ctx, p.node.Hub, "reveal", t.ID, result.Digest); err != nil {
		return err
	}
	return p.scheduler.act(ctx, p.node.Hub, "finalize", t.ID, result.Location, result.Callback)
}

// contribute commits the worker to a result. The scheduler authorizes it, and for a deal in
// an enclave the task's own key signs what the contracts want of it.
func (p *Pool) contribute(ctx context.Context, t Task, digest common.Hash) error {
	worker := p.worker.address
	hash := crypto.Keccak256(t.ID[:], digest[:])
	seal := crypto.Keccak256(worker[:], t.ID[:], digest[:])
	var enclave common.Address
	var proof []byte
	if poco.Tag(t.Deal.Tag).Has("tee") {
		key, err := crypto.GenerateKey()
		if err != nil {
			return fmt.Errorf("making key for the enclave: %w", err)
		}
		enclave = crypto.PubkeyToAddress(key.PublicKey)
		if proof, err = sign(key, hash, seal); err != nil {
			return err
		}
	}
	authorization, err := sign(p.scheduler.key, worker[:], t.ID[:], enclave[:])
	if err != nil {
		return err
	}
	return p.worker.act(ctx, p.node.Hub, "contribute", t.ID, common.Hash(hash), common.Hash(seal), enclave, proof, authorization)
}

// App is an app as its contract has it.
type App struct {
	Multiaddr string      // reference of the image, in a registry
	Checksum  common.Hash // digest of the image's manifest
	MREnclave string
}

// Dataset is a dataset as its contract has it.
type Dataset struct {
	Multiaddr string      // URL, or path in IPFS
	Checksum  common.Hash // SHA-256 of what is there
}

// describe reads from the contracts what a worker has to know of a task.
func (p *Pool) describe(ctx context.Context, t *Task) error {
	category, err := read[struct {
		Name, Description string
		WorkClockTimeRef  *big.Int
	}](ctx, p.node, p.node.Hub, "viewCategory", t.Deal.Category)
	if err != nil {
		return err
	}
	t.Limit = time.Duration(category.WorkClockTimeRef.Int64()) * time.Second
	app := t.Deal.App.Pointer
	if t.App.Multiaddr, t.App.Checksum, err = p.resource(ctx, app, "m_app"); err != nil {
		return err
	}
	enclave, err := read[[]byte](ctx, p.node, app, "m_appMREnclave")
	if err != nil {
		return err
	}
	t.App.MREnclave = string(enclave)
	if dataset := t.Deal.Dataset.Pointer; dataset != (common.Address{}) {
		t.Dataset.Multiaddr, t.Dataset.Checksum, err = p.resource(ctx, dataset, "m_dataset")
	}
	return err
}

// resource reads where a resource is, and its digest.
func (p *Pool) resource(ctx context.Context, at common.Address, prefix string) (string, common.Hash, error) {
	multiaddr, err := read[[]byte](ctx, p.node, at, prefix+"Multiaddr")
	if err != nil {
		return "", common.Hash{}, err
	}
	checksum, err := read[[32]byte](ctx, p.node, at, prefix+"Checksum")
	return string(multiaddr), checksum, err
}
