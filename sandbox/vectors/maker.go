package vectors

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/sigstore"
	"github.com/mrelease/mrelease/sandbox/world"
)

// version is that of all releases here.
const version = "1.0.0"

// The accounts of the world that take part.
const (
	ownerAccount    = 1
	strangerAccount = 2
)

// released is a release in the world, as far as it went.
type released struct {
	record.Record
	profile poco.Chain
	chain   *node.Client
	market  market.Client
	owner   node.Wallet
	signers []signing.Signer // the record names the first
	image   name.Digest
}

// plan is how a release differs from one that is right. Its zero value does not.
type plan struct {
	signers  func(m *maker) []signing.Signer            // who signs; nil: our key
	unsigned bool                                       // the image is only attested
	states   func(record.Source) []registry.Attestation // nil: what is right
	layout   registry.Layout
	app      func(*poco.App) // what is registered
	terms    func(*orders.Terms)
	enclave  measure.Enclave // zero: none
}

// maker makes releases, each of an app of its own.
type maker struct {
	world        *world.World
	ours, theirs *signing.Key
	job          *keyless.Signer // which signs as the job that it runs in
	made         int
}

func newMaker(ctx context.Context, w *world.World) (*maker, error) {
	ours, err := newKey()
	if err != nil {
		return nil, err
	}
	theirs, err := newKey()
	if err != nil {
		return nil, err
	}
	job, err := newJob(ctx, w.Sigstore)
	return &maker{world: w, ours: ours, theirs: theirs, job: job}, err
}

func newKey() (*signing.Key, error) {
	password := []byte("password")
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return signing.LoadKey(keys.PrivateBytes, password)
}

func account(n int) (node.Wallet, error) {
	return node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(n))))
}

// release makes a release on a chain.
func (m *maker) release(ctx context.Context, c world.Chain, p plan) (r released, err error) {
	m.made++
	appName := fmt.Sprintf("vector-%d", m.made)
	r.profile = poco.Chain{Name: c.Name, ID: c.ID, RPC: c.RPC, Hub: c.Hub, Market: m.world.Market, Fees: c.Fees, Development: true}
	if r.chain, err = node.Connect(ctx, r.profile); err != nil {
		return r, err
	}
	r.market = market.Client{URL: m.world.Market, ChainID: c.ID}
	if r.owner, err = account(ownerAccount); err != nil {
		return r, err
	}
	tag, err := name.NewTag(m.world.Registry + "/" + appName + ":" + version)
	if err != nil {
		return r, fmt.Errorf("naming the image: %w", err)
	}
	r.Schema, r.Version = record.Schema, version
	r.signers = []signing.Signer{m.ours}
	if p.signers != nil {
		r.signers = p.signers(m)
	}
	if err := r.push(ctx, tag, p); err != nil {
		return r, err
	}
	if err := r.sell(ctx, appName, tag, p); err != nil {
		return r, err
	}
	if err := r.Sign(ctx, r.owner); err != nil {
		return r, err
	}
	_, err = r.Publish(ctx, registry.Client{})
	return r, err
}

// push pushes the image, and states what is to be stated of it.
func (r *released) push(ctx context.Context, tag name.Tag, p plan) error {
	inputs, _, err := v1.SHA256(strings.NewReader(tag.Name()))
	if err != nil {
		return fmt.Errorf("hashing: %w", err)
	}
	image, err := random.Image(64, 1)
	if err != nil {
		return fmt.Errorf("making an image: %w", err)
	}
	image = mutate.Annotations(image, map[string]string{registry.InputsAnnotation: inputs.String()}).(v1.Image)
	client := registry.Client{Layout: p.layout}
	if r.image, err = client.Push(ctx, tag, image); err != nil {
		return err
	}
	config, err := image.ConfigName()
	if err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	digest, err := v1.NewHash(r.image.DigestStr())
	if err != nil {
		return fmt.Errorf("reading the image: %w", err)
	}
	who, err := r.signers[0].Who()
	if err != nil {
		return err
	}
	r.Image = record.Image{Reference: tag.Name(), Digest: digest, Config: config, PublicKey: who.PublicKey, Identity: who.Identity}
	r.Source = record.Source{Commit: strings.Repeat("c0", 20), Epoch: 1, Inputs: inputs}
	states := []registry.Attestation{r.Source.Provenance(version)}
	if p.states != nil {
		states = p.states(r.Source)
	}
	if !p.unsigned {
		states = append([]registry.Attestation{registry.Signature()}, states...)
	}
	for _, signer := range r.signers {
		if _, err := client.State(ctx, r.image, signer, states...); err != nil {
			return err
		}
	}
	return nil
}

