package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/market"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/orders"
	"github.com/mrelease/mrelease/publish/registry"
)

// World is where a record's statements are looked up.
type World struct {
	Registry registry.Client
	Chain    *node.Client // connected to the record's chain
	Market   market.Client
	Signer   Signer
	Runner   measure.Runner
	NoRunner error         // why Runner is nil: then the measurement is not checked
	Timeout  time.Duration // for one run of the image
	Trust    measure.Trust // what the measurement must rest on at least; empty: what the record says
	Bases    []v1.Hash     // digests of the base images whose programs are trusted; none: the record's own
	// Progress, unless it is nil, is told how far a check is, often.
	Progress func(text string)
}

// Connect connects with a chain, which must be of the hub that the record names, and
// its market. Its error is a [*node.WrongChainError], or that of [node.Connect].
func Connect(ctx context.Context, profile poco.Chain, r Record) (World, error) {
	if want := (poco.Domain{ChainID: profile.ID, Hub: profile.Hub}); r.Domain() != want {
		return World{}, &node.WrongChainError{What: "hub in the record", Got: fmt.Sprint(r.Domain()), Want: fmt.Sprint(want), URL: profile.Name}
	}
	client, err := node.Connect(ctx, profile)
	return World{Chain: client, Market: market.Client{URL: profile.Market, ChainID: profile.ID}}, err
}

// Check is one statement of a record, looked up.
type Check struct {
	Name     string
	Evidence string // what was found; empty when Err is set
	Err      error  // why the statement does not hold, or could not be looked up
	Took     time.Duration
}

// UnverifiedError says that checks of a record failed. Its cause is the first
// one's: the later checks depend on the earlier ones.
type UnverifiedError struct {
	Failed, Total int
	Err           error
}

func (e *UnverifiedError) Error() string {
	return fmt.Sprintf("the record does not verify: %d of %d checks failed", e.Failed, e.Total)
}

// Unwrap returns the first check's error.
func (e *UnverifiedError) Unwrap() error { return e.Err }

// Verify looks up all that a record states, whether or not a check before
// failed. Without a Runner the measurement's error is a [*measure.UnmeasuredError]. The record itself was checked by [Parse].
func Verify(ctx context.Context, w World, r Record, report func(Check)) error {
	w.Market.Tell = w.Progress
	a := auditor{World: w, Record: r}
	a.statements = sync.OnceValues(func() (statements, error) { return a.readStatements(ctx) })
	var errs []error
	for _, c := range []struct {
		name  string
		check func(context.Context) (string, error)
	}{
		{"app", a.app},
		{"image", a.image},
		{"layers", a.layers},
		{"signature", a.signature},
		{"provenance", a.provenance},
		{"revocation", a.revocation},
		{"measurement", a.measurement},
		{"canary", a.canary},
		{"order on chain", a.orderOnChain},
		{"order on market", a.orderOnMarket},
	} {
		if c.name == "canary" && r.Canary == nil {
			continue
		}
		start := time.Now()
		var evidence string
		err := bounds.Within(ctx, bounds.Act, "the check of the "+c.name, func(ctx context.Context) (err error) {
			evidence, err = c.check(ctx)
			return err
		})
		report(Check{Name: c.name, Evidence: evidence, Err: err, Took: time.Since(start)})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	return errors.Join(errs...)
}

// Stated returns what of a record [Verify] compares with nothing that is not the
// owner's own word too, in words.
func (r Record) Stated() []string {
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
	Record
	statements func() (statements, error) // of the signer about the image, read once
}

func (a auditor) app(ctx context.Context) (string, error) {
	there, err := apps.Read(ctx, a.World.Chain, common.Address(a.App.Address))
	if err != nil {
		return "", err
	}
	if diff := there.Diff(a.OnChain()); len(diff) > 0 {
		return "", &apps.ConflictError{Address: common.Address(a.App.Address), Diff: diff, Chain: a.App.Chain}
	}
	if registry := a.World.Chain.AppRegistry; common.Address(a.App.Registry) != registry {
		return "", &Error{"names another app registry than the hub", common.Address(a.App.Registry).Hex(), registry.Hex()}
	}
	evidence := fmt.Sprintf("%s on %s, 6 fields equal, owner %s signed the record", common.Address(a.App.Address), a.App.Chain, there.Owner)
	if scripts := printable.Scripts(a.App.Name); scripts != nil {
		evidence += fmt.Sprintf("; its name %s mixes letters of %s: it may be read as another name", a.App.Name, strings.Join(scripts, ", "))
	}
	return evidence, nil
}

func (a auditor) measurement(ctx context.Context) (string, error) {
	if a.Enclave.Format == measure.None {
		return "not measured: the app has no enclave value, as apps for TDX; what runs is named by the image's digest alone", nil
	}
	if a.Runner == nil {
		return "", &measure.UnmeasuredError{Err: a.NoRunner}
	}
	spec, err := a.spec()
	if err != nil {
		return "", err
	}
	image, err := a.pull(ctx)
	if err != nil {
		return "", err
	}
	enclave, err := measure.Image(ctx, a.Runner, image, spec)
	if err != nil {
		return "", err
	}
	if enclave.Value != a.Enclave.Value || a.Enclave.MRENCLAVE == nil || *a.Enclave.MRENCLAVE != enclave.MRENCLAVE {
		return "", &measure.MismatchError{Readings: append(enclave.Readings, measure.Reading{Source: "the record", Value: a.Enclave.Value})}
	}
	if err := enclave.Basis.Check(a.leastTrust()); err != nil {
		return "", err
	}
	if b := a.Enclave.Basis; b != nil && b.Trust == enclave.Basis.Trust && b.Program != enclave.Basis.Program {
		return "", &Error{"names another program than the one that printed the measurement", b.Program, enclave.Basis.Program}
	}
	evidence := fmt.Sprintf("MRENCLAVE %s, printed again; %s%s", enclave.MRENCLAVE, enclave.Basis, a.whoseBase(enclave.Basis))
	if a.Enclave.Signature == nil {
		return evidence, nil
	}
	signature := *newSignature(enclave.Signature, a.Enclave.Signature.Program)
	if signature != *a.Enclave.Signature {
		return "", &Error{"states another enclave signature than the image has", fmt.Sprintf("%+v", *a.Enclave.Signature), fmt.Sprintf("%+v", signature)}
	}
	return fmt.Sprintf("%s, signed by %s", evidence, signature.MRSIGNER), nil
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

func (a auditor) orderOnChain(ctx context.Context) (string, error) {
	if err := market.CheckOrder(ctx, a.World.Chain, a.Market, a.Order.Signed, common.Address(a.App.Owner)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is signed by the owner and not used up", a.Order.Hash), nil
}

func (a auditor) orderOnMarket(ctx context.Context) (string, error) {
	offer, err := orders.FindOffer(ctx, a.World.Chain, a.Market, a.Order.Signed)
	if err != nil {
		return "", err
	}
	runs, err := market.Runs(ctx, a.World.Chain, a.Order.Signed.AppOrder, offer.Remaining)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is open, %s, tag %s", a.Order.Hash, runs, a.Order.Signed.Tag), nil
}
