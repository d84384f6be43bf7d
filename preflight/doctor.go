// Package preflight says before a release whether it can be made: Check asks
// whether what was written is right, and looks at this machine's files only; Doctor
// asks whether this machine and the services are ready.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/request"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// patience bounds each check: the services answer within seconds or not at all.
const patience = 20 * time.Second

// Doctor looks at all that a release needs of this machine and of the services that
// the settings name.
type Doctor struct {
	Checker *settings.Checker
	Source  source.Options
	Keys    keys.Ring
	// Builder says which builder to use; its error is that of the check.
	Builder  func() (buildkit.Options, error)
	Registry registry.Client
}

// Skipped is the outcome of a check that waits for another to be mended.
type Skipped string

// Error implements error.
func (e Skipped) Error() string { return string(e) }

// doctor examines one part after the other. What a check finds, later ones use.
type doctor struct {
	Doctor
	settings settings.Settings
	commit   source.Commit
	chain    *node.Client
	owner    common.Address
	payer    common.Address // who sends the transactions: the owner, or another
}

// Examine makes each check, also when others fail, and reports it: with evidence,
// or an error, which is a [Skipped] for one that could not be made. Its own error is
// that of ctx.
func (d Doctor) Examine(ctx context.Context, report func(check, evidence string, err error)) error {
	d.Checker.Check(settings.Purpose{Build: true, Publish: true})
	in := &doctor{Doctor: d, settings: d.Checker.Settings} // as far as they go
	for _, c := range []struct {
		name string
		look func(context.Context) (evidence string, err error)
	}{
		{"configuration", in.configuration}, {"git", in.git}, {"builder", in.builder}, {"registry", in.registry},
		{"secrets", in.secrets}, {"keys", in.keys}, {"wallet", in.wallet},
		{"chain", in.connect}, {"coins", in.coins}, {"market", in.market}, {"secret service", in.secretService}, {"clock", in.clock},
	} {
		if d.Checker.Unread() && !slices.Contains([]string{"configuration", "builder", "clock"}, c.name) {
			report(c.name, "", Skipped("needs the configuration"))
			continue
		}
		limited, cancel := context.WithTimeout(ctx, patience)
		evidence, err := c.look(limited)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report(c.name, evidence, err)
	}
	return nil
}

func (d *doctor) configuration(context.Context) (string, error) {
	return files(d.Checker), d.Checker.Err()
}

// files says what settings were read from.
func files(c *settings.Checker) string {
	if len(c.Files) == 0 {
		return "no file, from the environment and flags only"
	}
	return strings.Join(c.Files, ", ")
}

func (d *doctor) git(ctx context.Context) (evidence string, err error) {
	if d.commit, err = d.Source.FindCommit(ctx); err != nil {
		return "", err
	}
	times, err := d.Source.FindTimes(d.commit)
	if err != nil {
		return "", err
	}
	version, err := d.Source.FindVersion(d.commit)
	if err != nil {
		return "", err
	}
	evidence = "no commit"
	if d.commit.Hash != "" {
		evidence = fmt.Sprintf("commit %.12s, %s", d.commit.Hash, printable.Count(len(d.commit.Dirty), "changed file"))
	}
	// The machine is ready all the same: what is released is the release's affair.
	if s := (source.Source{Commit: d.commit}); s.Dirty() {
		evidence += " (to be committed, or released with --allow-dirty)"
	}
	return fmt.Sprintf("%s, time of the image %s, version %s", evidence, times.Image.Format(time.DateTime), cmp.Or(version, "not known: give --version")), nil
}

func (d *doctor) builder(ctx context.Context) (string, error) {
	opts, err := d.Builder()
	if err != nil {
		return "", err
	}
	health, err := buildkit.Probe(ctx, opts)
	if err != nil || health.Builder != buildkit.Embedded {
		return daemons(health), err
	}
	kind := health.Builder
	if health.Rootless {
		kind += ", rootless"
	}
	return fmt.Sprintf("%s, runc %s, layers %s, %.0f GB free in %s", kind, health.Runtime, health.Layers, float64(health.Free)/1e9, health.State), nil
}

