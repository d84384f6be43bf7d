package keys

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/settings"
)

// Opening is the opening of the signing key and the wallet, under way.
type Opening struct {
	ring     Ring
	wallet   func() (node.Wallet, error)
	key      func() (*signing.Key, error)
	public   *signing.PublicKey                            // of key; nil when only opening it tells
	identity func(context.Context) (signing.Signer, error) // in place of key; nil: the key signs
}

// Open begins to open both: passwords are slow to check, on purpose. What can be
// seen without that is an error at once.
//
// Waiting for one of them ends with the context of who waits.
func (r Ring) Open() (*Opening, error) {
	if r.Sign.IsKeyless() {
		return r.openForIdentity()
	}
	key, public, err := r.lockedKey()
	if err != nil {
		return nil, err
	}
	wallet, err := r.lockedOwner()
	if err != nil {
		return nil, err
	}
	o := &Opening{ring: r, wallet: sync.OnceValues(wallet.unlock), public: public}
	o.key = sync.OnceValues(func() (*signing.Key, error) {
		_, _ = o.wallet() // one after the other: the second takes the memory of the first
		return key.unlock()
	})
	go o.wallet()
	return o, nil
}

// openForIdentity begins to open the wallet alone. That there are a trusted root and
// services is seen at once.
func (r Ring) openForIdentity() (*Opening, error) {
	if _, err := r.expected(); err != nil {
		return nil, err
	}
	if _, err := r.services(); err != nil {
		return nil, err
	}
	wallet, err := r.lockedOwner()
	if err != nil {
		return nil, err
	}
	o := &Opening{ring: r, wallet: sync.OnceValues(wallet.unlock), identity: r.opening()}
	go o.wallet()
	return o, nil
}

// For is the same opening, for another app whose enclave and secret are its own.
func (o *Opening) For(enclave settings.Path, secret settings.Secret) *Opening {
	other := *o
	other.ring.Enclave, other.ring.Secret = enclave, secret
	return &other
}

// Owner is that of [Ring].
func (o *Opening) Owner(ctx context.Context) (owner common.Address, stated string, err error) {
	return o.ring.Owner(ctx)
}

// PayerAddress is that of [Ring].
func (o *Opening) PayerAddress(ctx context.Context) (common.Address, error) {
	return o.ring.PayerAddress(ctx)
}

// EnclaveKey is that of [Ring].
func (o *Opening) EnclaveKey() ([]byte, error) { return o.ring.EnclaveKey() }

// AppSecret is that of [Ring].
func (o *Opening) AppSecret() ([]byte, error) { return o.ring.AppSecret() }

// OpenWallet waits until the wallet is open.
func (o *Opening) OpenWallet(ctx context.Context) (node.Wallet, error) {
	return await(ctx, o.wallet)
}

// OpenSigner waits until the signing key is open, or asks for the identity of the job.
func (o *Opening) OpenSigner(ctx context.Context) (signing.Signer, error) {
	if o.identity != nil {
		return o.identity(ctx)
	}
	return signer(await(ctx, o.key))
}

// Checker returns who signs, for looking at what was signed. A key whose public half is
// a file is opened later, when something has to be signed.
func (o *Opening) Checker(ctx context.Context) (signing.Signer, error) {
	if o.identity != nil {
		return o.identity(ctx)
	}
	open := func() (*signing.Key, error) { return await(ctx, o.key) }
	if o.public == nil {
		return signer(open())
	}
	return o.public.Pair(open), nil
}

// await waits for a key that is being opened. The functions that check passwords
// cannot be interrupted: what was begun ends in the background, within the bounds.
func await[K any](ctx context.Context, open func() (K, error)) (K, error) {
	type answer struct {
		key K
		err error
	}
	opened := make(chan answer, 1)
	if ctx.Err() == nil {
		go func() {
			key, err := open()
			opened <- answer{key, err}
		}()
	}
	select {
	case <-ctx.Done():
		var none K
		return none, ctx.Err()
	case a := <-opened:
		return a.key, a.err
	}
}

// locked is a key whose password was not checked yet.
type locked[K any] struct {
	memory int64 // bytes that open takes
	open   func() (K, error)
}

// unlock checks the password. What it takes of memory is kept from adding to the
// garbage of what runs beside it, and is then there for the rest of the program.
func (l locked[K]) unlock() (K, error) {
	if l.memory < hugePage {
		return l.open()
	}
	limit := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(limit, max(l.memory, usualMemory)+memoryBeside))
	defer debug.SetMemoryLimit(limit)
	defer runtime.GC()
	defer keepForgetting()()
	reserve(min(l.memory, bounds.KeyMemory))
	return l.open()
}

// keepForgetting forgets the program's pages, and those that what runs beside brought back
// meanwhile, until it is stopped.
func keepForgetting() (stop func()) {
	pages := findProgram()
	pages.forget()
	stopped := make(chan struct{})
	go func() {
		again := time.NewTicker(forgetEvery)
		defer again.Stop()
		for {
			select {
			case <-again.C:
				pages.forget()
			case <-stopped:
				return
			}
		}
	}()
	return func() { close(stopped) }
}

const (
	forgetEvery = 50 * time.Millisecond // taking 35 MB out, and having all of it back, took 2 to 5

	usualMemory  = 128 << 20 // of a wallet that iExec's command line made
	memoryBeside = 10 << 20  // for a build, before it writes the image
	hugePage     = 2 << 20   // on machines that have enclaves
)

// reserve makes it likely that the next allocation of so many bytes gets huge
// pages. scrypt visits all of its memory in random order: with small pages, most
// of its time is page faults and misses of the TLB, above all on virtual machines.
// It allocates by itself, so memory is asked for here, advised and freed, for the
// allocator to give out the same again. Nothing fails without.
func reserve(bytes int64) {
	_ = huge(bytes)
	runtime.GC()
}

// huge returns memory for which huge pages are asked.
func huge(bytes int64) []byte {
	memory := make([]byte, bytes)
	adviseHuge(memory)
	return memory
}
