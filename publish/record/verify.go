package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/chain"
	"github.com/mrelease/mrelease/publish/market"
	"github.com/mrelease/mrelease/publish/registry"
)

// World is where a record's statements are looked up.
type World struct {
	Registry registry.Client
	Chain    *chain.Client // connected to the record's chain
	Market   market.Client
	Key      Key
	Runner   measure.Runner
	Timeout  time.Duration // for one run of the image
	// Progress, unless it is nil, is told how far a check is, often.
	Progress func(text string)
}

// Key is the public key that the image must be signed with. The zero Key is the one in
// the record, which the app's owner signed.
type Key struct {
	PEM  string
	Name string // where it is from
}

// Check is one statement of a record, looked up.
type Check struct {
	Name     string
	Evidence string // what was found; empty when Err is set
	Err      error  // why the statement does not hold, or could not be looked up
	Took     time.Duration
}

// Verify looks up all that a record states, whether or not a check before
// failed. The record itself was checked by [Parse].
func Verify(ctx context.Context, w World, r Record, report func(Check)) error {
	a := auditor{World: w, Record: r}
	a.statements = sync.OnceValues(func() (registry.Statements, error) { return a.readStatements(ctx) })
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
		{"measurement", a.measurement},
		{"order on chain", a.orderOnChain},
		{"order on market", a.orderOnMarket},
	} {
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
	if r.Source.Commit != "" {
		stated = append(stated, "commit "+r.Source.Commit)
	}
	stated = append(stated, "that the image is built from this source, from nothing but the materials above, at its time")
	if r.Source.Unsealed != nil {
		stated = append(stated, "the image before its seal")
	}
	return stated
}

type auditor struct {
	World
	Record
	statements func() (registry.Statements, error) // of the record's key about the image, read once
}

func (a auditor) app(ctx context.Context) (string, error) {
	there, err := chain.ReadApp(ctx, a.World.Chain, common.Address(a.App.Address))
	if err != nil {
		return "", err
	}
	if diff := there.Diff(a.OnChain()); len(diff) > 0 {
		return "", &chain.AppConflictError{Address: common.Address(a.App.Address), Diff: diff, Chain: a.App.Chain}
	}
	if registry := a.World.Chain.AppRegistry; common.Address(a.App.Registry) != registry {
		return "", &Error{"names another app registry than the hub", common.Address(a.App.Registry).Hex(), registry.Hex()}
	}
	return fmt.Sprintf("%s on %s, 6 fields equal, owner %s signed the record", common.Address(a.App.Address), a.App.Chain, there.Owner), nil
}

// MovedError says that a release's tag names another image than the record.
type MovedError struct {
	Reference string
	Got, Want string
}

func (e *MovedError) Error() string { return e.Reference + " names another image" }

// Evidence returns both digests.
func (e *MovedError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.Reference}}
}

func (a auditor) image(ctx context.Context) (string, error) {
	tag, err := name.NewTag(a.Image.Reference)
	if err != nil {
		return "", fmt.Errorf("parsing reference: %w", err)
	}
	digest, err := a.Registry.Resolve(ctx, tag)
	if err != nil {
		return "", err
	}
	if digest.DigestStr() != a.Image.Digest.String() {
		return "", &MovedError{a.Image.Reference, digest.DigestStr(), a.Image.Digest.String()}
	}
	image, err := a.pull(ctx)
	if err != nil {
		return "", err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return "", &ContentError{"manifest", a.Image.Digest, err}
	}
	for _, c := range [][3]string{
		{"config", manifest.Config.Digest.String(), a.Image.Config.String()},
		{registry.InputsAnnotation, manifest.Annotations[registry.InputsAnnotation], a.Source.Inputs.String()},
	} {
		if c[1] != c[2] {
			return "", &Error{"names another " + c[0] + " than the image's manifest", c[2], c[1]}
		}
	}
	if err := a.annotations(manifest.Annotations); err != nil {
		return "", err
	}
	return a.Image.Reference + " is " + digest.DigestStr(), nil
}

// annotations compares what the record says of the build with what the image
// says of it.
func (a auditor) annotations(annotations map[string]string) error {
	there := Source{Commit: a.Source.Commit, Epoch: a.Source.Epoch, Inputs: a.Source.Inputs}
	if err := there.ReadAnnotations(annotations); err != nil {
		return err
	}
	got, want := fmt.Sprint(a.Source.Unsealed, a.Source.Materials), fmt.Sprint(there.Unsealed, there.Materials)
	if got != want {
		return &Error{"names another build than the image's manifest", got, want}
	}
	return nil
}

func (a auditor) digest() (name.Digest, error) {
	tag, err := name.NewTag(a.Image.Reference)
	if err != nil {
		return name.Digest{}, fmt.Errorf("parsing reference: %w", err)
	}
	return tag.Digest(a.Image.Digest.String()), nil
}

func (a auditor) pull(ctx context.Context) (v1.Image, error) {
	digest, err := a.digest()
	if err != nil {
		return nil, err
	}
	image, err := a.Registry.Pull(ctx, digest)
	if err != nil {
		return nil, contentError("manifest", a.Image.Digest, err)
	}
	return image, nil
}