// daemons names each of several builders, and says whether it answers.
func daemons(found buildkit.Health) string {
	answer := append([]string{found.Builder}, found.Others...)
	if len(answer)+len(found.Lost) == 1 {
		return found.Builder
	}
	text := fmt.Sprintf("%d of %d answer: %s", len(answer), len(answer)+len(found.Lost), strings.Join(answer, ", "))
	for _, lost := range found.Lost {
		text += fmt.Sprintf("; not %s: %s", lost.Builder, lost.Problem)
	}
	return text
}

func (d *doctor) registry(ctx context.Context) (string, error) {
	if d.settings.Image.Repository == (name.Repository{}) {
		return "", Skipped("the configuration has no image")
	}
	access, err := d.Registry.CheckAccess(ctx, d.settings.Image.Repository)
	if err != nil {
		return "", err
	}
	client := d.Registry
	client.Layout = d.settings.Sign.Layout
	place, err := client.Place(ctx, d.settings.Image.Repository)
	return fmt.Sprintf("%s answers, %s; %s", d.settings.Image.RegistryStr(), access, place), err
}

func (d *doctor) secrets(context.Context) (string, error) {
	values, err := d.Source.ReadSecrets()
	if len(d.settings.Build.Secrets) == 0 {
		return "the build needs none", nil
	}
	return fmt.Sprintf("%d, each is there", len(values)), err
}

// keys are the one that signs the image and, where mrelease seals the image, the
// one that signs the enclave.
func (d *doctor) keys(ctx context.Context) (string, error) {
	evidence, err := d.signer(ctx)
	if err != nil {
		return "", err
	}
	if d.settings.Enclave.Key != "" {
		evidence += fmt.Sprintf("; of the enclave %s", d.settings.Enclave.Key)
		_, err = d.Keys.EnclaveKey()
	}
	return evidence, err
}

