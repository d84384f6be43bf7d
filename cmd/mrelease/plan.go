package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/registry"
)

func (a *app) planCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "plan",
		Short: "Say what a release would do, without doing it",
		Long: `plan looks up what is there of a version: its image, the image's signature and
provenance, the app and the app's order. It says what a release would make of it, at what cost,
and who can use the order. It builds nothing, writes nothing, and ends with the
error that the release would end with, as far as that can be seen. The passwords
of the keys are not needed; without them signature and provenance may not be
told.`,
		Example: "  mrelease plan --version 1.2.0\n  mrelease plan --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.plan(c.Context())
		},
	}
	a.addBuildFlags(c)
	a.targetFlags(c)
	return c
}

// planner is a plan on its way.
type planner struct {
	*app
	cfg      config
	source   source
	tag      name.Tag
	owner    common.Address
	registry registry.Client
	chain    *chain.Client
	market   market.Client
	lines    story

	inputs  v1.Hash
	image   v1.Image // nil: not there
	enclave measure.Enclave
	known   bool // the enclave is that of the image; else it stands for one
	planned poco.App
	answer  planAnswer
}

func (a *app) plan(ctx context.Context) error {
	p, err := a.openPlan(ctx)
	if err != nil {
		return err
	}
	for _, look := range []func(context.Context) error{
		p.findImage, p.findStatements, p.readEnclave, p.expected, p.findApp, p.compatibility, p.costs,
	} {
		if err := look(ctx); err != nil {
			return err
		}
	}
	if a.json {
		return printJSON(a.stdout, p.answer)
	}
	p.lines.note("%s", p.answer.conclusion())
	return nil
}

func (a *app) openPlan(ctx context.Context) (*planner, error) {
	cfg, err := a.load(purpose{Build: true, Publish: true})
	if err != nil {
		return nil, err
	}
	p := &planner{app: a, cfg: cfg, registry: registry.Client{Keychain: authn.DefaultKeychain}, lines: a.lines()}
	if p.source, err = a.readPlanned(cfg); err != nil {
		return nil, err
	}
	if p.source.Version == "" {
		return nil, &usageError{errors.New("no version: HEAD has no git tag, and --version is not given"), "mrelease plan"}
	}
	p.tag = cfg.Image.Tag(p.source.Version)
	if p.owner, err = a.owner(cfg.Wallet); err != nil {
		return nil, err
	}
	profile, _ := cfg.profile(cfg.Chain) // the configuration was checked
	p.market = market.Client{URL: profile.Market, ChainID: profile.ID}
	p.chain, err = chain.Connect(ctx, profile)
	return p, err
}

// readPlanned reads the source without the values of its secrets, of which the
// inputs digest covers the names only.
func (a *app) readPlanned(cfg config) (source, error) {
	secrets := map[string][]byte{}
	for id := range cfg.Build.Secrets {
		secrets[id] = nil
	}
	cfg.Build.Secrets = nil
	src, err := a.readSource(cfg)
	src.Secrets = secrets
	return src, err
}

func (p *planner) findImage(ctx context.Context) error {
	var err error
	if p.inputs, err = p.source.Digest(ctx); err != nil {
		return err
	}
	commit := (&release{source: p.source}).commit()
	p.answer = planAnswer{Schema: "mrelease.plan/v1", Version: p.source.Version, Commit: commit, Inputs: p.inputs.String(), Image: p.tag.Name(), Make: []string{}}
	p.step("inputs", planNote, "%s, %s", p.inputs, or(commit, "of no commit"))
	if p.image, err = p.registry.Released(ctx, p.tag, p.inputs); err != nil {
		return err
	}
	if p.image == nil {
		p.step("image", toMake, "%s is free: it would be built and pushed", p.tag)
		return nil
	}
	digest, err := p.image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	p.answer.Digest = digest.String()
	p.step("image", isThere, "%s is %s, of the same inputs", p.tag, digest)
	return nil
}

// findStatements looks for what the image's key says of it.
func (p *planner) findStatements(ctx context.Context) error {
	if p.image == nil {
		p.step("signature", toMake, "the image would be signed")
		p.step("provenance", toMake, "the key would attest what the image is made from")
		return nil
	}
	key, err := p.keyToCheck(p.cfg.Sign)
	if err != nil {
		p.step("signature", untold, "whether the image is signed: the key cannot be opened (%v)", err)
		p.step("provenance", untold, "whether it is attested: likewise")
		return nil
	}
	if err := p.findSignature(ctx, key); err != nil {
		return err
	}
	return p.findProvenance(ctx, key)
}

