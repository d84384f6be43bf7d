package registry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/mrelease/mrelease/bounds"
)

// Kind is a kind of document that is kept beside an image and says itself who wrote it,
// unlike a statement, which the image's key signs.
type Kind struct {
	// Type is the media type of a document, and the artifact type of its manifest. It
	// begins with DocumentType.
	Type string
	// Suffix ends the tag under which documents are where the registry does not list what
	// refers to an image: sha256-DIGEST.SUFFIX.
	Suffix string
	Most   int64 // bytes of a document
}

// DocumentType begins the type of each kind.
const DocumentType = "application/vnd.mrelease."

// Attach keeps a document beside an image: as a referrer of it, with its kind as artifact
// type, where the registry lists referrers; else, and in the layout [Tags], as a layer of
// an image under a tag that the kind ends, so that no tag is written a second time which
// signatures are under. One of the same bytes is kept; made tells whether it was written.
// What was written is read back.
//
// Errors: *Error.
func (c Client) Attach(ctx context.Context, image name.Digest, kind Kind, document []byte) (made bool, err error) {
	in, err := c.session(ctx, image.Repository, transport.PushScope)
	if err != nil {
		return false, failed("looking at", image, err)
	}
	var at desk = tagged{older{in, image}, kind}
	if c.written() == Referrers {
		b := newBundles(in, image, kind.Type)
		list, err := b.list(ctx)
		if err != nil {
			return false, failed("listing referrers of", image, err)
		}
		if list.place == ByAPI {
			at = referring{b, kind}
		}
	}
	there, err := at.holds(ctx, document)
	if err != nil || there {
		return false, wrapped("looking at documents about", image, err)
	}
	if err := at.add(ctx, document); err != nil {
		return false, failed("pushing a document about", image, err)
	}
	return true, wrapped("reading back a document about", image, waitFor(ctx, at, document))
}

func wrapped(act string, image name.Digest, err error) error {
	if err == nil {
		return nil
	}
	return failed(act, image, err)
}

// desk is where a document is written.
type desk interface {
	holds(ctx context.Context, document []byte) (bool, error)
	add(ctx context.Context, document []byte) error
}

// waitFor waits until a registry shows what it took.
func waitFor(ctx context.Context, at desk, document []byte) error {
	for _, wait := range patience() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		if there, err := at.holds(ctx, document); err != nil || there {
			return err
		}
	}
	return errors.New("the registry took it, and does not list it")
}

// referring keeps documents as referrers.
type referring struct {
	*bundles
	kind Kind
}

// manifests are the one that is written, and the one that was before manifests held their
// document. There is no time in them, so that the same document has the same ones.
func (r referring) manifests(document []byte) (written, former v1.Manifest, err error) {
	subject, err := remote.Head(r.image, r.opts...)
	if err != nil {
		return written, former, err
	}
	if former, err = referrerManifest(*subject, types.MediaType(r.kind.Type), document); err != nil {
		return written, former, err
	}
	written = former
	written.Layers = slices.Clone(former.Layers)
	embed(&written, document)
	return written, former, nil
}

// seek says what is looked for in the list.
func (r referring) seek(document []byte) error {
	written, former, err := r.manifests(document)
	if err != nil {
		return err
	}
	for _, m := range []v1.Manifest{written, former} {
		_, d, err := encodeManifest(m)
		if err != nil {
			return err
		}
		r.sought[d.Digest.String()] = true
	}
	return nil
}

