// Package canary runs an app once before it is offered: its owner sells one run to nobody
// but itself, has a workerpool run it, and judges the result.
//
// The state of it lies in the world. The order that sells the run is the same on every
// machine, and so is the request that buys it: what the hub says that was sold of the one
// tells whether there was a run, and the other names its deal, whose task tells how it
// ended. A release that was killed anywhere goes on with the same run, wherever it is run
// again, and finds one that failed.
package canary

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/request/deal"
)

// Canary is the run of an app that is to prove it.
type Canary struct {
	Chain  *node.Client
	Market market.Client
	App    common.Address // zero: it is not known yet
	Owner  common.Address // of the app, who buys the run
	Tag    poco.Tag       // of the order that will be offered
	Terms  Terms
	Again  bool // another run is bought where the last one failed
}

// Terms are what a run may cost, what it is told, and what is expected of it.
type Terms struct {
	Workerpool common.Address // the only one, or group of them, that may run it; zero: any
	MaxPrice   uint64         // nRLC that the workerpool may ask for
	Category   uint64         // of the hub, by its number: how long a run may take
	Params     string         // of the request order
	Deposit    bool           // what the price is above the owner's stake is paid into the hub
	Timeout    time.Duration  // for which a run is waited
	Expected   Expected
}

// maxRounds bounds how many runs of one app are looked for.
const maxRounds = 1000

// round is one run that can be bought, and the orders for it.
type round struct {
	number  uint64
	order   poco.AppOrder // sells it to the app's owner
	request poco.RequestOrder
	deal    *deal.Deal // that bought it; nil: none
}

// last returns the run that was bought last, or the first one that can be when none was.
// Its error is an *OtherError when the settings are not those that it was bought with.
func (c Canary) last(ctx context.Context) (round, error) {
	found := c.round(0)
	if c.App == (common.Address{}) {
		return found, nil
	}
	for number := range uint64(maxRounds) {
		next := c.round(number)
		left, err := node.Remaining(ctx, c.Chain, next.order)
		if err != nil {
			return round{}, err
		}
		if left.Sign() > 0 && number == 0 {
			return next, nil
		}
		if left.Sign() > 0 {
			return c.bought(ctx, found)
		}
		found = next
	}
	return round{}, fmt.Errorf("looking for the last canary: %d were bought", maxRounds)
}

// bought adds the deal of a round that was sold.
func (c Canary) bought(ctx context.Context, r round) (round, error) {
	deals, err := deal.OfRequest(ctx, c.Chain, r.request)
	if err == nil && len(deals) == 0 {
		err = &OtherError{Order: r.order.Hash(c.Chain.Domain()), Round: r.number, App: c.App, Chain: c.Chain.Name}
	}
	if err != nil {
		return r, err
	}
	r.deal = &deals[0]
	return r, nil
}

// round makes the orders of a round. The request's salt follows from them, so that there
// is one request for a run with the same settings.
func (c Canary) round(number uint64) round {
	d := c.Chain.Domain()
	r := round{number: number, order: orders.Private(d, c.App, c.Owner, c.Tag, number)}
	r.request = poco.RequestOrder{
		App: c.App, AppMaxPrice: new(big.Int), DatasetMaxPrice: new(big.Int),
		Workerpool: c.Terms.Workerpool, WorkerpoolMaxPrice: new(big.Int).SetUint64(c.Terms.MaxPrice),
		Requester: c.Owner, Beneficiary: c.Owner, Volume: big.NewInt(1), Tag: c.Tag,
		Category: new(big.Int).SetUint64(c.Terms.Category), Trust: new(big.Int), Params: c.Terms.Params,
	}
	sold, unsalted := r.order.Hash(d), r.request.Hash(d)
	r.request.Salt = crypto.Keccak256Hash([]byte("mrelease canary requestorder v1"), sold[:], unsalted[:])
	return r
}
