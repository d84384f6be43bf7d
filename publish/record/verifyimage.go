package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry"
)

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

func (a auditor) image(ctx context.Context) (found, error) {
	tag, err := name.NewTag(a.Image.Reference)
	if err != nil {
		return found{}, fmt.Errorf("parsing reference: %w", err)
	}
	digest, err := a.Registry.Resolve(ctx, tag)
	if err != nil {
		return found{}, err
	}
	if digest.DigestStr() != a.Image.Digest.String() {
		return found{}, &MovedError{a.Image.Reference, digest.DigestStr(), a.Image.Digest.String()}
	}
	image, err := a.pull(ctx)
	if err != nil {
		return found{}, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return found{}, &ContentError{"manifest", a.Image.Digest, err}
	}
	evidence := a.Image.Reference + " is " + digest.DigestStr() + ", as the app's checksum says"
	if a.Missing != nil {
		return proved(evidence), nil
	}
	for _, c := range [][3]string{
		{"config", manifest.Config.Digest.String(), a.Image.Config.String()},
		{registry.InputsAnnotation, manifest.Annotations[registry.InputsAnnotation], a.Source.Inputs.String()},
	} {
		if c[1] != c[2] {
			return found{}, &Error{"names another " + c[0] + " than the image's manifest", c[2], c[1]}
		}
	}
	if err := a.annotations(manifest.Annotations); err != nil {
		return found{}, err
	}
	return proved(evidence), nil
}

// annotations compares what the record says of the build with what the image
// says of it.
func (a auditor) annotations(annotations map[string]string) error {
	there := Source{Epoch: a.Source.Epoch, Inputs: a.Source.Inputs}
	if err := there.ReadAnnotations(annotations); err != nil {
		return err
	}
	got, want := fmt.Sprint(a.Source.Unsealed, a.Source.Materials), fmt.Sprint(there.Unsealed, there.Materials)
	if got != want {
		return &Error{"names another build than the image's manifest", got, want}
	}
	return nil
}

func (a auditor) pull(ctx context.Context) (v1.Image, error) {
	digest, err := a.imageDigest()
	if err != nil {
		return nil, err
	}
	image, err := a.Registry.Pull(ctx, digest)
	if err != nil {
		return nil, contentError("manifest", a.Image.Digest, err)
	}
	return image, nil
}

// UnreadError says that an image's layers are there, as the registry says, and that their
// bytes were not read.
type UnreadError struct {
	There string // what is there
	Err   error  // why they were not read
}

func (e *UnreadError) Error() string {
	return fmt.Sprintf("not checked: the registry has %s, whose bytes were not read", e.There)
}

// Unwrap says that nothing was measured either.
func (e *UnreadError) Unwrap() error { return &measure.UnmeasuredError{Err: e.Err} }

// IsOfLayers reports whether an error says that layers were not read.
func IsOfLayers(err error) bool {
	var unread *UnreadError
	var absent *AbsentError
	return errors.As(err, &unread) || errors.As(err, &absent)
}

// layers reads every byte of the image, unless there is a reason not to: then it asks whether
// the registry has them. go-containerregistry compares each blob with its digest.
func (a auditor) layers(ctx context.Context) (found, error) {
	if a.NoLayers != nil {
		f, err := a.blobs(ctx)
		if err == nil {
			err = &UnreadError{f.evidence, a.NoLayers}
		}
		return found{}, err
	}
	image, err := a.pull(ctx)
	if err != nil {
		return found{}, err
	}
	config, err := image.ConfigName()
	if err != nil {
		return found{}, contentError("manifest", a.Image.Digest, err)
	}
	if _, err := image.RawConfigFile(); err != nil {
		return found{}, contentError("configuration", config, err)
	}
	layers, err := image.Layers()
	if err != nil {
		return found{}, fmt.Errorf("listing layers: %w", err)
	}
	total, err := a.readLayers(layers)
	if err != nil {
		return found{}, err
	}
	return proved(fmt.Sprintf("%s, %.1f MB, each as its digest says", printable.Count(len(layers), "layer"), float64(total)/1e6)), nil
}

// atOnce is how many layers are read at a time.
const atOnce = 4

