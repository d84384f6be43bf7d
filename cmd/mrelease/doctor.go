package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

func (a *app) doctorCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine lacks for a release",
		Long: `doctor looks at all that a release needs of this machine and of the services
that the configuration names: the builder, the registry and its login, the keys,
the chain, the wallet's coins, the market, git and the clock. It looks at
everything, also when something fails, and says what mends it. The exit code is
that of the first failure. Nothing is written.`,
		Example: "  mrelease doctor\n  mrelease doctor --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.doctor(c.Context())
		},
	}
	a.addBuildFlags(c)
	a.targetFlags(c)
	return c
}

// patience bounds each check: the services answer within seconds or not at all.
const patience = 20 * time.Second

// doctor examines one part after the other. What a check finds, later ones use.
type doctor struct {
	*app
	cfg    settings.Settings
	lines  story
	ring   keys.Ring
	commit source.Commit
	chain  *chain.Client
	owner  common.Address

	answer    doctorAnswer
	unhealthy unhealthyError
}

func (a *app) doctor(ctx context.Context) error {
	d := &doctor{app: a, lines: a.lines(), answer: doctorAnswer{Schema: "mrelease.doctor/v1"}}
	for _, c := range []struct {
		name string
		look func(context.Context) (evidence string, err error)
	}{
		{"configuration", d.configuration}, {"git", d.git}, {"builder", d.builder}, {"registry", d.registry},
		{"secrets", d.secrets}, {"keys", d.keys}, {"wallet", d.wallet},
		{"chain", d.connect}, {"coins", d.coins}, {"market", d.market}, {"clock", d.clock},
	} {
		limited, cancel := context.WithTimeout(ctx, patience)
		evidence, err := c.look(limited)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.conclude(c.name, evidence, err)
	}
	d.answer.OK = d.unhealthy.first == nil
	if a.json {
		if err := printJSON(a.stdout, d.answer); err != nil {
			return err
		}
	}
	if d.answer.OK {
		return nil
	}
	return toldError{&d.unhealthy}
}

func (d *doctor) configuration(context.Context) (string, error) {
	c := settings.Read(d.sources())
	c.Check(settings.Purpose{Build: true, Publish: true})
	d.cfg, d.ring = c.Settings, d.app.ring(c.Settings) // as far as it goes: the other checks use what there is
	if len(c.Files) == 0 {
		return "no file, from the environment and flags only", c.Err()
	}
	return strings.Join(c.Files, ", "), c.Err()
}

func (d *doctor) git(context.Context) (evidence string, err error) {
	if d.commit, err = source.ReadCommit(string(d.cfg.Build.Context)); err != nil {
		return "", err
	}
	options := d.sourceOptions(source.Options{Settings: d.cfg})
	when, err := options.FindTimes(d.commit)
	if err != nil {
		return "", err
	}
	version, err := options.FindVersion(d.commit)
	if err != nil {
		return "", err
	}
	evidence = "no commit"
	if d.commit.Hash != "" {
		evidence = fmt.Sprintf("commit %.12s, %d changed files", d.commit.Hash, len(d.commit.Dirty))
	}
	return fmt.Sprintf("%s, time of the image %s, version %s", evidence, when.Image.Format(time.DateTime), cmp.Or(version, "not known: give --version")), nil
}

func (d *doctor) builder(ctx context.Context) (string, error) {
	opts, err := d.builderOptions()
	if err != nil {
		return "", err
	}
	health, err := buildkit.Probe(ctx, opts)
	if err != nil || health.Builder != buildkit.Embedded {
		return health.Builder, err
	}
	return fmt.Sprintf("%s, runc %s, layers %s, %.0f GB free in %s", health.Builder, health.Runtime, health.Layers, float64(health.Free)/1e9, health.State), nil
}

func (d *doctor) registry(ctx context.Context) (string, error) {
	if d.cfg.Image.Repository == (name.Repository{}) {
		return "", skippedError("the configuration has no image")
	}
	who, err := registry.Client{Keychain: authn.DefaultKeychain}.CheckAccess(ctx, d.cfg.Image.Repository)
	return fmt.Sprintf("%s answers, pushes as %s", d.cfg.Image.RegistryStr(), who), err
}

