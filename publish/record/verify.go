package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// World is where a record's statements are looked up.
type World struct {
	Registry registry.Client
	Chain    *node.Client // connected to the record's chain
	Market   market.Client
	Signer   Signer
	Party    signing.Party // who signs, for the owner, in the place of Signer; may be nil
	Runner   measure.Runner
	NoRunner error         // why Runner is nil: then the measurement is not checked
	Timeout  time.Duration // for one run of the image
	Trust    measure.Trust // what the measurement must rest on at least; empty: what the record says
	Bases    []v1.Hash     // digests of the base images whose programs are trusted; none: the record's own
	Saved    *Saved        // nil: what is asked answers now
	NoLayers error         // why layers are not read, only looked for; nil: they are read
	Policy   *Policy       // nil: none
	// Progress, unless it is nil, is told how far a check is, often, and by several goroutines.
	Progress func(text string)
}

// Connect connects with a chain and its market. Its error is that of [node.Connect].
func Connect(ctx context.Context, profile poco.Chain) (World, error) {
	return ConnectAround(ctx, profile, Around{})
}

// Around is what is put around the requests to node and market.
type Around struct {
	Node, Market func(http.RoundTripper) http.RoundTripper
}

// ConnectAround is Connect with something around the requests.
func ConnectAround(ctx context.Context, profile poco.Chain, around Around) (World, error) {
	client, err := node.ConnectAround(ctx, profile, around.Node)
	return World{Chain: client, Market: market.Client{URL: profile.Market, ChainID: profile.ID, Around: around.Market}}, err
}

// CheckDomain compares the hub that a record names with a chain's. Its error is a
// [*node.WrongChainError].
func (r Record) CheckDomain(profile poco.Chain) error {
	if want := profile.Domain(); r.Domain() != want {
		return &node.WrongChainError{What: "hub in the record", Got: fmt.Sprint(r.Domain()), Want: fmt.Sprint(want), URL: profile.Name}
	}
	return nil
}

// Verify looks up each link from a release's app to its orders, whether or not a link
// before holds. Of a link that was not looked up the error is [Unchecked]: without a
// Runner the measurement's is a [*measure.UnmeasuredError].
func Verify(ctx context.Context, w World, s Subject, report func(Check)) error {
	w.Market.Tell = w.Progress
	a := newAuditor(ctx, w, s)
	var errs []error
	var measured func() Check
	for _, c := range a.checks() {
		run := func() Check { return c.run(ctx) }
		switch c.name {
		case layersCheck: // the image's manifest was read before
			measured = a.begin(ctx, check{measurementCheck, a.measurement})
		case measurementCheck:
			run = measured
		}
		looked := w.Saved.settle(run())
		a.outcomes[c.name] = looked
		if looked.Word == "" && looked.Err == nil { // there is no such link
			continue
		}
		report(looked)
		if looked.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, looked.Err))
		}
	}
	return errors.Join(errs...)
}

// The links that take the longest, and read the same bytes.
const (
	layersCheck      = "layers"
	measurementCheck = "measurement"
)

// begin begins a check that runs the image, and needs nothing of the others: they are looked
// up meanwhile. What is returned waits for it. Where nothing is run, it is made then.
func (a auditor) begin(ctx context.Context, c check) func() Check {
	if a.Runner == nil {
		return func() Check { return c.run(ctx) }
	}
	done := make(chan Check, 1)
	go func() { done <- c.run(ctx) }()
	return func() Check { return <-done }
}

// checks are the links, in order; docs/verify.md has a section for each.
func (a auditor) checks() []check {
	all := []check{
		{"app", a.app},
		{"record", a.record},
		{"image", a.image},
		{layersCheck, a.layers},
		{"signature", a.signature},
		{"provenance", a.provenance},
		{"revocation", a.revocation},
		{measurementCheck, a.measurement},
		{ReferenceCheck, a.reference},
		{SBOMCheck, a.sbom},
		{VEXCheck, a.vex},
		{"canary", a.canary},
		{"order on chain", a.orderOnChain},
		{"order on market", a.orderOnMarket},
	}
	if a.Missing != nil {
		all = append(all[:len(all)-3], check{"orders", a.orders})
	}
	return append(a.without(all), check{PolicyCheck, a.policy})
}