// readLayers reads layers to their ends, and returns how many bytes they have.
func (a auditor) readLayers(layers []v1.Layer) (int64, error) {
	read := counter{told: a.Progress}
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, layer := range layers {
		group.Go(func() error { return readLayer(layer, &read) })
	}
	err := group.Wait()
	return read.n.Load(), err
}

// counter counts the bytes that are written to it, by several at a time, and tells how many
// they are.
type counter struct {
	n    atomic.Int64
	told func(text string) // may be nil
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n := c.n.Add(int64(len(p)))
	if c.told != nil {
		c.told(fmt.Sprintf("%.1f MB of the layers are read", float64(n)/1e6))
	}
	return len(p), nil
}

func readLayer(layer v1.Layer, read io.Writer) error {
	digest, err := layer.Digest()
	if err != nil {
		return fmt.Errorf("reading digest of layer: %w", err)
	}
	content, err := layer.Compressed()
	if err == nil {
		_, err = io.Copy(read, content)
		err = errors.Join(err, content.Close())
	}
	if err != nil {
		return contentError("layer", digest, err)
	}
	return nil
}

// contentError tells a registry that fails from one that serves other bytes.
func contentError(part string, digest v1.Hash, err error) error {
	var answer *transport.Error
	var network net.Error // url.Error is one
	var slow *bounds.SlowError
	if disk, ok := errors.AsType[*fs.PathError](err); ok {
		return disk // of this machine
	}
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

func (a auditor) signature(context.Context) (found, error) {
	said, err := a.statements()
	if err != nil {
		return found{}, err
	}
	if err := said.CheckSignature(); err != nil {
		return found{}, said.unless(err, "whether it is signed")
	}
	evidence := "with " + said.word
	if vouched := said.Vouched(); vouched != "" {
		evidence = "by " + said.word + ", " + vouched
	}
	return signed(aside(evidence, said.Statements)), nil
}

// provenance asks whether the image's own attestation says what the record says.
func (a auditor) provenance(context.Context) (found, error) {
	if a.Missing != nil {
		return found{}, &UncheckedError{"what it must say stands in the record"}
	}
	said, err := a.statements()
	if err != nil {
		return found{}, err
	}
	if err := said.CheckAttestation(a.Source.Provenance(a.Version)); err != nil {
		return found{}, said.unless(err, "whether its provenance is attested")
	}
	evidence := fmt.Sprintf("with %s, %s", said.word, printable.Count(len(a.Source.Materials), "material"))
	if a.Source.Cache != "" {
		evidence += "; steps of its build may be others', from " + a.Source.Cache
	}
	return signed(evidence), nil
}

// statements are what the signer says about the image, and by whose word it is the
// signer.
type statements struct {
	registry.Statements
	word string
}

// unless returns the error that a statement is missing, unless it may be among more of them
// than are read: then nobody knows. One that says something else is no missing one.
func (s statements) unless(missing error, what string) error {
	_, unsigned := errors.AsType[*registry.UnsignedError](missing)
	unattested, ok := errors.AsType[*registry.UnattestedError](missing)
	if crowd := s.Crowded(); crowd != nil && (unsigned || ok && len(unattested.Got) == 0) {
		return &UncheckedError{fmt.Sprintf("%s: %v", what, crowd)}
	}
	return missing
}

// aside adds to evidence what else is said about the image.
func aside(evidence string, said registry.Statements) string {
	if others := said.Aside(); others != "" {
		return evidence + "; " + others
	}
	return evidence
}

func (a auditor) readStatements(ctx context.Context) (said statements, err error) {
	signer := a.signer()
	if a.Missing != nil && signer.isNobody() && a.Party == nil {
		return said, &UncheckedError{"who must have signed the image stands in the record; name a key or an identity"}
	}
	party, word := a.Party, "the key"
	if party == nil {
		if party, word, err = signer.party(a.Image); err != nil {
			return said, err
		}
	}
	digest, err := a.imageDigest()
	if err != nil {
		return said, err
	}
	said.word = word
	err = bounds.Within(ctx, bounds.Act, "reading the image's referrers", func(ctx context.Context) (err error) {
		said.Statements, err = a.Registry.Statements(ctx, digest, party)
		return err
	})
	return said, err
}
