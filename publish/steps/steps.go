// Package steps has a registry keep what the steps of builds made, and fetches it, in the
// form of BuildKit's cache: an image whose config lists the steps, and whose layers are what
// they made. All of it is fetched, and compared with what it says of itself, before a builder
// sees any of it: so what is corrupt, of another form, or came to half only is nothing.
// Whoever may write to the repository can write such a cache whose steps made something else
// than they would; that cannot be seen.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

// Kind is why there are no steps.
type Kind string

// The kinds.
const (
	Missing Kind = "there is none yet"
	Silent  Kind = "the registry does not answer in time"
	Refused Kind = "the registry refuses the login"
	Down    Kind = "the registry fails"
	Foreign Kind = "it is of another form than this program's"
	Corrupt Kind = "it is corrupt"
	Large   Kind = "it is too large"
)

// Error says why steps could not be fetched or kept.
type Error struct {
	Kind  Kind
	Where name.Tag
	Err   error
}

// Error implements error. It holds words of the registry.
func (e *Error) Error() string {
	if e.Kind == Missing {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s: %v", e.Kind, e.Err)
}

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

// Fetched are steps in a folder that builders can take them from: the blobs of an OCI layout.
type Fetched struct {
	Digest v1.Hash // of the manifest
	Layers int
	Size   int64 // bytes of all layers
}

// configType is the media type, with the version, of the list of steps
// (github.com/moby/buildkit/cache/remotecache/v1/types).
const configType types.MediaType = "application/vnd.buildkit.cacheconfig.v0"

// firstAnswer is how long a registry may take until it has said what it has.
const firstAnswer = 20 * time.Second

// Fetch fetches the steps at a tag into a folder, which it makes, in no more time than most.
// Its error is an [*Error], or that of ctx.
func Fetch(ctx context.Context, from registry.Client, at name.Tag, folder string, most time.Duration) (Fetched, error) {
	var got Fetched
	err := bounds.Within(ctx, most, at.Name(), func(ctx context.Context) (err error) {
		got, err = fetch(ctx, from, at, folder, min(most, firstAnswer))
		return err
	})
	return got, judge(ctx, at, err)
}

// Keep has a registry keep the steps in a folder that a builder wrote, under a tag that may
// have others. The tag is written last. Its error is that of Fetch.
func Keep(ctx context.Context, to registry.Client, at name.Tag, folder string, digest v1.Hash, most time.Duration) error {
	index, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return fmt.Errorf("opening steps: %w", err)
	}
	image, err := index.Image(digest)
	if err != nil {
		return fmt.Errorf("opening steps: %w", err)
	}
	return judge(ctx, at, bounds.Within(ctx, most, at.Name(), func(ctx context.Context) error { return to.Replace(ctx, at, image) }))
}

// judge finds out of which kind an error is.
func judge(ctx context.Context, at name.Tag, err error) error {
	known, isKnown := errors.AsType[*Error](err)
	_, isMissing := errors.AsType[*registry.MissingError](err)
	_, isSlow := errors.AsType[*bounds.SlowError](err)
	_, isLarge := errors.AsType[*bounds.Error](err)
	answer, isAnswer := errors.AsType[*transport.Error](err)
	_, isRegistry := errors.AsType[*registry.Error](err)
	kind := Corrupt
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isKnown:
		known.Where = at
		return known
	case isMissing:
		kind = Missing
	case isSlow, errors.Is(err, context.DeadlineExceeded):
		kind = Silent
	case isLarge:
		kind = Large
	case isAnswer && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		kind = Refused
	case isAnswer, isRegistry, registry.IsDown(err):
		kind = Down
	}
	return &Error{kind, at, err}
}

func fetch(ctx context.Context, from registry.Client, at name.Tag, folder string, first time.Duration) (Fetched, error) {
	var l listed
	err := bounds.Within(ctx, first, at.Name(), func(ctx context.Context) (err error) {
		l, err = list(ctx, from, at)
		return err
	})
	if err != nil {
		return Fetched{}, err
	}
	blobs := filepath.Join(folder, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o700); err != nil {
		return Fetched{}, fmt.Errorf("making folder for steps: %w", err)
	}
	image, err := from.Pull(ctx, l.at)
	if err != nil {
		return Fetched{}, err
	}
	fetching, limited := errgroup.WithContext(ctx)
	fetching.SetLimit(4)
	for _, d := range l.manifest.Layers {
		fetching.Go(func() error { return fetchLayer(limited, image, d, l.contents[d.Digest], blobs) })
	}
	if err := fetching.Wait(); err != nil {
		return Fetched{}, err
	}
	got := Fetched{Layers: len(l.manifest.Layers), Size: l.size()}
	if got.Digest, err = v1.NewHash(l.at.DigestStr()); err != nil {
		return Fetched{}, fmt.Errorf("parsing digest: %w", err)
	}
	for digest, data := range map[v1.Hash][]byte{got.Digest: l.raw, l.manifest.Config.Digest: l.config} {
		if err := os.WriteFile(filepath.Join(blobs, digest.Hex), data, 0o600); err != nil {
			return Fetched{}, fmt.Errorf("writing steps: %w", err)
		}
	}
	return got, nil
}