// Stated returns what of a record [Verify] compares with nothing that is not the
// owner's own word too, in words.
func (s Subject) Stated() []string {
	if s.Missing != nil {
		return nil // the owner said nothing
	}
	r := s.Record
	stated := []string{"version " + r.Version}
	if r.Source.Commit != "" || r.Source.Dirty {
		stated = append(stated, r.Source.State())
	}
	stated = append(stated, "that the image is built from this source and its materials, and from nothing else")
	if r.Source.Cache != "" {
		stated = append(stated, "which steps of it were taken from "+r.Source.Cache+", that others may have built")
	}
	if r.Source.Unsealed != nil {
		stated = append(stated, "the image before its seal")
	}
	if r.Canary != nil {
		stated = append(stated, r.Canary.Stated())
	}
	return stated
}

type auditor struct {
	World
	Subject
	statements func() (statements, error) // of the signer about the image, read once
	there      func() (poco.App, error)   // the app on the chain, read once
	left       func() (*big.Int, error)   // how many runs of the order, asked once
	again      *measure.Enclave           // as the image was measured here; zero until it was
	outcomes   map[string]Check           // of the links that were looked up, by name
}

func newAuditor(ctx context.Context, w World, s Subject) auditor {
	a := auditor{World: w, Subject: s, again: new(measure.Enclave), outcomes: map[string]Check{}}
	a.statements = sync.OnceValues(func() (statements, error) { return a.readStatements(ctx) })
	a.there = sync.OnceValues(func() (poco.App, error) { return a.readApp(ctx) })
	a.left = sync.OnceValues(func() (*big.Int, error) {
		owner := a.owner()
		if w.Saved.proven() != nil {
			return w.Saved.left(w.Chain, s.Order.Signed, owner)
		}
		left, err := market.CheckOrder(ctx, w.Chain, w.Market, s.Order.Signed, owner)
		if err == nil && w.Saved != nil {
			err = w.Saved.signed(w.Chain, s.Order.Signed, owner)
		}
		return left, err
	})
	return a
}

// owner is whose orders the hub takes now: the record may be of a former owner.
func (a auditor) owner() common.Address {
	if there, err := a.there(); err == nil {
		return there.Owner
	}
	return common.Address(a.App.Owner)
}

func (a auditor) readApp(ctx context.Context) (poco.App, error) {
	if proven := a.Saved.proven(); proven != nil {
		return proven.App, nil
	}
	if a.read != nil {
		return *a.read, nil
	}
	return apps.Read(ctx, a.World.Chain, common.Address(a.App.Address))
}

func (a auditor) app(context.Context) (found, error) {
	there, err := a.there()
	if err != nil {
		return found{}, err
	}
	if diff := there.Diff(a.OnChain()); len(diff) > 0 && a.Missing == nil {
		return found{}, &apps.ConflictError{Address: common.Address(a.App.Address), Diff: diff, Chain: a.App.Chain}
	}
	registry := a.World.Chain.AppRegistry
	if proven := a.Saved.proven(); proven != nil {
		registry = proven.Registry
	}
	if common.Address(a.App.Registry) != registry {
		return found{}, &Error{"names another app registry than the hub", common.Address(a.App.Registry).Hex(), registry.Hex()}
	}
	evidence := fmt.Sprintf("%s on %s, ", common.Address(a.App.Address), a.App.Chain)
	if a.Missing == nil {
		evidence += fmt.Sprintf("6 fields equal, owner %s %s", there.Owner, a.vouched())
	} else {
		evidence += fmt.Sprintf("name %s, owner %s, multiaddr %s, checksum %s, fingerprint %s", there.Name, there.Owner, there.Multiaddr, there.Checksum, cmp.Or(string(there.MREnclave), "none"))
	}
	if scripts := printable.Scripts(a.App.Name); scripts != nil {
		evidence += fmt.Sprintf("; its name %s mixes letters of %s: it may be read as another name", a.App.Name, strings.Join(scripts, ", "))
	}
	return a.Saved.app(evidence), nil
}

