package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

func (a *app) releaseCommand() *cobra.Command {
	var dryRun bool
	c := &cobra.Command{
		Use:   "release",
		Short: "Build, measure, push, sign, register and offer a version",
		Long: `release builds the image of a version, measures its enclave, pushes and signs
it and attests what it was made from, registers it as an app and puts the app's
order on the market, and writes the record of it all. What an earlier run of the
same version made is used, so a release that was interrupted is finished by
running it again, on any machine.

Secrets come from the environment: ` + walletPassword + ` (or ` + walletKey + `
with wallet.allow-raw-key) and ` + cosignPassword + `.`,
		Example: "  mrelease release --version 1.2.0\n  mrelease release --dry-run --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.release(c.Context(), dryRun)
		},
	}
	a.addBuildFlags(c)
	a.targetFlags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "do all but the outside writes, and print the record that would be written")
	return c
}

// release is the whole of a release; each line is a step that finds its result
// when it is there already.
func (a *app) release(ctx context.Context, dryRun bool) error {
	r, err := a.openRelease(ctx)
	if err != nil {
		return err
	}
	stopBuilder := sync.OnceFunc(func() { a.closeBuilder(r.builder) })
	defer stopBuilder()
	if err := r.findOrBuild(ctx); err != nil {
		return err
	}
	if err := r.measure(ctx); err != nil {
		return err
	}
	go stopBuilder() // it has done its part
	if err := r.openKeys(); err != nil {
		return err
	}
	if err := r.readOrigin(ctx); err != nil {
		return err
	}
	if dryRun {
		return r.preview(ctx)
	}
	if err := r.push(ctx); err != nil {
		return err
	}
	if err := r.sign(ctx); err != nil {
		return err
	}
	if err := r.attest(ctx); err != nil {
		return err
	}
	if err := r.register(ctx); err != nil {
		return err
	}
	if err := r.offer(ctx); err != nil {
		return err
	}
	return r.writeRecord()
}

// release is one release on its way: what it was opened with, then what each
// step found or made.
type release struct {
	*app
	cfg      config
	source   source
	tag      name.Tag
	registry registry.Client
	unlock   *unlocking
	keyring
	chain   *chain.Client
	market  market.Client
	builder *buildkit.Builder
	inputs  v1.Hash

	found        bool // the image was pushed by an earlier run
	image        v1.Image
	log          []byte        // what the build printed
	from         record.Source // what the image was made from
	enclave      measure.Enclave
	digest       name.Digest
	signed       bool // by this run
	attested     bool // likewise
	registration chain.Registration
	offering     market.Offering
}

// openRelease reads the configuration, begins to open the keys, opens the chain
// and starts the builder.
func (a *app) openRelease(ctx context.Context) (*release, error) {
	cfg, err := a.load(purpose{Build: true, Publish: true})
	if err != nil {
		return nil, err
	}
	r := &release{app: a, cfg: cfg, registry: registry.Client{Keychain: authn.DefaultKeychain}}
	if r.source, err = a.readSource(cfg); err != nil {
		return nil, err
	}
	if r.source.Version == "" {
		return nil, &usageError{errors.New("no version: HEAD has no git tag, and --version is not given"), "mrelease release"}
	}
	r.tag = cfg.Image.Tag(r.source.Version)
	if r.unlock, err = a.unlock(cfg); err != nil {
		return nil, err
	}
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	r.builder, err = a.openBuilder(ctx)
	return r, err
}

func (r *release) connect(ctx context.Context) error {
	profile, _ := r.cfg.profile(r.cfg.Chain) // the configuration was checked
	return r.story.step("chain", func() (evidence string, err error) {
		if r.chain, err = chain.Connect(ctx, profile); err != nil {
			return "", err
		}
		r.market = market.Client{URL: profile.Market, ChainID: profile.ID}
		return fmt.Sprintf("%s (%d), hub %s", profile.Name, profile.ID, profile.Hub), nil
	})
}

// openKeys waits for the keys.
func (r *release) openKeys() error {
	if r.key != nil {
		return nil
	}
	return r.story.step("keys", func() (evidence string, err error) {
		open := r.unlock.opened
		if r.found {
			open = r.unlock.checking // there may be nothing to sign
		}
		if r.keyring, err = open(); err != nil {
			return "", err
		}
		return fmt.Sprintf("wallet %s, signing key %s", r.wallet.Address, r.key.GetHint()), nil
	})
}

// findOrBuild takes the image that an earlier run pushed, else builds it. The
// seal is random, so an image once pushed is the release's image.
func (r *release) findOrBuild(ctx context.Context) error {
	err := r.story.step("inputs", func() (string, error) {
		digest, err := r.source.Digest(ctx)
		if err != nil {
			return "", err
		}
		r.inputs = digest
		r.image, err = r.registry.Released(ctx, r.tag, digest)
		r.found = r.image != nil
		if r.found {
			return digest.String() + ", released before as " + r.tag.Name(), err
		}
		return digest.String() + ", not released yet", err
	})
	if err != nil || r.found {
		return err
	}
	return r.build(ctx)
}

// build builds while the keys are opened. A password that is wrong ends it:
// minutes would be spent for nothing.
func (r *release) build(ctx context.Context) error {
	building, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		if _, err := r.unlock.opened(); err != nil {
			stop()
		}
	}()
	made, err := r.makeImage(building, r.builder, r.source, r.cfg, filepath.Join("dist", "image"))
	r.image, r.log = made.Image, made.Log
	if ctx.Err() != nil {
		return err
	}
	return cmp.Or(r.openKeys(), err)
}

