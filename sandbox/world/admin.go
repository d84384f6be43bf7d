package world

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/sandbox/worker"
)

// Advance lets time pass on the chain, at once; it must be at rest.
func (c Chain) Advance(by time.Duration) error { return c.node.Advance(by) }

// Reorganise seals blocks, and then has the chain leave at least three: those, and the last
// that has a transaction of an account. What was in them waits again, or is lost.
func (c Chain) Reorganise(ctx context.Context, account common.Address, lost bool) error {
	if err := c.node.Seal(2); err != nil {
		return err
	}
	head, err := c.Client.BlockNumber(ctx)
	if err != nil {
		return err
	}
	last, err := c.Client.NonceAt(ctx, account, new(big.Int).SetUint64(head))
	for at := head; err == nil && at > 0; at-- {
		var nonce uint64
		if nonce, err = c.Client.NonceAt(ctx, account, new(big.Int).SetUint64(at-1)); nonce < last {
			return c.node.Reorganise(int(head-at)+1, lost)
		}
	}
	return errors.Join(err, fmt.Errorf("no block has a transaction of %s", account))
}

// admin takes orders from outside:
//
//	/fault          what shall fail; see package fault
//	POST /time      {"chain": "sandbox", "seconds": 600}: so much time passes on a chain
//	POST /results   {"format": "5"}: how results of runs are encrypted from now on
func (w *World) admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/fault", w.Faults)
	mux.HandleFunc("POST /time", order(w.advance))
	mux.HandleFunc("POST /results", order(w.setFormat))
	return mux
}

// order reads an order and carries it out. One that cannot be is told why.
func order[T any](carryOut func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var o T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		err := d.Decode(&o)
		if err == nil {
			err = carryOut(o)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

type passing struct {
	Chain   string `json:"chain"`
	Seconds uint32 `json:"seconds"`
}

func (w *World) advance(p passing) error {
	for _, c := range w.chains() {
		if c.Name == p.Chain {
			return c.Advance(time.Duration(p.Seconds) * time.Second)
		}
	}
	return fmt.Errorf("there is no chain %q", p.Chain)
}

type format struct {
	Format string `json:"format"`
}

func (w *World) setFormat(f format) error {
	known, err := worker.ParseFormat(f.Format)
	if err == nil {
		w.SetFormat(known)
	}
	return err
}