// vouched says how the owner says what the record says.
func (a auditor) vouched() string {
	if a.IsPresigned() {
		return "is named in the record, which has no signature"
	}
	return "signed the record"
}

// record asks whether the record is by whom the chain names. That its bytes are signed by
// whom it names itself, or named by the order that the owner must have presigned, [Parse]
// has found.
func (a auditor) record(ctx context.Context) (found, error) {
	if a.Missing != nil {
		return found{}, a.Missing
	}
	there, err := a.there()
	if err != nil {
		return found{}, &UncheckedError{"who owns the app is not known"}
	}
	if owner := common.Address(a.App.Owner); there.Owner != owner {
		return found{}, &Error{"is signed by somebody who does not own the app", owner.Hex(), there.Owner.Hex()}
	}
	if a.IsPresigned() {
		return a.presigned(ctx)
	}
	return found{Signed, "the app's owner " + there.Owner.Hex(), a.Found}, nil
}

// presigned asks whether the owner presigned the order that names the record. Of a file only
// its proof tells: what else it says of that is the word of who made it.
func (a auditor) presigned(ctx context.Context) (found, error) {
	owner := common.Address(a.App.Owner)
	if a.Saved != nil {
		by, err := a.Saved.presigner()
		if err == nil && (by == common.Address{} || by != owner) {
			err = a.unvouched(presignedBy(by))
		}
		if err != nil {
			return found{}, err
		}
	} else if err := a.checkPresigned(ctx, a.World.Chain); err != nil {
		return found{}, err
	}
	return a.Saved.presigned(fmt.Sprintf("presigned by the app's owner %s: its order %s names this record; %s", owner, a.Order.Hash, a.Found)), nil
}

func (a auditor) orderOnChain(context.Context) (found, error) {
	if _, err := a.left(); err != nil {
		return found{}, err
	}
	if len(a.Order.Signed.Sign) == 0 {
		return a.Saved.presigned(fmt.Sprintf("%s, presigned by the owner, and not used up", a.Order.Hash)), nil
	}
	return found{Signed, "the owner", a.Order.Hash.Hex() + ", and not used up, " + a.Saved.unused()}, nil
}

func (a auditor) orderOnMarket(ctx context.Context) (found, error) {
	if a.IsPresigned() {
		return found{Absent, theMarket, "it takes no order without a signature: who has the record has the order, and the hub takes it as it is"}, nil
	}
	offer, err := orders.FindOffer(ctx, a.World.Chain, a.Market, a.Order.Signed, common.Address(a.App.Owner))
	if err != nil {
		return found{}, err
	}
	left, err := a.left()
	if left == nil {
		return found{}, err
	}
	runs := market.Runs(left, offer.Remaining) // whether it can be matched is the chain's line
	return asserted(theMarket, fmt.Sprintf("%s is open, %s, tag %s", a.Order.Hash, runs, a.Order.Signed.Tag)), nil
}

// orders tells who sells an app of which there is no record: what its owner signed of
// what the market lists.
func (a auditor) orders(ctx context.Context) (found, error) {
	open, err := a.Market.Open(ctx, common.Address(a.App.Address), common.Address(a.App.Owner))
	if err != nil {
		return found{}, err
	}
	if len(open) == 0 {
		return asserted(theMarket, "it lists no order of the app's owner"), nil
	}
	cheapest := open[0]
	if _, err := node.CheckOrder(ctx, a.World.Chain, cheapest.Order, common.Address(a.App.Owner)); err != nil {
		return found{}, err
	}
	return asserted(theMarket, fmt.Sprintf("%s on sale, the cheapest %s for %s nRLC a run, tag %s, signed by the owner", printable.Count(len(open), "order"), cheapest.Hash, cheapest.Order.AppPrice, cheapest.Order.Tag)), nil
}