// signer is the key or, in a job that has one, the identity.
func (d *doctor) signer(ctx context.Context) (string, error) {
	if d.settings.Sign.IsKeyless() {
		who, err := d.Keys.OpenSigner(ctx)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, token from %s", who, d.settings.Sign.Keyless.Token), nil
	}
	if d.settings.Sign.Key == "" || d.Checker.Refused("sign.key") {
		return "", Skipped("the configuration has no sign.key that can be used")
	}
	key, err := d.Keys.OpenSigningKey(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %s, hint %s", d.settings.Sign.Key, key.GetKeyAlgorithm(), key.GetHint()), nil
}

// wallet also notes the address that the file states without its password, for
// the checks that need no more.
func (d *doctor) wallet(ctx context.Context) (string, error) {
	if !d.settings.Wallet.IsSafe() && d.settings.Wallet.Keystore == "" && d.settings.Wallet.Clef == "" && !d.settings.Wallet.KMS.IsSet() && !d.settings.Wallet.AllowRawKey {
		return "", Skipped("the configuration has no wallet")
	}
	wallet, err := d.Keys.OpenOwner(ctx)
	d.owner, d.payer = wallet.Address, wallet.Payer().Address
	if err == nil {
		evidence := strings.TrimSuffix(d.owner.Hex()+", "+d.Keys.External(), ", ")
		if payer, is := d.Keys.Payer(); is {
			evidence += "; paid for by " + strings.TrimSuffix(d.payer.Hex()+", "+payer.External(), ", ")
		}
		return evidence, nil
	}
	if owner, _, ownerErr := d.Keys.Owner(ctx); ownerErr == nil {
		d.owner = owner
	}
	if payer, payerErr := d.Keys.PayerAddress(ctx); payerErr == nil {
		d.payer = payer
	}
	if _, is := d.Keys.Payer(); !is {
		d.payer = d.owner
	}
	return "", err
}

// profile is the chain's, and whether there is one.
func (d *doctor) profile() (poco.Chain, error) {
	profile, ok := d.settings.Profile(d.settings.Chain)
	if !ok {
		return profile, Skipped("the configuration has no chain that is known")
	}
	return profile, nil
}

func (d *doctor) connect(ctx context.Context) (evidence string, err error) {
	profile, err := d.profile()
	if err != nil {
		return "", err
	}
	if d.chain, err = node.Connect(ctx, profile); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s (%d), hub %s, app registry %s", profile.Name, profile.ID, profile.Hub, d.chain.AppRegistry), nil
}

// coins compares what the wallet that pays has with what registering an app costs.
func (d *doctor) coins(ctx context.Context) (string, error) {
	if d.chain == nil || d.owner == (common.Address{}) || d.payer == (common.Address{}) {
		return "", Skipped("needs the chain and the wallet")
	}
	if d.chain.Fees == poco.FeesLegacy {
		return d.chain.Name + " charges nothing", nil
	}
	tag := d.settings.Image.Tag("0.0.0")
	app, err := apps.New(d.owner, d.settings.AppName(), tag, tag.Digest("sha256:"+strings.Repeat("f", 64)), measure.Unmeasured(d.settings.Enclave.Spec()))
	if err != nil {
		return "", err
	}
	cost, err := apps.EstimateCreate(ctx, d.chain, d.payer, app)
	if err != nil {
		return "", err
	}
	balance, err := d.chain.CheckFunds(ctx, d.payer, cost)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s has %s; registering an app costs about %s", d.payer, node.Coins(balance), node.Coins(cost.Wei())), nil
}

func (d *doctor) market(ctx context.Context) (string, error) {
	profile, err := d.profile()
	if err == nil && profile.Market == "" {
		err = Skipped("the configuration has no chain that is known")
	}
	if err != nil {
		return "", err
	}
	client := market.Client{URL: profile.Market, ChainID: profile.ID}
	version, err := client.Version(ctx)
	if err != nil || d.owner == (common.Address{}) {
		return "it answers, version " + version, err
	}
	open, err := client.CheckRoom(ctx, d.chain, d.owner)
	return fmt.Sprintf("it answers, version %s; of the %d orders that it takes of a wallet, %d are open, by its own count", version, market.MaxOpen, open), err
}

// secretService tells what the service says of itself. One that does not answer is an error
// where a release needs it.
func (d *doctor) secretService(ctx context.Context) (string, error) {
	profile, err := d.profile()
	if err == nil && profile.SMS == "" {
		err = Skipped("the configuration names none (chains.<name>.sms)")
	}
	if err != nil {
		return "", err
	}
	service := request.Service{URL: profile.SMS}
	if d.settings.Secret != (settings.Secret{}) || d.settings.Canary.Run {
		if _, err := service.HasAppSecret(ctx, d.owner); err != nil {
			return "", err
		}
	}
	return service.Serving(ctx, d.settings.Enclave.Framework, d.settings.Enclave.Version), nil
}

// clock can only be seen to be behind: nothing known here is in the future.
func (d *doctor) clock(ctx context.Context) (string, error) {
	const tolerance = time.Minute
	now := time.Now()
	if now.Add(tolerance).Before(d.commit.Time) {
		return "", &ClockError{now, d.commit.Time, "the commit"}
	}
	if d.chain == nil {
		return now.UTC().Format(time.DateTime) + " UTC", nil
	}
	last, err := d.chain.LastBlock(ctx)
	if err != nil {
		return "", err
	}
	if now.Add(tolerance).Before(last) {
		return "", &ClockError{now, last, "the chain's last block"}
	}
	return fmt.Sprintf("%s UTC, not behind the chain", now.UTC().Format(time.DateTime)), nil
}

// ClockError says that this machine's clock is behind something that happened.
type ClockError struct {
	Now, Event time.Time
	What       string
}

// Error implements error.
func (e *ClockError) Error() string {
	return fmt.Sprintf("the clock says %s, which is before %s (%s)", e.Now.UTC().Format(time.DateTime), e.What, e.Event.UTC().Format(time.DateTime))
}

// Evidence returns both times.
func (e *ClockError) Evidence() [][2]string {
	return [][2]string{{"this machine's clock", e.Now.UTC().Format(time.RFC3339)}, {e.What, e.Event.UTC().Format(time.RFC3339)}}
}

// IsSkipped reports whether a check could not be made.
func IsSkipped(err error) bool {
	var skipped Skipped
	return errors.As(err, &skipped)
}
