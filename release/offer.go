package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
)

// offer signs the app's order and puts it on the market. Who can run it, and who cannot
// use it, is told before.
func (r *run) offer(ctx context.Context) (evidence string, err error) {
	for _, f := range r.plan.Findings { // of the step ahead
		if f.Name == workerpools {
			r.Teller.Note(f.Name + " " + f.Evidence)
		}
	}
	for _, f := range r.obstacles(r.registration.App.MREnclave) {
		r.Teller.Note(f.Name + " " + f.Evidence)
	}
	if r.registration, err = apps.Confirm(ctx, r.Chain, r.keys.wallet, r.registration, r.enclave.Enclave); err != nil {
		return "", err
	}
	if r.Settings.Wallet.IsSafe() {
		return r.offerPresigned(ctx)
	}
	r.offering, err = orders.Offer(ctx, r.Chain, r.Market, r.keys.wallet, r.order())
	return r.note("offer", r.offering.Published, "order "+r.offering.Hash.Hex()), err
}

func (r *run) order() poco.AppOrder {
	return orders.New(r.Chain.Domain(), r.registration.Address, r.Settings.Order.Terms())
}

func (r *run) lookForOrder(ctx context.Context) ([]Finding, error) {
	if r.Settings.Wallet.IsSafe() {
		return r.lookForPresigned(ctx)
	}
	found, err := r.findOrder(ctx)
	if err != nil {
		return nil, err
	}
	app, err := r.app()
	if err != nil {
		return nil, err
	}
	order := orders.New(r.Chain.Domain(), common.Address{}, r.Settings.Order.Terms())
	if r.enclave.known {
		order = r.order()
	}
	if found[0].State != There {
		buyers, err := r.buyers(ctx, order)
		if err != nil {
			return nil, err
		}
		found = append(append(found, buyers...), r.serving(ctx)...)
	}
	return append(found, r.obstacles(app.MREnclave)...), nil
}

// obstacles says who cannot use the order of an app with this enclave value.
func (r *run) obstacles(mrenclave []byte) (found []Finding) {
	r.plan.Obstacles = poco.Compatibility(r.Settings.Order.Tag, mrenclave)
	for _, o := range r.plan.Obstacles {
		found = append(found, Finding{"requesters", Note, fmt.Sprintf("%s cannot use the order: %s", o.Who, o.Why)})
	}
	return found
}

// room says how many orders the wallet has, where one more is to be made.
func (r *run) room(ctx context.Context, found Finding) ([]Finding, error) {
	if found.State != ToMake {
		return []Finding{found}, nil
	}
	open, err := r.Market.CheckRoom(ctx, r.Chain, r.owner())
	return []Finding{found, {"orders", Note, fmt.Sprintf("%d of the %d that the market takes of a wallet are open, by its own count", open, market.MaxOpen)}}, err
}

func (r *run) findOrder(ctx context.Context) ([]Finding, error) {
	terms := r.Settings.Order
	if !r.enclave.known {
		state, _ := r.unknown("")
		return r.room(ctx, Finding{"order", state, fmt.Sprintf("%s; its hash follows from the app", terms)})
	}
	order := r.order()
	r.offering.Hash = order.Hash(r.Chain.Domain())
	r.plan.OrderHash = r.offering.Hash.Hex()
	if err := market.CheckOpen(ctx, r.Chain, r.Market, order); err != nil {
		return nil, err
	}
	there, err := orders.FindOrder(ctx, r.Chain, r.Market, order)
	var dead *node.OrderError
	if orders.CanPublish(err) {
		again, asking := r.soldBefore(ctx, order)
		if errors.As(err, &dead) {
			again = " again (the market keeps it as dead: the app had another owner)"
		}
		if asking != nil {
			return nil, asking
		}
		return r.room(ctx, Finding{"order", ToMake, fmt.Sprintf("%s would be offered%s: %s", r.offering.Hash, again, terms)})
	}
	if err != nil {
		return nil, err
	}
	if err := r.Market.CheckListed(ctx, order.App, r.offering.Hash); err != nil {
		return nil, err
	}
	left, err := node.Remaining(ctx, r.Chain, order)
	if err != nil {
		return nil, err
	}
	return []Finding{{"order", There, fmt.Sprintf("%s is offered, %s", r.offering.Hash, market.Runs(left, there.Remaining))}}, nil
}

// soldBefore says of an order that the market does not have what the chain knows of it:
// that it was sold, and so was offered before.
func (r *run) soldBefore(ctx context.Context, order poco.AppOrder) (string, error) {
	left, err := node.Remaining(ctx, r.Chain, order)
	if err != nil || left.Cmp(order.Volume) == 0 {
		return "", err
	}
	return fmt.Sprintf(" again (%s of its %s runs are left on chain: it was taken out of the market, or the market does not show it)", left, order.Volume), nil
}
