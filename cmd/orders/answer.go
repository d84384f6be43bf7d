package orders

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// saleAnswer is an order in the answers.
type saleAnswer struct {
	Hash      common.Hash    `json:"hash"`
	App       record.Address `json:"app"`
	Name      string         `json:"name"`
	Version   string         `json:"version"`
	Price     string         `json:"price"` // nRLC per run
	Tag       poco.Tag       `json:"tag"`
	Remaining string         `json:"remaining"` // on chain
	Since     *time.Time     `json:"since,omitempty"`
	Own       bool           `json:"own"` // mrelease made it
	Record    string         `json:"record,omitempty"`
	Why       string         `json:"why,omitempty"` // it stays
}

func (d *desk) saleAnswer(s rotation.Sale) saleAnswer {
	a := newSale(s)
	a.Record = d.explained(s.Hash)
	return a
}

func newSale(s rotation.Sale) saleAnswer {
	a := saleAnswer{
		Hash: s.Hash, App: record.Address(s.Order.App), Name: s.App.Name, Version: s.Version(),
		Price: s.Order.AppPrice.String(), Tag: s.Order.Tag, Remaining: s.Left.String(), Own: s.Own,
	}
	if !s.Since.IsZero() {
		a.Since = &s.Since
	}
	return a
}

// changeAnswer is the answer of the commands that change what is on sale.
type changeAnswer struct {
	Schema  string        `json:"schema"`
	Chain   string        `json:"chain"`
	DryRun  bool          `json:"dry-run"`
	Changed bool          `json:"changed"` // by this call
	Order   *openedAnswer `json:"order,omitempty"`
	Opened  bool          `json:"opened"` // by this call; else the order was on sale before
	Closed  []saleAnswer  `json:"closed"` // or would be
	Stay    []saleAnswer  `json:"stay,omitempty"`
	Cost    *costAnswer   `json:"cost,omitempty"`
	// Revoked are the versions that rollback passed over.
	Revoked []string     `json:"revoked,omitempty"`
	Known   *knownAnswer `json:"known,omitempty"` // where else: the name and the groups that are configured
	// Revocation is what the image's key states.
	Revocation *record.Revocation `json:"revocation,omitempty"`
}

type openedAnswer struct {
	Hash       common.Hash    `json:"hash"`
	App        record.Address `json:"app"`
	Version    string         `json:"version"`
	Generation uint64         `json:"generation"`
}

// costAnswer is as that of a plan.
type costAnswer struct {
	Transactions int    `json:"transactions"`
	Gas          uint64 `json:"gas"`
	Wei          string `json:"wei"`
}

func (a *changeAnswer) fill(w work, cost node.Cost, transactions int) {
	a.Closed, a.Revoked = []saleAnswer{}, w.revoked
	for _, s := range w.End {
		a.Closed = append(a.Closed, newSale(s))
	}
	for _, s := range w.Stay {
		stays := newSale(s.Sale)
		stays.Why = s.Why
		a.Stay = append(a.Stay, stays)
	}
	if o := w.Open; o != nil {
		a.Order = &openedAnswer{o.Hash, record.Address(o.App.Address), o.Version(), o.Generation}
	}
	if w.statement != nil {
		a.Revocation = &w.statement.Revocation
	}
	if transactions > 0 {
		a.Cost = &costAnswer{transactions, cost.Gas, cost.Wei().String()}
	}
}

// answer prints a change with --json, else the hash of the order that is on sale, or of
// each that was closed.
func (d *desk) answer(a changeAnswer) error {
	if *d.JSON {
		return d.PrintJSON(d.Out, a)
	}
	hashes := []common.Hash{}
	if a.Order != nil {
		hashes = append(hashes, a.Order.Hash)
	} else {
		for _, s := range a.Closed {
			hashes = append(hashes, s.Hash)
		}
	}
	for _, hash := range hashes {
		if _, err := fmt.Fprintln(d.Out, hash); err != nil {
			return err
		}
	}
	return nil
}
