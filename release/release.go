// Package release makes a release: it builds the image of a version, measures its
// enclave, pushes, signs and attests the image, registers it as an app and offers
// that on the market. It is for whoever puts releases into a program of their own;
// the command line is one such. It reads no environment, prints nothing and knows
// no CI system: what happens is told to a Teller, and the result is a value.
//
// A release is a list of steps (see steps). A step can look: is its result there,
// would it be allowed, what would it cost? And it can do, which is look or do: what
// an earlier run made is found and used, so a run that was killed anywhere is
// finished by running it again. Plan looks at each step, Run does each, and DryRun
// does those that write nothing outside and looks at the others.
//
// To call it, see examples/embed: settings.Load and source.Read say what is
// released, and keys.Ring.Open opens the Keys.
package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/approval"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Release is a version that is to be released.
type Release struct {
	World
	Settings settings.Settings
	Source   source.Source // with a version
	Lock     string        // path of the accepted lock; a file that is not there accepts anything
	Layout   string        // folder that the image is built into
	Foreign  bool          // orders that mrelease did not make are retired too
	Teller   Teller        // nil: nobody is told
	// CanaryAgain buys another canary where the last one failed.
	CanaryAgain bool
	// Approved is what was approved: nothing else is done. Nil: whatever is asked for.
	Approved *approval.Plan
	// Built has Plan look at the image that a build left in Layout, if it is of the same
	// inputs: a release that was approved with its digest pushes that one.
	Built bool
}

// World is what a release acts on.
type World struct {
	// Builder starts the builder, which is closed when it has done its part. A
	// plan does not call it.
	Builder func(context.Context) (*buildkit.Builder, error)
	// Importer starts the builder that takes steps of others (see [Cache]), where the
	// settings have a cache and the version may use it; nil: none does.
	Importer func(context.Context) (*buildkit.Builder, error)
	Registry registry.Client
	Chain    *node.Client
	Market   market.Client
	Keys     Keys
	Getenv   func(variable string) string // for a canary's judge: see canary.Judge
	// Measuring, unless it is nil, is held while an image's program runs: other releases
	// that go on at the same time share the builder, and the program may take half of the
	// machine's memory. They share the chain, too: whoever connected it is told of it.
	Measuring sync.Locker
}

// Connect connects the world with the chain and the market that the settings name, and
// returns the chain. Errors: those of [node.Connect].
func (w *World) Connect(ctx context.Context, cfg settings.Settings) (poco.Chain, error) {
	profile, ok := cfg.Profile(cfg.Chain)
	if !ok {
		return poco.Chain{}, fmt.Errorf("connecting: no chain %q is known", cfg.Chain)
	}
	node, err := node.Connect(ctx, profile)
	if err != nil {
		return poco.Chain{}, err
	}
	w.Chain, w.Market = node, market.Client{URL: profile.Market, ChainID: profile.ID}
	return profile, nil
}

// steps are a release, in order: by how hard they are to take back. The app's secret, its
// groups and name, the canary and the files of a project are steps of whoever asks for them,
// and the comparison with what was approved of whoever has that.
func (r Release) steps() []step {
	all := []step{
		{name: "inputs", look: (*run).lookForImage, do: (*run).findImage},
		{name: "build", do: (*run).build, tells: true}, // and keys, when it has to build
		{name: "measure", look: (*run).readMeasurement, do: (*run).measure, tells: true},
		{name: "scan", do: (*run).scan},
		{name: "lock", look: (*run).lookAtLock, do: (*run).checkDrift, tells: true},
		{name: "keys", do: (*run).openKeys, tells: true},
		{name: "ahead", do: (*run).lookAhead, tells: true, unseen: true}, // of what cannot be made
		{name: "approved", do: (*run).checkApproved},
		{name: "push", do: (*run).push, writes: true},
		{name: "sign", look: (*run).lookForSignature, do: (*run).sign, writes: true},
		{name: "attest", look: (*run).lookForProvenance, do: (*run).attest, writes: true},
		{name: "register", look: (*run).lookForApp, do: (*run).register, writes: true, cost: (*run).cost},
		{name: "secret", look: (*run).lookForSecret, do: (*run).pushSecret, writes: true},
		{name: "groups", look: (*run).lookAtGroups, do: (*run).joinGroups, writes: true, cost: (*run).groupsCost},
		{name: "canary", look: (*run).lookForCanary, do: (*run).prove, writes: true},
		{name: "offer", look: (*run).lookForOrder, do: (*run).offer, writes: true},
		{name: "name", look: (*run).lookAtName, do: (*run).moveName, writes: true, cost: (*run).nameCost},
		{name: "retire", look: (*run).lookForOldOrders, do: (*run).retire, writes: true, cost: (*run).retireCost},
		{name: "record", do: (*run).writeRecord, writes: true},
		{name: "project", look: (*run).lookAtProject, do: (*run).keepProject, writes: true},
		{name: "confirm", do: (*run).confirm, afterwards: true},
	}
	all = slices.DeleteFunc(all, func(s step) bool {
		switch s.name {
		case "project":
			return r.Settings.Project == ""
		case "scan":
			return r.Settings.Attest.SBOM == ""
		case "secret":
			return r.Settings.Secret == settings.Secret{}
		case "groups":
			return len(r.Settings.App.Groups) == 0
		case "name":
			return r.Settings.App.ENS == ""
		case "canary":
			return !r.Settings.Canary.Run
		case "approved":
			return r.Approved == nil
		}
		return false
	})
	if r.Settings.Wallet.IsSafe() {
		return recordFirst(all)
	}
	return all
}

