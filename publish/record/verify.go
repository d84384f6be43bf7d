package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// Progress, unless it is nil, is told how far a check is, often.
	Progress func(text string)
}

// Connect connects with a chain and its market. Its error is that of [node.Connect].
func Connect(ctx context.Context, profile poco.Chain) (World, error) {
	client, err := node.Connect(ctx, profile)
	return World{Chain: client, Market: market.Client{URL: profile.Market, ChainID: profile.ID}}, err
}

// CheckDomain compares the hub that a record names with a chain's. Its error is a
// [*node.WrongChainError].
func (r Record) CheckDomain(profile poco.Chain) error {
	if want := profile.Domain(); r.Domain() != want {
		return &node.WrongChainError{What: "hub in the record", Got: fmt.Sprint(r.Domain()), Want: fmt.Sprint(want), URL: profile.Name}
	}
	return nil
}

// Word is by whose word a link of a verification holds.
type Word string

// The words. What a chain's node, a market or a registry says and nothing proves is
// asserted, too: Check.By says by whom.
const (
	Proved   Word = "proved"   // computed by whoever verifies
	Signed   Word = "signed"   // by a key or an identity, and the signature was checked
	Asserted Word = "asserted" // by somebody, and nobody proves it
)

// Check is one link of a verification, looked up.
type Check struct {
	Name     string
	Word     Word   // by whose word it holds; empty when Err is set
	By       string // who asserts it, or signed it; empty: the evidence says it
	Evidence string // what was found; empty when Err is set
	Err      error  // why the link does not hold, or could not be looked up; see [Unchecked]
	Took     time.Duration
}

// String is what was found, and by whose word; or why not.
func (c Check) String() string {
	switch {
	case c.Err != nil:
		return c.Err.Error()
	case c.By != "":
		return fmt.Sprintf("%s by %s: %s", c.Word, c.By, c.Evidence)
	case c.Word == Signed:
		return fmt.Sprintf("%s %s", c.Word, c.Evidence)
	}
	return fmt.Sprintf("%s: %s", c.Word, c.Evidence)
}

// found is what a check found.
type found struct {
	word         Word
	by, evidence string
}

func proved(evidence string) found       { return found{Proved, "", evidence} }
func signed(evidence string) found       { return found{Signed, "", evidence} }
func asserted(by, evidence string) found { return found{Asserted, by, evidence} }

// Who asserts things.
const (
	theNode     = "the node"
	theMarket   = "the market"
	theRegistry = "the registry"
)

// UncheckedError says that a link could not be looked up, and why; that something is
// wrong with it is another error.
type UncheckedError struct{ Why string }

func (e *UncheckedError) Error() string { return "not checked: " + e.Why }

// Unchecked reports whether an error of a check says that the link was not looked up, or
// that there is nothing to look at: that is no reason to distrust it, and none to trust it.
func Unchecked(err error) bool {
	var unmeasured *measure.UnmeasuredError
	var unchecked *UncheckedError
	var unrecorded *UnrecordedError
	return errors.As(err, &unmeasured) || errors.As(err, &unchecked) || errors.As(err, &unrecorded)
}

// UnverifiedError says that links of a release do not hold. Its cause is the first
// one's: the later checks depend on the earlier ones.
type UnverifiedError struct {
	Failed, Total int
	Err           error
}

func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("the release does not verify: %d of %d checks failed", e.Failed, e.Total)
}

// Unwrap returns the first check's error.
func (e *UnverifiedError) Unwrap() error { return e.Err }

// Verify looks up each link from a release's app to its orders, whether or not a link
// before holds. Of a link that was not looked up the error is [Unchecked]: without a
// Runner the measurement's is a [*measure.UnmeasuredError].
func Verify(ctx context.Context, w World, s Subject, report func(Check)) error {
	w.Market.Tell = w.Progress
	a := newAuditor(ctx, w, s)
	var errs []error
	for _, c := range a.checks() {
		looked := c.run(ctx)
		report(looked)
		if looked.Err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, looked.Err))
		}
	}
	return errors.Join(errs...)
}

