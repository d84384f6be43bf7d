// Package rotation is about the orders that an owner has on sale: which of them a release
// takes the place of, how they are retired, and how a release that was is sold again. It
// keeps no book of its own: apps and orders are found on the chain and in the market.
package rotation

import (
	"context"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
)

// World is where orders are sold.
type World struct {
	Chain  *node.Client
	Market market.Client
}

// Sale is an order of a wallet by which runs of an app can be bought.
type Sale struct {
	Hash   common.Hash
	Order  poco.SignedAppOrder
	Since  time.Time // when it was published; zero when the market does not list it
	Listed uint64    // runs left, as the market says
	Left   *big.Int  // runs left on chain; zero: it came to its end, and the market does not know yet
	App    poco.App  // which may have another owner by now: then nobody can match the order
	Own    bool      // mrelease made it
}

// isPresigned reports whether the owner gave its word for the order on chain.
func (s Sale) isPresigned() bool { return len(s.Order.Sign) == 0 }

// Version is the release's that the order sells.
func (s Sale) Version() string { return apps.Version(s.App) }

// Runs is how many runs can be bought: of what market and chain say, the least.
func (s Sale) Runs() string {
	if s.Left.IsUint64() && (s.Since.IsZero() || s.Left.Uint64() < s.Listed) {
		return printable.Count(s.Left.Uint64(), "run")
	}
	return printable.Count(s.Listed, "run")
}

// String names the order for people: hash, release and terms.
func (s Sale) String() string {
	of := "of " + s.Version()
	if s.Version() == "" {
		of = "of app " + s.Order.App.Hex()
	}
	return fmt.Sprintf("%s %s (%s nRLC a run, %s left)", s.Hash, of, s.Order.AppPrice, s.Runs())
}

// OnSale returns the orders that the market lists of a wallet, with what the chain says of
// each and of its app. All is asked at the same time.
//
// Errors: *market.Error, *bounds.Error, *node.RPCError, *apps.NoAppError.
func (w World) OnSale(ctx context.Context, wallet common.Address) ([]Sale, error) {
	listed, err := w.Market.OnSale(ctx, wallet)
	if err != nil {
		return nil, err
	}
	return w.read(ctx, wallet, listed)
}

// read asks the chain about orders of a wallet.
func (w World) read(ctx context.Context, wallet common.Address, listed []market.Order[poco.SignedAppOrder]) ([]Sale, error) {
	sales := make([]Sale, len(listed))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	app := w.apps(ctx)
	for i, o := range listed {
		group.Go(func() (err error) {
			if sales[i], err = w.sale(ctx, wallet, o); err == nil {
				sales[i].App, err = app(o.Order.App)
			}
			return err
		})
	}
	return sales, group.Wait()
}

// parallel is how many orders are read at the same time.
const parallel = 16

// apps returns a function that reads an app once, however many orders sell it.
func (w World) apps(ctx context.Context) func(common.Address) (poco.App, error) {
	var mu sync.Mutex
	reads := map[common.Address]func() (poco.App, error){}
	return func(address common.Address) (poco.App, error) {
		mu.Lock()
		read, ok := reads[address]
		if !ok {
			read = sync.OnceValues(func() (poco.App, error) { return apps.Read(ctx, w.Chain, address) })
			reads[address] = read
		}
		mu.Unlock()
		return read()
	}
}

// sale makes sure that an order is what it is listed as: what the market says decides
// which orders are closed, and each costs a transaction.
func (w World) sale(ctx context.Context, wallet common.Address, o market.Order[poco.SignedAppOrder]) (Sale, error) {
	hash := o.Order.Hash(w.Chain.Domain())
	signed, err := node.IsSigned(ctx, w.Chain, o.Order, wallet)
	if err != nil {
		return Sale{}, err
	}
	if !signed && len(o.Order.Sign) == 0 {
		return Sale{}, &node.OrderError{Hash: hash, Problem: "is not presigned by the app's owner", Got: "neither a signature nor a transaction of the owner", Want: "a presignature by " + wallet.Hex(), Where: w.Chain.Name}
	}
	if hash != o.Hash || !signed {
		return Sale{}, &market.Error{URL: w.Market.Node(), Request: "GET /apporders", Status: http.StatusOK, Message: fmt.Sprintf("its list has an order %s of %s that this wallet did not sign", o.Hash, wallet)}
	}
	left, err := node.Remaining(ctx, w.Chain, o.Order.AppOrder)
	if err != nil {
		return Sale{}, err
	}
	s := Sale{Hash: hash, Order: o.Order, Since: o.Published, Listed: o.Remaining, Left: left, Own: orders.IsOwn(w.Chain.Domain(), o.Order.AppOrder)}
	s.Own = s.Own || s.isPresigned() && s.Since.IsZero() // then a record has it, which its salt names
	return s, nil
}
