package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/bounds"
)

const (
	// InputsAnnotation of an image's manifest is the digest of all that the
	// release was made from. A release is the same release when it is equal.
	InputsAnnotation = "io.mrelease.inputs"
	// FingerprintAnnotation of an image's manifest is the fingerprint that the
	// build printed, when the image itself has no fingerprint file: without
	// it nobody else could finish or check the release.
	FingerprintAnnotation = "io.mrelease.fingerprint"
)

// More annotations of an image's manifest, so that whoever finds the image knows
// what the machine that built it knew.
const (
	// UnsealedAnnotation is the config digest of the image before it was
	// sealed: what a rebuild must give.
	UnsealedAnnotation = "io.mrelease.unsealed"
	// MaterialsAnnotation lists what the build took from elsewhere, as a JSON
	// array of {"uri", "digest"}.
	MaterialsAnnotation = "io.mrelease.materials"
)

// Client is access to container registries.
type Client struct {
	Keychain  authn.Keychain    // nil: anonymous
	Layout    Layout            // of statements; empty: both are read, and [Referrers] written
	Transport http.RoundTripper // nil: one of its own, with time limits
	// Around, unless it is nil, is put around what makes the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Progress, unless it is nil, is told how far a push is, often.
	Progress func(text string)

	memory *memory // nil: each thing is asked for when it is needed
	kept   *Kept   // nil: layers are fetched each time
}

func (c Client) options(ctx context.Context, of name.Repository) []remote.Option {
	opts := []remote.Option{remote.WithContext(ctx)}
	if c.Keychain != nil {
		opts = append(opts, remote.WithAuthFromKeychain(c.Keychain))
	}
	return append(opts, remote.WithTransport(c.transport(of.Registry)))
}

// TakenError says that a tag, which is never written twice, holds another
// release than the one at hand.
type TakenError struct {
	Tag       name.Tag
	Digest    v1.Hash   // of the image that is there
	Got, Want string    // inputs digests; Got is empty for an image of another maker
	Created   time.Time // of the image that is there, as far as that is known
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%s is taken by a release of other inputs; versions are immutable", e.Tag)
}

// Evidence returns both inputs digests.
func (e *TakenError) Evidence() [][2]string {
	got := e.Got
	if got == "" {
		got = "none: not made by mrelease"
	}
	return [][2]string{{"expected inputs", e.Want}, {"actual inputs", got}, {"where", e.Tag.Name() + "@" + e.Digest.String()}}
}

// Released returns the image of a release that was pushed before, or nil when
// the tag is free. Its error is a *TakenError when the tag holds anything else.
func (c Client) Released(ctx context.Context, tag name.Tag, inputs v1.Hash) (v1.Image, error) {
	in, err := c.session(ctx, tag.Repository, transport.PushScope)
	if err != nil {
		return nil, failed("looking for", tag, err)
	}
	there, err := in.find(ctx, tag)
	if err != nil {
		return nil, failed("looking for", tag, err)
	}
	if there == nil {
		return nil, nil
	}
	image, err := imageOf(there)
	if err != nil {
		return nil, failed("looking for", tag, err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, failed("reading manifest of", tag, err)
	}
	if got := manifest.Annotations[InputsAnnotation]; got != inputs.String() {
		taken := &TakenError{Tag: tag, Got: got, Want: inputs.String()}
		if config, err := image.ConfigFile(); err == nil {
			taken.Created = config.Created.Time
		}
		taken.Digest, err = image.Digest()
		return nil, errors.Join(taken, err)
	}
	return c.keep(image), nil
}

// Push writes an image under a tag that must be free or hold the same image,
// and returns the digest under which it can be pulled, read back from the
// registry. The image carries [InputsAnnotation].
//
// The tag is looked at once more when all is uploaded, and written last: of two
// parallel runs of a release whose images differ in their seals the slower one
// must not take the tag away.
//
// Errors: *TakenError when the tag holds, or came to hold, another release,
// *OvertakenError when it holds another run's image of the same release, *Error.
func (c Client) Push(ctx context.Context, tag name.Tag, image v1.Image) (name.Digest, error) {
	digest, err := image.Digest()
	if err != nil {
		return name.Digest{}, fmt.Errorf("reading digest: %w", err)
	}
	pushed := tag.Digest(digest.String())
	in, err := c.session(ctx, tag.Repository, transport.PushScope)
	if err != nil {
		return name.Digest{}, failed("looking for", tag, err)
	}
	if there, err := in.holds(ctx, tag, image); err != nil || there {
		return pushed, err
	}
	err = bounds.Within(ctx, bounds.Act, "the push", func(ctx context.Context) error { return c.write(ctx, pushed, image) })
	if err != nil {
		return name.Digest{}, failed("pushing", pushed, err)
	}
	if there, err := in.holds(ctx, tag, image); err != nil || there {
		return pushed, err
	}
	if err := remote.Tag(tag, image, in.opts...); err != nil {
		return name.Digest{}, failed("tagging", tag, err)
	}
	there, err := in.holds(ctx, tag, image)
	if err == nil && !there {
		err = failed("reading back", tag, errors.New("the registry took the image but does not have it"))
	}
	return pushed, err
}

// writeOnce writes an image, and tells how far it is.
func (c Client) writeOnce(ctx context.Context, to name.Digest, image v1.Image) error {
	if c.Progress == nil {
		return remote.Write(to, image, c.options(ctx, to.Repository)...)
	}
	updates, written := make(chan v1.Update), make(chan struct{})
	defer close(written)
	go c.tell(updates, written)
	return remote.Write(to, image, append(c.options(ctx, to.Repository), remote.WithProgress(updates))...)
}

// tell tells of updates until they are closed, or the image is written.
func (c Client) tell(updates <-chan v1.Update, written <-chan struct{}) {
	began := time.Now()
	for {
		select {
		case u, open := <-updates:
			if !open {
				return
			}
			c.Progress(fmt.Sprintf("%.1f of %.1f MB are pushed, %s", float64(u.Complete)/1e6, float64(u.Total)/1e6, rate(u.Complete, began)))
		case <-written:
			return
		}
	}
}

// rate is how many bytes went by in a second, in the mean since a time.
func rate(bytes int64, since time.Time) string {
	return fmt.Sprintf("%.1f MB/s", float64(bytes)/1e6/max(time.Since(since).Seconds(), 0.001))
}

// Replace writes an image under a tag that may have another one, as no version's may: all that
// it is made of first, and the tag last. Its error is an [*Error].
func (c Client) Replace(ctx context.Context, tag name.Tag, image v1.Image) error {
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("reading digest: %w", err)
	}
	in, err := c.session(ctx, tag.Repository, transport.PushScope)
	if err != nil {
		return failed("pushing", tag, err)
	}
	if err := c.write(ctx, tag.Digest(digest.String()), image); err != nil {
		return failed("pushing", tag, err)
	}
	if err := remote.Tag(tag, image, in.opts...); err != nil {
		return failed("tagging", tag, err)
	}
	return nil
}