func (p *planner) findSignature(ctx context.Context, key *registry.Key) error {
	var unsigned *registry.UnsignedError
	err := p.registry.CheckSignature(ctx, p.tag.Digest(p.answer.Digest), key.PublicKey)
	if errors.As(err, &unsigned) {
		p.step("signature", toMake, "the image would be signed with key %s", key.GetHint())
		return nil
	}
	if err == nil {
		p.step("signature", isThere, "the image is signed with key %s", key.GetHint())
	}
	return err
}

// readEnclave takes the measurement that the image states, as far as it does.
// A release measures it.
func (p *planner) readEnclave(ctx context.Context) (err error) {
	spec := p.cfg.spec()
	p.enclave = measure.Unmeasured(spec)
	digest := "sha256:" + strings.Repeat("f", 64)
	if p.image != nil {
		manifest, err := p.image.Manifest()
		if err != nil {
			return fmt.Errorf("reading manifest: %w", err)
		}
		spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
		stated, known, err := measure.Stated(ctx, p.image, spec)
		if err != nil {
			return err
		}
		if p.known = known; known {
			p.enclave, digest = stated, p.answer.Digest
		}
	}
	p.planned, err = chain.NewApp(p.owner, p.cfg.appName(), p.tag, p.tag.Digest(digest), p.enclave)
	return err
}

// expected says what the release must measure to.
func (p *planner) expected(context.Context) error {
	accepted, err := p.readLock()
	switch {
	case err != nil:
		return err
	case accepted == nil:
		p.step("lock", planNote, "%s", noLock)
	case accepted.MRENCLAVE == nil:
		p.step("lock", planNote, "%s holds what the image must be made from", p.lockPath())
	default:
		p.step("lock", planNote, "%s expects MRENCLAVE %s", p.lockPath(), accepted.MRENCLAVE)
	}
	return nil
}

func (p *planner) findApp(ctx context.Context) error {
	if !p.known {
		state, why := toMake, "its address follows from the build"
		if p.image != nil {
			state, why = untold, "the image states no measurement: it is measured at the release"
		}
		p.step("app", state, "for %s on %s; %s", p.owner, p.chain.Name, why)
		p.step("order", state, "%s; its hash follows from the app", p.cfg.Order)
		return nil
	}
	if err := p.chain.CheckEnclave(p.enclave); err != nil {
		return err
	}
	reg, err := chain.Lookup(ctx, p.chain, p.planned)
	var missing *chain.NoAppError
	if err != nil && !errors.As(err, &missing) {
		return err
	}
	p.answer.AppAddress = reg.Address.Hex()
	if missing != nil {
		p.step("app", toMake, "%s would be registered for %s on %s", reg.Address, p.owner, p.chain.Name)
	} else {
		p.step("app", isThere, "%s of %s on %s, all fields equal", reg.Address, p.owner, p.chain.Name)
	}
	return p.findOrder(ctx, reg.Address)
}

func (p *planner) findOrder(ctx context.Context, app common.Address) error {
	order := market.NewOrder(p.chain.Domain(), app, p.cfg.terms())
	hash := order.Hash(p.chain.Domain())
	p.answer.OrderHash = hash.Hex()
	if err := chain.CheckOpen(ctx, p.chain, order); err != nil {
		return err
	}
	there, err := market.FindOrder(ctx, p.chain, p.market, order)
	var absent *market.NotOfferedError
	if errors.As(err, &absent) {
		p.step("order", toMake, "%s would be offered: %s", hash, p.cfg.Order)
		return nil
	}
	if err == nil {
		p.step("order", isThere, "%s is offered, %d runs remaining", hash, there.Remaining)
	}
	return err
}

func (p *planner) compatibility(context.Context) error {
	p.answer.Obstacles = poco.Compatibility(p.cfg.Order.Tag, p.planned.MREnclave)
	for _, o := range p.answer.Obstacles {
		p.step("requesters", planNote, "%s cannot use the order: %s", o.Who, o.Why)
	}
	return nil
}

// costs come last: a wallet that cannot pay ends the plan as it would end the
// release.
func (p *planner) costs(ctx context.Context) error {
	if p.answer.has("app", isThere) {
		return nil
	}
	cost, err := chain.EstimateCreate(ctx, p.chain, p.planned)
	if err != nil {
		return err
	}
	balance, err := p.chain.CheckFunds(ctx, p.owner, cost)
	if err != nil {
		return err
	}
	p.answer.Cost = &planCost{cost.Gas, cost.Price.String(), cost.Wei().String(), balance.String()}
	p.step("cost", planNote, "%d gas, %s coins; the wallet has %s", cost.Gas, chain.Coins(cost.Wei()), chain.Coins(balance))
	return nil
}

// String writes the terms for people.
func (o orderConfig) String() string {
	return fmt.Sprintf("%d nRLC a run, %d runs, tag %s", o.Price, o.Volume, or(strings.Join(o.Tag.Names(), ","), "none"))
}
