package chain

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/txpool"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/event"
)

// sealer seals a block as soon as a transaction waits. Go-ethereum's own loop that does
// this cannot share the beacon with anybody who lets time pass: two blocks at a time leave
// it without a head.
type sealer struct {
	pool   *txpool.TxPool
	beacon *catalyst.SimulatedBeacon
	mu     sync.Mutex // of the beacon

	seen    chan core.NewTxsEvent
	events  event.Subscription
	waiting chan struct{} // a transaction may wait
	stop    chan struct{}
	done    sync.WaitGroup
}

// Start implements node.Lifecycle.
func (s *sealer) Start() error {
	s.seen, s.waiting, s.stop = make(chan core.NewTxsEvent), make(chan struct{}, 1), make(chan struct{})
	s.events = s.pool.SubscribeTransactions(s.seen, true)
	s.done.Go(func() { // apart from sealing, during which the pool wants to be listened to
		for {
			select {
			case <-s.seen:
				select {
				case s.waiting <- struct{}{}:
				default:
				}
			case <-s.stop:
				return
			}
		}
	})
	s.done.Go(func() {
		for {
			select {
			case <-s.waiting:
				s.sealAll()
			case <-s.stop:
				return
			}
		}
	})
	return nil
}

// Stop implements node.Lifecycle.
func (s *sealer) Stop() error {
	close(s.stop)
	s.done.Wait()
	s.events.Unsubscribe()
	return nil
}

// sealAll seals blocks until no transaction waits that could be in one.
func (s *sealer) sealAll() {
	for {
		s.mu.Lock()
		s.beacon.Commit()
		s.pool.Sync()
		s.mu.Unlock()
		if left, _ := s.pool.Stats(); left == 0 {
			return
		}
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

// advance seals a block that is later than the last one, when nothing waits any more.
func (s *sealer) advance(by time.Duration) error {
	const patience = 2 * time.Second
	var err error
	for begun := time.Now(); time.Since(begun) < patience; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		if err = s.pool.Sync(); err == nil {
			err = s.beacon.AdjustTime(by)
		}
		s.mu.Unlock()
		if err == nil {
			return nil
		}
	}
	return fmt.Errorf("advancing the chain's time: %w", errors.Join(err, errors.New("transactions wait")))
}

// seal seals a number of blocks.
func (s *sealer) seal(blocks int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealLocked(blocks)
}

func (s *sealer) sealLocked(blocks int) error {
	for range blocks {
		s.beacon.Commit()
		if err := s.pool.Sync(); err != nil {
			return fmt.Errorf("sealing a block: %w", err)
		}
	}
	return nil
}

// reorganise goes back a number of blocks, and seals more than those.
func (s *sealer) reorganise(chain *core.BlockChain, blocks int, lost bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := chain.CurrentBlock().Number.Uint64()
	if head < uint64(blocks) {
		return fmt.Errorf("reorganising: want %d blocks, the chain has %d", blocks, head)
	}
	if _, err := chain.SetCanonical(chain.GetBlockByNumber(head - uint64(blocks))); err != nil {
		return fmt.Errorf("reorganising: %w", err)
	}
	if err := s.pool.Sync(); err != nil { // which takes the blocks' transactions back
		return fmt.Errorf("reorganising: %w", err)
	}
	if lost {
		s.pool.Clear()
	}
	return s.sealLocked(blocks + 1)
}
