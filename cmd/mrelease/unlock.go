package main

import (
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/registry"
)

// keyring is what a release signs with.
type keyring struct {
	key    *registry.Key
	wallet chain.Wallet
}

// unlocking is the opening of both keys, under way.
type unlocking struct {
	wallet func() (chain.Wallet, error)
	key    func() (*registry.Key, error)
	public *registry.PublicKey // of key; nil when only opening it tells
}

// unlock begins to open the wallet: passwords are slow to check, on purpose. What
// can be seen without that is an error at once.
func (a *app) unlock(cfg config) (*unlocking, error) {
	key, public, err := a.lockedKey(cfg.Sign)
	if err != nil {
		return nil, err
	}
	wallet, err := a.lockedWallet(cfg.Wallet)
	if err != nil {
		return nil, err
	}
	u := &unlocking{wallet: sync.OnceValues(wallet.unlock), public: public}
	u.key = sync.OnceValues(func() (*registry.Key, error) {
		_, _ = u.wallet() // one after the other: the second takes the memory of the first
		return key.unlock()
	})
	go u.wallet()
	return u, nil
}

// opened waits until both keys are open.
func (u *unlocking) opened() (k keyring, err error) {
	if k.wallet, err = u.wallet(); err != nil {
		return k, err
	}
	k.key, err = u.key()
	return k, err
}

// checking waits for what tells whether something is signed: the signing key is
// opened later, when something has to be.
func (u *unlocking) checking() (k keyring, err error) {
	if u.public == nil {
		return u.opened()
	}
	k.key = u.public.Pair(u.key)
	k.wallet, err = u.wallet()
	return k, err
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
	reserve(min(l.memory, mostMemory))
	return l.open()
}

const (
	usualMemory  = 128 << 20 // of a wallet that iExec's command line made
	mostMemory   = 1 << 30   // a file may state anything
	memoryBeside = 20 << 20  // for a build, before it writes the image
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
	_ = unix.Madvise(memory, unix.MADV_HUGEPAGE)
	return memory
}