// holds looks through the whole list: a crowd of strangers' documents hides none that is
// looked for by its digest. Of a list without end the registry can tell no more than that it
// has the manifest.
func (r referring) holds(ctx context.Context, document []byte) (bool, error) {
	clear(r.sought)
	if err := r.seek(document); err != nil {
		return false, err
	}
	list, err := r.listByAPI(ctx, r.path())
	if err == nil && list.endless && !list.found {
		list, err = r.listByAPI(ctx, r.ofKind())
	}
	if err != nil || list.found || !list.endless {
		return list.found, err
	}
	for digest := range r.sought {
		if _, err = remote.Head(r.Digest(digest), r.opts...); !isNotFound(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// ofKind is the path of a list of one kind alone, which some registries can give.
func (r referring) ofKind() string {
	return r.path() + "?" + url.Values{"artifactType": {r.kind.Type}}.Encode()
}

func (r referring) add(ctx context.Context, document []byte) error {
	m, _, err := r.manifests(document)
	if err != nil {
		return err
	}
	_, err = r.refer(ctx, m, document)
	return err
}

// tagged keeps documents under a tag.
type tagged struct {
	older
	kind Kind
}

func (t tagged) tag() name.Tag { return tagOf(t.image, t.kind.Suffix) }

func (t tagged) holds(ctx context.Context, document []byte) (bool, error) {
	image, err := t.under(ctx, t.tag())
	if err != nil || image == nil {
		return false, err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return false, err
	}
	d, err := descriptorOf(document, types.MediaType(t.kind.Type))
	return slices.ContainsFunc(manifest.Layers, func(l v1.Descriptor) bool { return l.Digest == d.Digest }), err
}

func (t tagged) add(ctx context.Context, document []byte) error {
	return t.append(ctx, t.tag(), []mutate.Addendum{{Layer: static.NewLayer(document, types.MediaType(t.kind.Type))}})
}

// Attached are documents of one kind beside an image. Anybody who may push can add some:
// what they say has to be looked at.
type Attached struct {
	Documents  [][]byte // those that were wanted, in the registry's order
	Unwanted   int
	Unreadable int  // that are listed and cannot be read, or are too large
	Beyond     int  // that are listed beyond bounds.Documents, and were not looked at
	Endless    bool // the list goes on beyond bounds.Pages

	outage error
}

// Complete reports whether all places were read in which a document can be, as
// [Statements.Complete] does.
func (a Attached) Complete() error { return a.outage }

// Attached reads the documents of a kind beside an image that are wanted: among its
// referrers, and, when there is none, under the kind's tag. Its error is an [*Error], when
// neither can be read.
func (c Client) Attached(ctx context.Context, image name.Digest, kind Kind, wanted func(document []byte) bool) (a Attached, err error) {
	in, err := c.session(ctx, image.Repository, transport.PullScope)
	if err != nil {
		return a, failed("listing documents about", image, err)
	}
	var unread []error
	for _, read := range []func(context.Context, *gathering) error{referring{newBundles(in, image, kind.Type), kind}.read, tagged{older{in, image}, kind}.read} {
		g := gathering{wanted: wanted, into: &a}
		if err := read(ctx, &g); err != nil {
			unread = append(unread, err)
		}
		if len(a.Documents) > 0 {
			return a, nil
		}
	}
	err = failed("listing documents about", image, errors.Join(unread...))
	switch {
	case len(unread) == 0:
		return a, nil
	case len(unread) == 1:
		a.outage = err
		return a, nil
	}
	return a, err
}

// gathering is what is found of documents.
type gathering struct {
	wanted func([]byte) bool
	into   *Attached
}

func (g *gathering) add(document []byte, err error) {
	switch {
	case err != nil:
		g.into.Unreadable++
		if g.into.outage == nil && isOutage(err) {
			g.into.outage = err
		}
	case document == nil:
	case g.wanted(document):
		g.into.Documents = append(g.into.Documents, document)
	default:
		g.into.Unwanted++
	}
}

// read reads those that are listed as documents of the kind, and only when none of them
// is wanted those of which the list does not say what they are.
func (r referring) read(ctx context.Context, g *gathering) error {
	list, err := r.list(ctx)
	if err != nil {
		return err
	}
	if list.endless { // whoever may push made it so; some registries can list one kind alone
		if list, err = r.listByAPI(ctx, r.ofKind()); err != nil {
			return err
		}
	}
	g.into.Beyond, g.into.Endless = list.documentsBeyond, list.endless
	of := slices.DeleteFunc(slices.Clone(list.documents), func(d v1.Descriptor) bool { return d.ArtifactType != r.kind.Type })
	if err := r.readAll(ctx, of, g); err != nil || len(g.into.Documents) > 0 {
		return err
	}
	unnamed := slices.DeleteFunc(slices.Clone(list.referrers), func(d v1.Descriptor) bool { return d.ArtifactType != "" && d.ArtifactType != emptyType })
	return r.readAll(ctx, unnamed, g)
}

func (r referring) readAll(ctx context.Context, of []v1.Descriptor, g *gathering) error {
	type document struct {
		content []byte
		err     error
	}
	read := make([]document, len(of))
	var group errgroup.Group
	group.SetLimit(readers)
	for i, d := range of {
		group.Go(func() error {
			read[i].content, read[i].err = r.document(r.Digest(d.Digest.String()))
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, d := range read {
		g.add(d.content, d.err)
	}
	return nil
}

// document returns nil for a referrer that is something else.
func (r referring) document(referrer name.Digest) ([]byte, error) {
	layer, err := r.only(referrer)
	if err != nil || layer == nil || string(layer.MediaType) != r.kind.Type {
		return nil, err
	}
	return r.content(*layer, r.kind.Most)
}

func (t tagged) read(ctx context.Context, g *gathering) error {
	image, err := t.under(ctx, t.tag())
	if err != nil || image == nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return fmt.Errorf("reading manifest: %w", err)
	}
	for i, d := range manifest.Layers {
		if i == bounds.Documents {
			g.into.Beyond += len(manifest.Layers) - i
			return nil
		}
		g.add(t.content(d, t.kind.Most))
	}
	return nil
}

// only returns the one layer of a manifest; nil when it is something else than a manifest
// of one layer.
func (s *session) only(referrer name.Digest) (*v1.Descriptor, error) {
	there, err := remote.Get(referrer, s.opts...)
	if err != nil {
		return nil, err
	}
	if !there.MediaType.IsImage() || bounds.CheckJSON(there.Manifest) != nil {
		return nil, nil
	}
	image, err := there.Image()
	if err != nil {
		return nil, err
	}
	manifest, err := image.Manifest()
	if err != nil || len(manifest.Layers) != 1 {
		return nil, nil // one that is malformed is something else, too
	}
	return &manifest.Layers[0], nil
}

// content returns the bytes of a layer, as stored: what is small is not compressed. Those
// that the manifest holds must be those that it names; only who wrote them asks for the
// layer all the same, which others read, and which a registry may have taken and lost.
func (s *session) content(d v1.Descriptor, most int64) ([]byte, error) {
	if d.Data != nil {
		if held, err := within(d, most); err != nil || !s.writes {
			return held, err
		}
	}
	layer, err := remote.Layer(s.Digest(d.Digest.String()), s.opts...)
	if err != nil {
		return nil, err
	}
	content, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	raw, err := bounds.ReadAll(content, most)
	return raw, errors.Join(err, content.Close())
}

// within returns the content that a descriptor holds.
func within(d v1.Descriptor, most int64) ([]byte, error) {
	if int64(len(d.Data)) > most {
		return nil, &bounds.Error{Where: d.Digest.String(), What: "what a manifest holds of it", Most: bounds.Bytes(most), Got: bounds.Bytes(int64(len(d.Data)))}
	}
	is, err := descriptorOf(d.Data, d.MediaType)
	if err == nil && (is.Digest != d.Digest || is.Size != d.Size) {
		err = fmt.Errorf("the manifest holds other content than it names: %s of %d bytes, want %s of %d", is.Digest, is.Size, d.Digest, d.Size)
	}
	return d.Data, err
}

// isDocument tells a referrer that is listed as a document.
func isDocument(d v1.Descriptor) bool { return strings.HasPrefix(d.ArtifactType, DocumentType) }
