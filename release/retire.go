package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/rotation"
)

// retire ends the sale of the orders that this release's takes the place of, which is on
// sale by now.
func (r *run) retire(ctx context.Context) (string, error) {
	s, err := r.succession(ctx)
	if err != nil {
		return "", err
	}
	r.plan.Succession = s
	for _, f := range r.staying(s) {
		r.Teller.Note(f.Name + " " + f.Evidence)
	}
	var unapproved []rotation.Sale
	s.Retire, unapproved = r.approved(s.Retire)
	r.noteEach(unapproved, "stays on sale: that it is retired was not approved")
	r.ended = r.next()
	for _, sale := range s.Retire {
		r.ended.Known = append(r.ended.Known, sale.Order)
	}
	if r.Settings.Wallet.IsSafe() && len(s.Retire) > 0 {
		return "", r.askSafe(ctx, nil)
	}
	if len(s.Retire) == 0 {
		return "no order of an earlier release is to be retired", nil
	}
	changed, err := r.sales().Retire(ctx, r.keys.wallet, r.Settings.Order.Retire, s.Retire)
	if err != nil {
		return "", err
	}
	var ended []string
	for _, sale := range s.Retire {
		ended = append(ended, fmt.Sprintf("%s of %s", sale.Hash, sale.Version()))
	}
	return r.note("retire", changed > 0, printable.Count(len(ended), "order")+": "+strings.Join(ended, ", ")), nil
}

func (r *run) lookForOldOrders(ctx context.Context) (found []Finding, err error) {
	if r.plan.Succession, err = r.succession(ctx); err != nil {
		return nil, err
	}
	for _, sale := range r.plan.Succession.Retire {
		found = append(found, Finding{"old order", ToRetire, fmt.Sprintf("%s would be retired: order.retire is %s", sale, r.Settings.Order.Retire)})
	}
	return append(found, r.staying(r.plan.Succession)...), nil
}

// staying tells of the orders that stay on sale: requesters take the cheapest that is open
// to them.
func (r *run) staying(s rotation.Succession) (found []Finding) {
	for _, sale := range s.Stay {
		if len(found) == maxStaying {
			return append(found, Finding{"old order", Note, fmt.Sprintf("%d more stay on sale", len(s.Stay)-maxStaying)})
		}
		cheaper := ""
		if sale.Order.AppPrice.Cmp(new(big.Int).SetUint64(r.Settings.Order.Price)) < 0 {
			cheaper = ", cheaper than this release's"
		}
		found = append(found, Finding{"old order", Note, fmt.Sprintf("%s stays on sale%s: %s", sale.Sale, cheaper, sale.Why)})
	}
	return found
}

// noteEach tells the same of old orders, and of how many it is told no more.
func (r *run) noteEach(sales []rotation.Sale, what string) {
	for i, sale := range sales {
		if i == maxStaying {
			r.Teller.Note(fmt.Sprintf("%s more: each %s", printable.Count(len(sales)-i, "old order"), what))
			return
		}
		r.Teller.Note(fmt.Sprintf("old order %s %s", sale, what))
	}
}

// maxStaying is how many orders are told one by one: a wallet can have fifty.
const maxStaying = 5

// OtherOrder is an order of the app's line that is on sale beside the release's.
type OtherOrder struct {
	Hash      common.Hash `json:"order-hash"`
	Version   string      `json:"version"`
	Price     string      `json:"price"`     // per run, in nRLC
	Remaining string      `json:"remaining"` // runs, on chain
	Retire    bool        `json:"retire"`    // the release would retire it
	Why       string      `json:"why,omitempty"`
}

// Others are the orders beside the release's, and what becomes of each.
func (p Plan) Others() (others []OtherOrder) {
	for _, s := range p.Succession.Retire {
		others = append(others, OtherOrder{s.Hash, s.Version(), s.Order.AppPrice.String(), s.Left.String(), true, ""})
	}
	for _, s := range p.Succession.Stay {
		others = append(others, OtherOrder{s.Hash, s.Version(), s.Order.AppPrice.String(), s.Left.String(), false, s.Why})
	}
	return others
}

// retireCost says what closing costs. A wallet that cannot pay for it, beside the app,
// ends the plan as it would end the release.
func (r *run) retireCost(ctx context.Context) ([]Finding, error) {
	if r.Settings.Wallet.IsSafe() {
		return nil, nil // it pays for its own
	}
	cost, transactions, err := r.sales().Cost(ctx, r.payer(), r.Settings.Order.Retire, r.plan.Succession.Retire)
	if err != nil || transactions == 0 {
		return nil, err
	}
	balance, err := r.Chain.CheckFunds(ctx, r.payer(), r.plan.creating.Plus(r.plan.knowing()).Plus(cost))
	if err != nil {
		return nil, err
	}
	return []Finding{{"cost", Note, fmt.Sprintf("of retiring: %s, %d gas, %s coins; %s has %s", printable.Count(transactions, "transaction"), cost.Gas, node.Coins(cost.Wei()), r.purse(), node.Coins(balance))}}, nil
}

func (r *run) sales() rotation.World { return rotation.World{Chain: r.Chain, Market: r.Market} }

// succession looks for orders beside this release's, of which the hash may not be known
// yet in a plan.
func (r *run) succession(ctx context.Context) (rotation.Succession, error) {
	return r.succeed(ctx, time.Duration(r.Settings.Order.Overlap))
}

func (r *run) succeed(ctx context.Context, overlap time.Duration) (rotation.Succession, error) {
	known, err := r.recorded()
	if r.Settings.Wallet.IsSafe() {
		known, err = r.presigned(ctx)
	}
	if err != nil {
		return rotation.Succession{}, err
	}
	next := r.next()
	next.Known, next.Overlap = known, overlap
	return r.sales().Succession(ctx, next)
}

// next is this release's order, for which others make room.
func (r *run) next() rotation.Next {
	terms := r.Settings.Order
	next := rotation.Next{
		Line: rotation.Line{Owner: r.owner(), Name: r.Settings.AppName()}, Version: r.Source.Version, App: r.registration.Address,
		How: terms.Retire, Overlap: time.Duration(terms.Overlap), Foreign: r.Foreign, Now: time.Now(),
	}
	if r.Settings.Wallet.IsSafe() {
		next.Hash = r.offering.Hash
	} else if next.App != (common.Address{}) {
		next.Hash = r.order().Hash(r.Chain.Domain())
	}
	return next
}

// recorded returns the order of the record that this release's will take the place of, as
// far as it is the owner's: the market may not list it any more.
func (r *run) recorded() ([]poco.SignedAppOrder, error) {
	path := string(r.Settings.Record)
	rec, err := record.ReadFile(path)
	var damaged *record.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.As(err, &damaged): // it is replaced, as it always was
		r.Teller.Note(fmt.Sprintf("the order of %s is not looked for: %v", path, err))
		return nil, nil
	case err != nil:
		return nil, err
	}
	return rotation.Known(r.Chain.Domain(), r.owner(), []record.Record{rec}), nil
}