// Result is a finished release.
type Result struct {
	Record       record.Record
	Registration apps.Registration
	Offering     orders.Offering
	// Made are the steps that made something; none when all was there already.
	Made []string
	// Approved is the plan that was approved; nil without one.
	Approved *approval.Plan
}

// Run makes the release, or finishes or confirms it. Its error is that of the step
// that failed, or an [*InterruptedError] when ctx was cancelled; once steps have begun it
// is in an [*UnfinishedError]. Of a release that is not what was approved it is an
// [*approval.DiffersError]: what can be seen is compared before anything is built, and all
// of it before the first write. Beside another run with the same Layout it is a [*BusyError].
func (r Release) Run(ctx context.Context) (Result, error) {
	return r.run(ctx, step.run, (*run).unfinished)
}

// DryRun does all but the outside writes. The result's record is the one that Run
// would write, but for signatures that the wallet makes anew each time.
func (r Release) DryRun(ctx context.Context) (Result, error) {
	return r.run(ctx, func(s step, ctx context.Context, r *run) error {
		r.dry = true
		return s.rehearse(ctx, r)
	}, func(_ *run, _ []step, _ int, err error) error { return err })
}

func (r Release) run(ctx context.Context, act func(step, context.Context, *run) error, failed func(*run, []step, int, error) error) (result Result, err error) {
	if err := r.checkSafe(ctx); err != nil {
		return Result{}, err
	}
	if r.Approved != nil {
		if err := r.compare(ctx); err != nil {
			return Result{}, err
		}
	}
	in, err := r.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	letGo, err := HoldOutput(r.Layout)
	if err != nil {
		return Result{}, err
	}
	defer letGo()
	kept := &registry.Kept{Progress: in.Registry.Progress}
	defer func() { err = errors.Join(err, kept.Close()) }()
	in.Registry = in.Registry.Keeping(kept)
	if in.builder, err = r.Builder(ctx); err != nil {
		return Result{}, err
	}
	in.stopBuilder = sync.OnceFunc(in.closeBuilder)
	defer in.stopBuilder()
	for _, f := range in.whoAndWhat("") {
		in.Teller.Note(f.Evidence)
	}
	steps := r.steps()
	for i, s := range steps {
		if err := act(s, ctx, in); err != nil {
			return Result{}, failed(in, steps, i, in.told.interrupted(ctx, steps[i:], err))
		}
	}
	rec, err := in.record(ctx)
	return Result{rec, in.registration, in.offering, in.told.made, r.Approved}, err
}

// Plan looks up what is there of the release, and says what Run would make of it.
// It builds and writes nothing, and ends with the error that Run would end with, as
// far as that can be seen.
func (r Release) Plan(ctx context.Context) (Plan, error) {
	if err := r.checkSafe(ctx); err != nil {
		return Plan{}, err
	}
	in, err := r.begin(ctx)
	if err != nil {
		return Plan{}, err
	}
	owner, stated, err := r.Keys.Owner(ctx)
	if err != nil {
		return Plan{}, err
	}
	payer, err := r.Keys.PayerAddress(ctx)
	if err != nil {
		return Plan{}, err
	}
	in.keys.wallet.Address = owner
	if payer != (common.Address{}) {
		in.keys.wallet = in.keys.wallet.PaidBy(node.Wallet{Address: payer})
	}
	in.plan.Wallet, in.plan.StatedBy = owner.Hex(), stated
	if in.payer() != owner {
		in.plan.Payer = in.payer().Hex()
	}
	in.plan.add(in.Teller, in.whoAndWhat(stated))
	for _, look := range r.looks() {
		found, err := look(in, ctx)
		if err != nil {
			return Plan{}, err
		}
		in.plan.add(in.Teller, found)
	}
	in.plan.Bound, err = in.bind(ctx)
	return in.plan, err
}