// sell registers the app and offers its order.
func (r *released) sell(ctx context.Context, appName string, tag name.Tag, p plan) error {
	enclave := p.enclave
	enclave.Format = cmp.Or(enclave.Format, measure.None)
	app, err := apps.New(r.owner.Address, appName, tag, r.image, enclave)
	if err != nil {
		return err
	}
	if p.app != nil {
		p.app(&app)
	}
	registered, err := apps.Register(ctx, r.chain, r.owner, app, enclave)
	if err != nil {
		return err
	}
	terms := orders.Terms{Price: 7, Volume: 10, Tag: poco.TEE()}
	if p.terms != nil {
		p.terms(&terms)
	}
	offering, err := orders.Offer(ctx, r.chain, r.market, r.owner, orders.New(r.chain.Domain(), registered.Address, terms))
	if err != nil {
		return err
	}
	r.Enclave, r.App = record.NewEnclave(enclave, measure.Spec{}), record.NewApp(r.chain, registered)
	r.Order = record.Order{Hash: offering.Hash, Signed: offering.Order}
	return nil
}

// base is a release as a verification found it, whatever came of that.
type base struct {
	file  evidence.File
	block string // hash of the block that it is proven at
	owner node.Wallet
}

// keep verifies a release, and keeps what was answered, also when a link does not hold.
func (r released) keep(ctx context.Context, authorities *sigstore.Instance) (b base, err error) {
	var recorder evidence.Recorder
	w, err := record.ConnectAround(ctx, r.profile, record.Around{Node: recorder.Around(evidence.Node), Market: recorder.Around(evidence.Market)})
	if err != nil {
		return b, err
	}
	w.Registry = registry.Client{Around: recorder.Around(evidence.Registry)}.Remembering()
	if w.Signer.TrustedRoot, err = authorities.TrustedRoot(); err != nil {
		return b, err
	}
	_ = record.Verify(ctx, w, record.Given(r.Record, "made"), func(record.Check) {}) // what it finds is what the vector is about
	text, err := r.Encode()
	if err != nil {
		return b, err
	}
	there, err := apps.Read(ctx, r.chain, common.Address(r.App.Address))
	if err != nil {
		return b, err
	}
	claim := proof.Claim{Domain: r.profile.Domain(), App: common.Address(r.App.Address), Order: r.Order.Hash, Presigned: r.IsPresigned()}
	proven, facts, err := node.Prove(ctx, r.chain, claim, there)
	if err != nil {
		return b, err
	}
	b.file = evidence.File{Schema: evidence.Schema, Made: facts.Block.Time, Record: string(text), Proof: &proven, Answers: recorder.Answers()}
	b.block, b.owner = facts.Block.Hash.Hex(), r.owner
	return b, nil
}

// fork returns a copy whose parts can be changed.
func (b base) fork() base {
	b.file.Answers = slices.Clone(b.file.Answers)
	for i, a := range b.file.Answers {
		b.file.Answers[i].Body = slices.Clone(a.Body)
	}
	if b.file.Proof != nil {
		p := *b.file.Proof
		p.Header = slices.Clone(p.Header)
		p.Hub, p.Registry, p.App = clone(p.Hub), clone(p.Registry), clone(p.App)
		b.file.Proof = &p
	}
	return b
}

func clone(a proof.Account) proof.Account {
	a.Proof = cloneNodes(a.Proof)
	a.Storage = slices.Clone(a.Storage)
	for i, s := range a.Storage {
		a.Storage[i].Proof = cloneNodes(s.Proof)
	}
	return a
}

func cloneNodes(all proof.Nodes) proof.Nodes {
	all = slices.Clone(all)
	for i, n := range all {
		all[i] = slices.Clone(n)
	}
	return all
}

// sortedKeys returns a map's keys in order: a vector's place is the same each time.
func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