// layers reads every byte of the image; go-containerregistry compares each
// blob with its digest.
func (a auditor) layers(ctx context.Context) (string, error) {
	image, err := a.pull(ctx)
	if err != nil {
		return "", err
	}
	if _, err := image.RawConfigFile(); err != nil {
		return "", contentError("configuration", a.Image.Config, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return "", fmt.Errorf("listing layers: %w", err)
	}
	var total int64
	for _, layer := range layers {
		n, err := readLayer(layer, func(read int64) { a.tell(total + read) })
		if err != nil {
			return "", err
		}
		total += n
	}
	return fmt.Sprintf("%d layers, %.1f MB, each as its digest says", len(layers), float64(total)/1e6), nil
}

// tell tells how much of the layers was read.
func (a auditor) tell(read int64) {
	if a.Progress != nil {
		a.Progress(fmt.Sprintf("%.1f MB of the layers are read", float64(read)/1e6))
	}
}

// counter tells how many bytes were written to it.
type counter struct {
	n    int64
	tell func(int64)
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.tell(c.n)
	return len(p), nil
}

func readLayer(layer v1.Layer, tell func(read int64)) (int64, error) {
	digest, err := layer.Digest()
	if err != nil {
		return 0, fmt.Errorf("reading digest of layer: %w", err)
	}
	content, err := layer.Compressed()
	if err != nil {
		return 0, contentError("layer", digest, err)
	}
	n, err := io.Copy(&counter{tell: tell}, content)
	if err := errors.Join(err, content.Close()); err != nil {
		return n, contentError("layer", digest, err)
	}
	return n, nil
}

// contentError tells a registry that fails from one that serves other bytes.
func contentError(part string, digest v1.Hash, err error) error {
	var answer *transport.Error
	var network net.Error // url.Error is one
	var slow *bounds.SlowError
	if errors.As(err, &answer) || errors.As(err, &network) || errors.As(err, &slow) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled) {
		return &registry.Error{Act: "pulling", Where: part + " " + digest.String(), Err: err}
	}
	return &ContentError{part, digest, err}
}

// ContentError says that a part of an image is not what its digest says, or cannot be
// read.
type ContentError struct {
	Part   string // manifest, configuration or layer
	Digest v1.Hash
	Err    error
}

func (e *ContentError) Error() string { return fmt.Sprintf("%s %s: %v", e.Part, e.Digest, e.Err) }

// Unwrap returns the cause.
func (e *ContentError) Unwrap() error { return e.Err }

// Evidence returns the digest and what was wrong.
func (e *ContentError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Digest.String()}, {"actual", e.Err.Error()}}
}

func (a auditor) signature(context.Context) (string, error) {
	said, err := a.statements()
	if err != nil {
		return "", err
	}
	if err := said.CheckSignature(); err != nil {
		return "", err
	}
	return aside("signed with "+a.keyName(), said), nil
}

// provenance asks whether the image's own attestation says what the record says.
func (a auditor) provenance(context.Context) (string, error) {
	said, err := a.statements()
	if err != nil {
		return "", err
	}
	if err := said.CheckAttestation(a.Source.Provenance(a.Version)); err != nil {
		return "", err
	}
	return fmt.Sprintf("attested with %s, %d materials", a.keyName(), len(a.Source.Materials)), nil
}

// keyName says whose word the key is.
func (a auditor) keyName() string {
	if a.Key.PEM == "" {
		return "the record's public key, which the app's owner states"
	}
	return "the key in " + a.Key.Name + ", which was given"
}

// aside adds to evidence what else is said about the image.
func aside(evidence string, said registry.Statements) string {
	if others := said.Aside(); others != "" {
		return evidence + "; " + others
	}
	return evidence
}

func (a auditor) readStatements(ctx context.Context) (said registry.Statements, err error) {
	key, err := registry.ParsePublicKey(cmp.Or(a.Key.PEM, a.Image.PublicKey))
	if err != nil {
		return said, err
	}
	digest, err := a.digest()
	if err != nil {
		return said, err
	}
	err = bounds.Within(ctx, bounds.Act, "reading the image's referrers", func(ctx context.Context) (err error) {
		said, err = a.Registry.Statements(ctx, digest, key)
		return err
	})
	return said, err
}

func (a auditor) measurement(ctx context.Context) (string, error) {
	if a.Enclave.Format == measure.None {
		return "not measured: the app has no enclave value, as apps for TDX; what runs is named by the image's digest alone", nil
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
	evidence := fmt.Sprintf("MRENCLAVE %s, measured again", enclave.MRENCLAVE)
	if a.Enclave.Signature == nil {
		return evidence, nil
	}
	signature := *newSignature(enclave.Signature, a.Enclave.Signature.Program)
	if signature != *a.Enclave.Signature {
		return "", &Error{"states another enclave signature than the image has", fmt.Sprintf("%+v", *a.Enclave.Signature), fmt.Sprintf("%+v", signature)}
	}
	return fmt.Sprintf("%s, signed by %s", evidence, signature.MRSIGNER), nil
}

// spec asks for the measurement that the record states. The record's value
// itself is a source only where it names the seal: the rest is measured.
func (a auditor) spec() (measure.Spec, error) {
	spec := measure.Spec{Format: a.Enclave.Format, File: a.Enclave.File, Timeout: a.Timeout}
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
	if err := chain.CheckOrder(ctx, a.World.Chain, a.Order.Signed, common.Address(a.App.Owner)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s is signed by the owner and not used up", a.Order.Hash), nil
}

func (a auditor) orderOnMarket(ctx context.Context) (string, error) {
	offer, err := market.FindOffer(ctx, a.World.Chain, a.Market, a.Order.Signed)
	if err != nil {
		return "", err
	}
	left, err := chain.Remaining(ctx, a.World.Chain, a.Order.Signed.AppOrder)
	if err != nil {
		return "", err
	}
	runs := fmt.Sprintf("%s runs remaining", left)
	if market := new(big.Int).SetUint64(offer.Remaining); market.Cmp(left) != 0 {
		runs = fmt.Sprintf("%s runs remaining (the market says %s, the chain %s)", least(market, left), market, left)
	}
	return fmt.Sprintf("%s is open, %s, tag %s", a.Order.Hash, runs, a.Order.Signed.Tag), nil
}

func least(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}