// listed is what a cache says of itself.
type listed struct {
	at       name.Digest
	raw      []byte
	manifest v1.Manifest
	config   []byte
	contents map[v1.Hash]v1.Hash // of each layer, without compression
}

func (l listed) size() (all int64) {
	for _, d := range l.manifest.Layers {
		all += d.Size
	}
	return all
}

// list reads the manifest and the list of steps.
func list(ctx context.Context, from registry.Client, at name.Tag) (l listed, err error) {
	if l.at, err = from.Resolve(ctx, at); err != nil {
		return l, err
	}
	if l.raw, err = from.Document(ctx, l.at); err != nil {
		return l, corruptUnlessAnswered(err)
	}
	if err := json.Unmarshal(l.raw, &l.manifest); err != nil {
		return l, &Error{Kind: Corrupt, Err: fmt.Errorf("parsing manifest: %w", err)}
	}
	if m := l.manifest; m.MediaType != types.OCIManifestSchema1 || m.Config.MediaType != configType {
		return l, &Error{Kind: Foreign, Err: fmt.Errorf("its manifest is of type %q and lists steps in %q, want %q and %q", m.MediaType, m.Config.MediaType, types.OCIManifestSchema1, configType)}
	}
	if n := len(l.manifest.Layers); n > bounds.StepLayers {
		return l, &bounds.Error{What: "the number of layers", Most: fmt.Sprint(bounds.StepLayers), Got: fmt.Sprint(n)}
	}
	for _, d := range l.manifest.Layers {
		if d.Size < 0 || d.Size > bounds.Steps {
			return l, &bounds.Error{What: "the size of a layer", Most: bounds.Bytes(bounds.Steps), Got: fmt.Sprintf("%d bytes", d.Size)}
		}
	}
	if l.size() > bounds.Steps {
		return l, &bounds.Error{What: "the size of all layers", Most: bounds.Bytes(bounds.Steps), Got: fmt.Sprintf("%d bytes", l.size())}
	}
	image, err := from.Pull(ctx, l.at)
	if err != nil {
		return l, err
	}
	if l.config, err = image.RawConfigFile(); err != nil {
		return l, corruptUnlessAnswered(fmt.Errorf("reading list of steps: %w", err))
	}
	return l, l.readConfig()
}

// corruptUnlessAnswered is the error of reading what does not have the digest that it is named
// by; a registry's answer, or silence, stays what it is, and so does what is too large.
func corruptUnlessAnswered(err error) error {
	_, answered := errors.AsType[*transport.Error](err)
	if _, large := errors.AsType[*bounds.Error](err); large || answered || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || registry.IsDown(err) {
		return err
	}
	return &Error{Kind: Corrupt, Err: err}
}

// contentAnnotation of a layer says which content it has, without its compression.
const contentAnnotation = "containerd.io/uncompressed"

// readConfig compares the list of steps with the manifest.
func (l *listed) readConfig() error {
	var config struct {
		Layers []struct {
			Blob v1.Hash `json:"blob"`
		} `json:"layers"`
	}
	err := bounds.CheckJSON(l.config)
	if err == nil {
		err = json.Unmarshal(l.config, &config)
	}
	if err != nil {
		return &Error{Kind: Corrupt, Err: fmt.Errorf("parsing list of steps: %w", err)}
	}
	l.contents = map[v1.Hash]v1.Hash{}
	for _, d := range l.manifest.Layers {
		content, err := v1.NewHash(d.Annotations[contentAnnotation])
		if known, twice := l.contents[d.Digest]; err != nil || twice && known != content {
			return &Error{Kind: Corrupt, Err: fmt.Errorf("the manifest does not say which content layer %s has", d.Digest)}
		}
		l.contents[d.Digest] = content
	}
	for _, layer := range config.Layers {
		if _, there := l.contents[layer.Blob]; !there {
			return &Error{Kind: Corrupt, Err: fmt.Errorf("the list of steps names layer %s, which the manifest does not", layer.Blob)}
		}
	}
	return nil
}