func (d *doctor) secrets(context.Context) (string, error) {
	values, err := d.sourceOptions(source.Options{Settings: d.cfg}).ReadSecrets()
	if len(d.cfg.Build.Secrets) == 0 {
		return "the build needs none", nil
	}
	return fmt.Sprintf("%d, each is there", len(values)), err
}

// keys are the one that signs the image and, where mrelease seals the image, the
// one that signs the enclave.
func (d *doctor) keys(context.Context) (string, error) {
	if d.cfg.Sign.Key == "" {
		return "", skippedError("the configuration has no sign.key")
	}
	key, err := d.ring.OpenSigningKey()
	if err != nil {
		return "", err
	}
	evidence := fmt.Sprintf("%s, %s, hint %s", d.cfg.Sign.Key, key.GetKeyAlgorithm(), key.GetHint())
	if d.cfg.Enclave.Key != "" {
		evidence += fmt.Sprintf("; of the enclave %s", d.cfg.Enclave.Key)
		_, err = d.ring.EnclaveKey()
	}
	return evidence, err
}

// wallet also notes the address that the file states without its password, for
// the checks that need no more.
func (d *doctor) wallet(context.Context) (string, error) {
	if d.cfg.Wallet.Keystore == "" && !d.cfg.Wallet.AllowRawKey {
		return "", skippedError("the configuration has no wallet.keystore")
	}
	wallet, err := d.ring.OpenWallet()
	if d.owner = wallet.Address; err == nil {
		return wallet.Address.Hex(), nil
	}
	if owner, ownerErr := d.ring.Owner(); ownerErr == nil {
		d.owner = owner
	}
	return "", err
}

func (d *doctor) connect(ctx context.Context) (evidence string, err error) {
	profile, ok := d.cfg.Profile(d.cfg.Chain)
	if !ok {
		return "", skippedError("the configuration has no chain that is known")
	}
	if d.chain, err = chain.Connect(ctx, profile); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s (%d), hub %s, app registry %s", profile.Name, profile.ID, profile.Hub, d.chain.AppRegistry), nil
}

// coins compares what the wallet has with what registering an app costs.
func (d *doctor) coins(ctx context.Context) (string, error) {
	if d.chain == nil || d.owner == (common.Address{}) {
		return "", skippedError("needs the chain and the wallet")
	}
	if d.chain.Fees == poco.FeesLegacy {
		return d.chain.Name + " charges nothing", nil
	}
	tag := d.cfg.Image.Tag("0.0.0")
	app, err := chain.NewApp(d.owner, d.cfg.AppName(), tag, tag.Digest("sha256:"+strings.Repeat("f", 64)), measure.Unmeasured(d.cfg.Enclave.Spec()))
	if err != nil {
		return "", err
	}
	cost, err := chain.EstimateCreate(ctx, d.chain, app)
	if err != nil {
		return "", err
	}
	balance, err := d.chain.CheckFunds(ctx, d.owner, cost)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s has %s; registering an app costs about %s", d.owner, chain.Coins(balance), chain.Coins(cost.Wei())), nil
}

func (d *doctor) market(ctx context.Context) (string, error) {
	profile, ok := d.cfg.Profile(d.cfg.Chain)
	if !ok || profile.Market == "" {
		return "", skippedError("the configuration has no chain that is known")
	}
	version, err := market.Client{URL: profile.Market, ChainID: profile.ID}.Version(ctx)
	return "it answers, version " + version, err
}

// clock can only be seen to be behind: nothing known here is in the future.
func (d *doctor) clock(ctx context.Context) (string, error) {
	const tolerance = time.Minute
	now := time.Now()
	if now.Add(tolerance).Before(d.commit.Time) {
		return "", &clockError{now, d.commit.Time, "the commit"}
	}
	if d.chain == nil {
		return now.UTC().Format(time.DateTime) + " UTC", nil
	}
	last, err := d.chain.LastBlock(ctx)
	if err != nil {
		return "", err
	}
	if now.Add(tolerance).Before(last) {
		return "", &clockError{now, last, "the chain's last block"}
	}
	return fmt.Sprintf("%s UTC, not behind the chain", now.UTC().Format(time.DateTime)), nil
}