// OvertakenError says that another run of the same release pushed its image
// first. The image is as good as this run's, but has another seal.
type OvertakenError struct {
	Tag       name.Tag
	Got, Want v1.Hash // digests: of the image that is there, and of this run's
}

func (e *OvertakenError) Error() string {
	return fmt.Sprintf("another run of the same release pushed %s first", e.Tag)
}

// Evidence returns both digests.
func (e *OvertakenError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want.String()}, {"actual", e.Got.String()}, {"where", e.Tag.Name()}}
}

// holds reports whether the tag names the image; another image is an error.
func (s *session) holds(ctx context.Context, tag name.Tag, image v1.Image) (bool, error) {
	there, err := s.find(ctx, tag)
	if err != nil {
		return false, failed("looking for", tag, err)
	}
	if there == nil {
		return false, nil
	}
	digest, err := image.Digest()
	if err != nil || there.Digest == digest {
		return err == nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return false, fmt.Errorf("reading manifest: %w", err)
	}
	other, err := imageOf(there)
	if err != nil {
		return false, failed("looking for", tag, err)
	}
	others, err := other.Manifest()
	if err != nil {
		return false, failed("reading manifest of", tag, err)
	}
	got, want := others.Annotations[InputsAnnotation], manifest.Annotations[InputsAnnotation]
	if got == want && got != "" {
		return false, &OvertakenError{tag, there.Digest, digest}
	}
	return false, &TakenError{Tag: tag, Digest: there.Digest, Got: got, Want: want}
}

// image returns an image whose manifest and config are within the bounds.
func (c Client) image(ctx context.Context, of name.Reference) (v1.Image, error) {
	in, err := c.session(ctx, of.Context(), transport.PullScope)
	if err != nil {
		return nil, err
	}
	there, err := remote.Get(of, in.opts...)
	if err != nil {
		return nil, err
	}
	image, err := imageOf(there)
	if err != nil {
		return nil, err
	}
	return c.keep(image), nil
}

func imageOf(there *remote.Descriptor) (v1.Image, error) {
	if err := bounds.CheckJSON(there.Manifest); err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	image, err := there.Image()
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	if size := manifest.Config.Size; size > bounds.ImageConfig {
		return nil, &bounds.Error{What: "the size of the image's config", Most: bounds.Bytes(bounds.ImageConfig), Got: fmt.Sprintf("%d bytes", size)}
	}
	return image, nil
}

// Pull returns the image that a digest names. Its layers are fetched when they
// are read, and checked against their digests.
func (c Client) Pull(ctx context.Context, digest name.Digest) (v1.Image, error) {
	image, err := c.image(ctx, digest)
	if err != nil {
		return nil, lookup("pulling", digest, err)
	}
	return image, nil
}

// Document returns the manifest or the index of a digest, as it is stored.
func (c Client) Document(ctx context.Context, digest name.Digest) ([]byte, error) {
	there, err := remote.Get(digest, c.options(ctx, digest.Context())...)
	if err != nil {
		return nil, failed("reading manifest of", digest, err)
	}
	return there.Manifest, bounds.CheckJSON(there.Manifest)
}

// Resolve returns the digest that a tag names at present.
func (c Client) Resolve(ctx context.Context, tag name.Tag) (name.Digest, error) {
	in, err := c.session(ctx, tag.Repository, transport.PullScope)
	if err != nil {
		return name.Digest{}, failed("resolving", tag, err)
	}
	there, err := remote.Head(tag, in.opts...)
	if err != nil {
		return name.Digest{}, lookup("resolving", tag, err)
	}
	return tag.Digest(there.Digest.String()), nil
}
