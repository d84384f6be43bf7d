// Package fleet makes many apps of one owner of one release, without a build: for tests and
// measurements of what an owner of a thousand apps does.
package fleet

import (
	"context"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Fleet is a release that is copied, and whose its copies are.
type Fleet struct {
	Chain    *node.Client
	Market   market.Client
	Registry registry.Client
	Owner    node.Wallet
	Key      *signing.Key // signs the image of each copy
	Release  record.Record
	// OnSale is how many copies have their orders in the market, which takes 50 of an owner.
	// The others' are signed, and nowhere.
	OnSale int
}

// parallel is how many copies are made at the same time: as many as the wallet's transactions
// go into one block.
const parallel = 16

// repositories are how many repositories the copies are in, beside each other: in a hundred
// there would be a hundred times the image's layers.
const repositories = 4

// Copy makes the copies from one number up to another: the image with an annotation that makes
// it another, under a tag of its own, its signature and provenance, the app, its order, and the
// record beside it.
func (f Fleet) Copy(ctx context.Context, from, to int) error {
	original, err := name.NewTag(f.Release.Image.Reference)
	if err != nil {
		return fmt.Errorf("copying a release: %w", err)
	}
	image, err := f.Registry.Pull(ctx, original.Digest(f.Release.Image.Digest.String()))
	if err != nil {
		return fmt.Errorf("copying a release: %w", err)
	}
	f.Market.Turn = new(sync.Mutex) // the market keeps one challenge for the owner
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := from; i < to; i++ {
		group.Go(func() error {
			if err := f.one(ctx, original, image, i); err != nil {
				return fmt.Errorf("making copy %d of a release: %w", i, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (f Fleet) one(ctx context.Context, original name.Tag, image v1.Image, number int) error {
	r := f.Release
	r.App.Name = fmt.Sprintf("%s-%d", r.App.Name, number)
	r.Version = fmt.Sprintf("1.%d.0", number)
	tag, err := name.NewTag(fmt.Sprintf("%s-%d:%s", original.Repository.Name(), number%repositories, r.Version))
	if err != nil {
		return err
	}
	copied, _ := mutate.Annotations(image, map[string]string{"copy": r.Version}).(v1.Image)
	digest, err := f.Registry.Push(ctx, tag, copied)
	if err != nil {
		return err
	}
	r.Image.Reference = tag.Name()
	if r.Image.Digest, err = copied.Digest(); err != nil {
		return err
	}
	if r.Image.Config, err = copied.ConfigName(); err != nil { // which is written anew
		return err
	}
	r.App.Checksum = common.HexToHash(r.Image.Digest.Hex)
	if _, err := f.Registry.State(ctx, digest, f.Key, registry.Signature(), r.Source.Provenance(r.Version)); err != nil {
		return err
	}
	registered, err := apps.Register(ctx, f.Chain, f.Owner, r.OnChain(), measure.Enclave{})
	if err != nil {
		return err
	}
	r.App = record.NewApp(f.Chain, registered)
	if r.Order, err = f.order(ctx, r, number); err != nil {
		return err
	}
	if err := r.Sign(ctx, f.Owner); err != nil {
		return err
	}
	_, err = r.Publish(ctx, f.Registry)
	return err
}

// order is of the release's terms.
func (f Fleet) order(ctx context.Context, r record.Record, number int) (o record.Order, err error) {
	order := f.Release.Order.Signed.AppOrder
	order.App = common.Address(r.App.Address)
	if number >= f.OnSale {
		o.Hash = order.Hash(f.Chain.Domain())
		o.Signed, err = orders.Sign(ctx, f.Chain.Domain(), f.Owner, order)
		return o, err
	}
	offered, err := orders.Offer(ctx, f.Chain, f.Market, f.Owner, order)
	return record.Order{Hash: offered.Hash, Signed: offered.Order}, err
}
