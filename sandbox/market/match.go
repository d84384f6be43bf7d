package market

import (
	"context"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
)

// checkMatchable refuses orders that could not be matched for want of money, or
// of an order to match them with.
func (b *book) checkMatchable(ctx context.Context, o *order, remaining uint64, author common.Address) error {
	switch o.kind.name {
	case "workerpoolorder":
		return b.checkWorkerpool(ctx, o, remaining, author)
	case "requestorder":
		return b.checkRequest(ctx, o, remaining, author)
	}
	return nil
}

// checkWorkerpool wants 30 % of the price as a stake of the pool's owner.
func (b *book) checkWorkerpool(ctx context.Context, o *order, remaining uint64, author common.Address) error {
	lock := product(o.amount("workerpoolprice"), 30)
	lock.Mul(lock.Div(lock, big.NewInt(100)), product(remaining, 1))
	stake, err := b.stake(ctx, author)
	if err != nil {
		return err
	}
	if stake.Cmp(lock) < 0 {
		return forbidden("workerpool owner's stake is too low to cover required workerpool lock")
	}
	return nil
}

// checkRequest wants the whole payment as the requester's stake, and orders of
// the app and the dataset that the request could be matched with.
func (b *book) checkRequest(ctx context.Context, o *order, remaining uint64, author common.Address) error {
	cost := product(o.amount("appmaxprice"), remaining)
	cost.Add(cost, product(o.amount("datasetmaxprice"), remaining))
	cost.Add(cost, product(o.amount("workerpoolmaxprice"), remaining))
	stake, err := b.stake(ctx, author)
	if err != nil {
		return err
	}
	if stake.Cmp(cost) < 0 {
		return forbidden("requester stake is too low to cover requestorder payment, minimum stake required is %s nRLC", cost)
	}
	for _, k := range kinds()[:2] { // apps and datasets
		if common.HexToAddress(o.text(k.resource)) == (common.Address{}) {
			continue
		}
		if err := b.checkOffered(ctx, k, o); err != nil {
			return err
		}
	}
	return nil
}

func product(a, b uint64) *big.Int {
	x := new(big.Int).SetUint64(a)
	return x.Mul(x, new(big.Int).SetUint64(b))
}

// checkOffered wants an open order of a kind that sells what is requested, to
// this request, at its price.
func (b *book) checkOffered(ctx context.Context, k *kind, request *order) error {
	list, err := b.openEntries(ctx, k)
	if err != nil {
		return err
	}
	tee := k.name == "apporder" && tag(request.text("tag")).Bit(0) == 1
	list = slices.DeleteFunc(list, func(e *entry) bool {
		return e.order.text(k.resource) != request.text(k.resource) || tee && tag(e.order.text("tag")).Bit(0) == 0 || !admits(e.order, request)
	})
	if len(list) == 0 {
		enabled := ""
		if tee {
			enabled = "tee enabled "
		}
		return forbidden("No %s%s published for %s %s", enabled, k.name, k.resource, request.text(k.resource))
	}
	best := slices.MinFunc(list, func(x, y *entry) int { return int(x.order.amount(k.price)) - int(y.order.amount(k.price)) }).order.amount(k.price)
	if request.amount(k.resource+"maxprice") < best {
		return forbidden("%smaxprice for %s %s is too low, actual best price is %d nRLC", k.resource, k.resource, request.text(k.resource), best)
	}
	return nil
}

// admits reports whether an order's restrictions let a request in.
func admits(o, request *order) bool {
	for filter, field := range o.kind.restrict {
		restricted := common.HexToAddress(o.text(field))
		if restricted != (common.Address{}) && restricted != common.HexToAddress(request.text(filter)) {
			return false
		}
	}
	return true
}

// tag reads a tag's bits.
func tag(hex string) *big.Int { return common.HexToHash(hex).Big() }