type check struct {
	name string
	look func(context.Context) (found, error)
}

// checks are the links, in order; docs/verify.md has a section for each.
func (a auditor) checks() []check {
	all := []check{
		{"app", a.app},
		{"record", a.record},
		{"image", a.image},
		{"layers", a.layers},
		{"signature", a.signature},
		{"provenance", a.provenance},
		{"revocation", a.revocation},
		{"measurement", a.measurement},
		{"canary", a.canary},
		{"order on chain", a.orderOnChain},
		{"order on market", a.orderOnMarket},
	}
	if a.Missing != nil {
		all = append(all[:len(all)-3], check{"orders", a.orders})
	}
	return slices.DeleteFunc(all, func(c check) bool { return c.name == "canary" && a.Canary == nil })
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
}

func (a auditor) readApp(ctx context.Context) (poco.App, error) {
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
	if registry := a.World.Chain.AppRegistry; common.Address(a.App.Registry) != registry {
		return found{}, &Error{"names another app registry than the hub", common.Address(a.App.Registry).Hex(), registry.Hex()}
	}
	evidence := fmt.Sprintf("%s on %s, ", common.Address(a.App.Address), a.App.Chain)
	if a.Missing == nil {
		evidence += fmt.Sprintf("6 fields equal, owner %s signed the record", there.Owner)
	} else {
		evidence += fmt.Sprintf("name %s, owner %s, multiaddr %s, checksum %s, fingerprint %s", there.Name, there.Owner, there.Multiaddr, there.Checksum, cmp.Or(string(there.MREnclave), "none"))
	}
	if scripts := printable.Scripts(a.App.Name); scripts != nil {
		evidence += fmt.Sprintf("; its name %s mixes letters of %s: it may be read as another name", a.App.Name, strings.Join(scripts, ", "))
	}
	return asserted(theNode, evidence), nil
}

// record asks whether the record is by whom the chain names. That its bytes are signed by
// whom it names itself, [Parse] has found.
func (a auditor) record(context.Context) (found, error) {
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
	return found{Signed, "the app's owner " + there.Owner.Hex(), a.Found}, nil
}

func (a auditor) measurement(ctx context.Context) (found, error) {
	if a.Enclave.Format == measure.None {
		return proved("there is nothing to measure: the app has no enclave value, as apps for TDX; what runs is named by the image's digest alone"), nil
	}
	if a.Runner == nil {
		return found{}, &measure.UnmeasuredError{Err: a.NoRunner}
	}
	spec, err := a.spec()
	if err != nil {
		return found{}, err
	}
	image, err := a.pull(ctx)
	if err != nil {
		return found{}, err
	}
	enclave, err := measure.Image(ctx, a.Runner, image, spec)
	if err != nil {
		return found{}, err
	}
	if enclave.Value != a.Enclave.Value || a.Enclave.MRENCLAVE == nil || *a.Enclave.MRENCLAVE != enclave.MRENCLAVE {
		return found{}, &measure.MismatchError{Readings: append(enclave.Readings, measure.Reading{Source: a.source(), Value: a.Enclave.Value})}
	}
	if err := enclave.Basis.Check(a.leastTrust()); err != nil {
		return found{}, err
	}
	if b := a.Enclave.Basis; b != nil && b.Trust == enclave.Basis.Trust && b.Program != enclave.Basis.Program {
		return found{}, &Error{"names another program than the one that printed the measurement", b.Program, enclave.Basis.Program}
	}
	f := restingOn(enclave.Basis)
	f.evidence = fmt.Sprintf("MRENCLAVE %s, printed again; %s%s", enclave.MRENCLAVE, enclave.Basis, a.whoseBase(enclave.Basis))
	if a.Enclave.Signature == nil {
		return f, nil
	}
	signature := *newSignature(enclave.Signature, a.Enclave.Signature.Program)
	if signature != *a.Enclave.Signature {
		return found{}, &Error{"states another enclave signature than the image has", fmt.Sprintf("%+v", *a.Enclave.Signature), fmt.Sprintf("%+v", signature)}
	}
	f.evidence += ", signed by " + signature.MRSIGNER.String()
	return f, nil
}

