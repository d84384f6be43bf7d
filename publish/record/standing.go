package record

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/vex"
)

// Standing looks up, all at the same time, what a release leaves behind, for who has just
// made it: of what [Verify] checks all but what an image's digest settles (its layers'
// bytes, its measurement), and the record beside the image and the list in which requesters
// find the order besides; and VEX documents, which no record names. A check that does not
// hold has an Err.
func Standing(ctx context.Context, w World, r Record, documents ...vex.Document) []Check {
	a := newAuditor(ctx, w, Given(r, ""))
	looks := []check{
		{"image", a.image}, {"blobs", a.blobs}, {"signature", a.signature}, {"provenance", a.provenance}, {ReferenceCheck, a.attestedReference}, {SBOMCheck, a.sbom}, {"app", a.app},
		{"order on chain", a.orderOnChain}, {"order on market", a.orderOnMarket}, {"listing", a.listing}, {"record", a.beside},
	}
	if documents != nil {
		looks = append(looks, check{VEXCheck, a.attestsVEX(documents)})
	}
	looks = a.without(looks)
	if r.IsPresigned() { // no market has its order
		looks = slices.DeleteFunc(looks, func(c check) bool { return c.name == "order on market" || c.name == "listing" })
		looks = append(looks, check{"presignature", a.presigned})
	}
	checks := make([]Check, len(looks))
	var all errgroup.Group
	for i, l := range looks {
		all.Go(func() error {
			checks[i] = l.run(ctx)
			return nil
		})
	}
	_ = all.Wait() // each check has its own error
	return checks
}

// beside asks whether the record is where whoever has the app's address finds it.
func (a auditor) beside(ctx context.Context) (found, error) {
	image, err := a.imageDigest()
	if err != nil {
		return found{}, err
	}
	var c collection
	attached, err := a.Registry.Attached(ctx, image, Kind(), func(document []byte) bool {
		return c.take(document, func(r Record) error { return r.isOf(a.Record) })
	})
	if err != nil {
		return found{}, err
	}
	for _, r := range c.taken {
		if r.Order.Hash == a.Order.Hash {
			return proved("beside the image"), nil
		}
	}
	return found{}, &UnrecordedError{common.Address(a.App.Address), image, common.Address(a.App.Owner), c.aside(attached)}
}

// blobs asks whether the registry has what the manifest names: it took the manifest
// whether or not it does.
func (a auditor) blobs(ctx context.Context) (found, error) {
	image, err := a.pull(ctx)
	if err != nil {
		return found{}, err
	}
	if _, err := image.RawConfigFile(); err != nil { // which compares it with its digest
		return found{}, contentError("configuration", a.Image.Config, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return found{}, fmt.Errorf("listing layers: %w", err)
	}
	var all errgroup.Group
	all.SetLimit(parallel)
	for _, layer := range layers {
		all.Go(func() error { return a.isThere(layer) })
	}
	return asserted(theRegistry, fmt.Sprintf("configuration and %s", printable.Count(len(layers), "layer"))), all.Wait()
}

// parallel is how many layers a registry is asked about at the same time.
const parallel = 8

func (a auditor) isThere(layer v1.Layer) error {
	digest, err := layer.Digest()
	if err != nil {
		return fmt.Errorf("reading digest of layer: %w", err)
	}
	there, err := partial.Exists(layer)
	if err != nil {
		return contentError("layer", digest, err)
	}
	if !there {
		return &registry.Error{Act: "looking for", Where: "layer " + digest.String(), Err: errAbsent}
	}
	return nil
}

var errAbsent = errors.New("the registry has the manifest and not the layer")

// listing asks whether requesters find the order.
func (a auditor) listing(ctx context.Context) (found, error) {
	err := a.Market.CheckListed(ctx, common.Address(a.App.Address), a.Order.Hash)
	return asserted(theMarket, "it is listed for the app"), err
}