func (r *release) measure(ctx context.Context) error {
	spec := r.cfg.spec()
	spec.Log = r.log
	manifest, err := r.image.Manifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	spec.Claim = manifest.Annotations[registry.FingerprintAnnotation]
	if r.enclave, err = r.measureImage(ctx, r.builder, r.image, spec); err != nil {
		return err
	}
	if err := r.checkSignature(); err != nil {
		return err
	}
	if err := r.checkDrift(ctx, r.cfg, r.image, record.NewEnclave(r.enclave, spec)); err != nil {
		return err
	}
	if r.enclave.Portable || r.found {
		return nil
	}
	r.image = mutate.Annotations(r.image, map[string]string{registry.FingerprintAnnotation: r.enclave.Value}).(v1.Image)
	return nil
}

// checkSignature applies the rules for what may be released to an enclave that
// is signed.
func (r *release) checkSignature() error {
	if r.enclave.Signature == nil {
		return nil
	}
	policy, err := r.cfg.Enclave.policy()
	if err != nil {
		return err
	}
	accepted, err := r.readLock()
	if err != nil {
		return err
	}
	if accepted != nil {
		if policy.MinISVSVN, err = accepted.SecurityVersion(); err != nil {
			return err
		}
	}
	return policy.Check(r.enclave.Signature)
}

func (r *release) push(ctx context.Context) error {
	return r.story.step("push", func() (evidence string, err error) {
		r.digest, err = r.registry.Push(ctx, r.tag, r.image)
		return r.made(!r.found, r.digest.Name()), err
	})
}

func (r *release) sign(ctx context.Context) error {
	return r.story.step("sign", func() (evidence string, err error) {
		r.signed, err = r.registry.Sign(ctx, r.digest, r.key)
		return r.made(r.signed, "key "+string(r.key.GetHint())), err
	})
}

func (r *release) register(ctx context.Context) error {
	return r.story.step("register", func() (evidence string, err error) {
		// The app names the tag, for good, and others may push too.
		if _, err := r.registry.Push(ctx, r.tag, r.image); err != nil {
			return "", err
		}
		app, err := chain.NewApp(r.wallet.Address, r.cfg.appName(), r.tag, r.digest, r.enclave)
		if err != nil {
			return "", err
		}
		r.registration, err = chain.Register(ctx, r.chain, r.wallet, app, r.enclave)
		return r.made(r.registration.Created, "app "+r.registration.Address.Hex()), err
	})
}

func (r *release) offer(ctx context.Context) error {
	return r.story.step("offer", func() (evidence string, err error) {
		order := market.NewOrder(r.chain.Domain(), r.registration.Address, r.cfg.terms())
		r.offering, err = market.Offer(ctx, r.chain, r.market, r.wallet, order)
		return r.made(r.offering.Published, "order "+r.offering.Hash.Hex()), err
	})
}

// made says of a step's result whether this run made it.
func (r *release) made(now bool, result string) string {
	if now {
		return result
	}
	return result + " (was there already)"
}

func (r *release) writeRecord() error {
	rec, err := r.record()
	if err != nil {
		return err
	}
	path := string(r.cfg.Record)
	if err := r.story.step("record", func() (string, error) { return path, rec.WriteFile(path) }); err != nil {
		return err
	}
	if r.found && !r.signed && !r.attested && !r.registration.Created && !r.offering.Published {
		r.story.note("nothing was made: image, signature, provenance, app and order of %s were there already", r.source.Version)
	}
	return r.answer(rec, path)
}

// record states what was found or made, signed by the app's owner.
func (r *release) record() (record.Record, error) {
	digest, err := r.image.Digest()
	if err != nil {
		return record.Record{}, fmt.Errorf("reading digest: %w", err)
	}
	config, err := r.image.ConfigName()
	if err != nil {
		return record.Record{}, fmt.Errorf("reading config digest: %w", err)
	}
	public, err := r.key.GetPublicKeyPem()
	if err != nil {
		return record.Record{}, fmt.Errorf("encoding public key: %w", err)
	}
	rec := record.Record{
		Schema:  record.Schema,
		Version: r.source.Version,
		Source:  r.from,
		Image:   record.Image{Reference: r.tag.Name(), Digest: digest, Config: config, PublicKey: public},
		Enclave: record.NewEnclave(r.enclave, r.cfg.spec()),
		App:     record.NewApp(r.chain, r.registration),
		Order:   record.Order{Hash: r.offering.Hash, Signed: r.offering.Order},
	}
	return rec, rec.Sign(r.wallet)
}

// terms are the order's, as configured.
func (c config) terms() market.Terms {
	o := c.Order
	return market.Terms{
		Price: o.Price, Volume: o.Volume, Tag: o.Tag,
		DatasetRestrict: o.DatasetRestrict, WorkerpoolRestrict: o.WorkerpoolRestrict, RequesterRestrict: o.RequesterRestrict,
	}
}

// spec is what to measure, as configured.
func (c config) spec() measure.Spec {
	e := c.Enclave
	spec := measure.Spec{Format: e.Format, Object: e.object(), File: e.File, Timeout: time.Duration(e.Timeout)}
	switch e.Seal {
	case buildkit.SealFSPF:
		spec.File = buildkit.KeytagPath
	case buildkit.SealBinaryFS:
		spec.Program = e.Program
	}
	return spec
}