// source is where the value stands that a measurement is compared with.
func (a auditor) source() string {
	if a.Missing != nil {
		return "the app on the chain"
	}
	return "the record"
}

// restingOn says by whose word a measurement holds: what an unknown program prints is its
// own word.
func restingOn(b measure.Basis) found {
	switch b.Trust {
	case measure.TrustKnown:
		return proved("")
	case measure.TrustComputed:
		return found{word: Signed, by: "the enclave's signer"}
	}
	return asserted("the image's program", "")
}

// leastTrust is what the measurement has to rest on: what the caller demands, and what
// the record says.
func (a auditor) leastTrust() measure.Trust {
	least := cmp.Or(a.Trust, measure.TrustStated)
	if b := a.Enclave.Basis; b != nil && b.Trust.AtLeast(least) {
		least = b.Trust
	}
	return least
}

// bases are the images whose programs are trusted: of those that the caller trusts the
// one that the record names, whose documents it holds; its own, when nothing is said.
func (a auditor) bases() []measure.Base {
	b := a.Enclave.Basis
	if b == nil || b.Base == nil {
		return nil
	}
	_, digest, _ := strings.Cut(b.Base.Name, "@")
	given := slices.ContainsFunc(a.Bases, func(h v1.Hash) bool { return h.String() == digest })
	if len(a.Bases) > 0 && !given {
		return nil
	}
	return []measure.Base{*b.Base}
}

// ParseBases reads digests of base images, with or without the names of these.
func ParseBases(texts []string) (digests []v1.Hash, err error) {
	for _, text := range texts {
		digest, err := v1.NewHash(text[strings.LastIndexByte(text, '@')+1:])
		if err != nil {
			return nil, fmt.Errorf("reading %q: want a digest, sha256:…: %w", text, err)
		}
		digests = append(digests, digest)
	}
	return digests, nil
}

// whoseBase says who trusts the base.
func (a auditor) whoseBase(b measure.Basis) string {
	switch {
	case b.Base == nil:
		return ""
	case len(a.Bases) > 0:
		return "; that base was given as trusted"
	}
	return "; that the base can be trusted is the owner's word"
}

// spec asks for the measurement that the record states. The record's value
// itself is a source only where it names the seal: the rest is measured.
func (a auditor) spec() (measure.Spec, error) {
	spec := measure.Spec{Format: a.Enclave.Format, File: a.Enclave.File, Timeout: a.Timeout, Bases: a.bases()}
	if a.Enclave.Signature != nil {
		spec.Program = a.Enclave.Signature.Program
	}
	if a.Enclave.Format == measure.JSON {
		object, err := measure.ParseObject([]byte(a.Enclave.Value))
		spec.Object = object
		return spec, err
	}
	if strings.Contains(a.Enclave.Value, "|") {
		spec.Claim = a.Enclave.Value
	}
	return spec, nil
}

func (a auditor) orderOnChain(ctx context.Context) (found, error) {
	if err := market.CheckOrder(ctx, a.World.Chain, a.Market, a.Order.Signed, common.Address(a.App.Owner)); err != nil {
		return found{}, err
	}
	return found{Signed, "the owner", a.Order.Hash.Hex() + ", and not used up, as the node says"}, nil
}

func (a auditor) orderOnMarket(ctx context.Context) (found, error) {
	offer, err := orders.FindOffer(ctx, a.World.Chain, a.Market, a.Order.Signed)
	if err != nil {
		return found{}, err
	}
	runs, err := market.Runs(ctx, a.World.Chain, a.Order.Signed.AppOrder, offer.Remaining)
	if err != nil {
		return found{}, err
	}
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
	if err := node.CheckOrder(ctx, a.World.Chain, cheapest.Order, common.Address(a.App.Owner)); err != nil {
		return found{}, err
	}
	return asserted(theMarket, fmt.Sprintf("%s on sale, the cheapest %s for %s nRLC a run, tag %s, signed by the owner", printable.Count(len(open), "order"), cheapest.Hash, cheapest.Order.AppPrice, cheapest.Order.Tag)), nil
}
