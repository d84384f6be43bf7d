package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/mrelease/mrelease/bounds"
)

// listing is what a registry lists as the referrers of an image, those that may be
// bundles first, and not more than are read.
type listing struct {
	referrers []v1.Descriptor
	all       int  // that are listed, documents too
	beyond    int  // that are listed and left out
	hidden    int  // of these, the ones that may be a statement of a release
	endless   bool // the list goes on beyond bounds.Pages
	filtered  bool // each page says that only what was asked for is listed
	place     Place
	because   string // it is nowhere
	// Those that are listed as documents of ours are not among the referrers, so that
	// neither can hide the other; nor can one kind another, as one alone is looked for.
	kind            string
	documents       []v1.Descriptor
	documentsBeyond int
	// sought are referrers' digests, and found that one is listed, wherever that is: among
	// those that are left out, too.
	sought map[string]bool
	found  bool
}

func (l *listing) add(page []v1.Descriptor) {
	l.all += len(page)
	for _, d := range page {
		l.found = l.found || l.sought[d.Digest.String()]
		switch {
		case !isDocument(d):
			l.referrers = append(l.referrers, d)
		case d.ArtifactType != l.kind:
		case len(l.documents) < bounds.Documents:
			l.documents = append(l.documents, d)
		default:
			l.documentsBeyond++
		}
	}
	slices.SortStableFunc(l.referrers, func(a, b v1.Descriptor) int { return cmp.Compare(rankOf(a), rankOf(b)) })
	if len(l.referrers) <= bounds.Referrers {
		return
	}
	for _, d := range l.referrers[bounds.Referrers:] {
		l.beyond++
		if rankOf(d) <= rankUnnamed {
			l.hidden++
		}
	}
	l.referrers = l.referrers[:bounds.Referrers]
}

// rank is what a referrer may be, by what its registry lists of it: what is more likely a
// statement of a release is read first, so that a thousand others do not hide it.
type rank int

const (
	rankOurs    rank = iota // a bundle of a type that releases have, or without a type
	rankUnnamed             // registries do not agree on the artifact type: some take the media type of the configuration, which is an empty one here
	rankBundle              // of a type that no release has, such as what a scanner found, each day
	rankOther
)

func rankOf(d v1.Descriptor) rank {
	named := d.ArtifactType != "" && d.ArtifactType != emptyType
	switch {
	case named && !strings.HasPrefix(d.ArtifactType, bundleType):
		return rankOther
	case !mayBeOfRelease(d.Annotations[predicateAnnotationOfBundle]):
		return rankBundle
	case named:
		return rankOurs
	}
	return rankUnnamed
}

// The types of the predicates that releases have beside cosign's own.
const (
	ProvenanceType = "https://slsa.dev/provenance/v1"
	PredicateType  = "https://github.com/mrelease/mrelease/predicates/" // begins each of mrelease's own
)

// mayBeOfRelease reports whether a statement of a type, which is that of its predicate as
// the manifest or the layer states it, can be one that a release makes.
func mayBeOfRelease(predicateType string) bool {
	switch predicateType {
	case "", cosigntypes.CosignSignPredicateType, ProvenanceType:
		return true
	}
	return strings.HasPrefix(predicateType, PredicateType)
}

// list asks the referrers API, and where there is none looks under the tag.
func (b *bundles) list(ctx context.Context) (listing, error) {
	list, err := b.listByAPI(ctx, b.path())
	if err != nil || list.place != ByAPI {
		return list, err
	}
	if list.endless { // whoever may push made it so; some registries can list bundles alone
		bundles, err := b.listByAPI(ctx, b.path()+"?"+url.Values{"artifactType": {bundleType + bundleVersion}}.Encode())
		if err != nil || bundles.place != ByAPI {
			return list, err
		}
		// Where none is listed without a type, the types are the manifests' own, and no bundle
		// of a release is missing among those that were asked for.
		list.endless = bundles.endless || !bundles.filtered || slices.ContainsFunc(list.referrers, func(d v1.Descriptor) bool { return rankOf(d) == rankUnnamed })
		list.hidden += bundles.hidden
		list.add(slices.DeleteFunc(bundles.referrers, func(d v1.Descriptor) bool {
			return slices.ContainsFunc(list.referrers, func(listed v1.Descriptor) bool { return listed.Digest == d.Digest })
		}))
	}
	return list, nil
}

func (b *bundles) path() string { return "referrers/" + b.image.DigestStr() }

// listByAPI reads all pages of a list, or looks under the tag.
func (b *bundles) listByAPI(ctx context.Context, path string) (list listing, err error) {
	noAPI := false
	list.kind, list.sought, list.filtered = b.kind, b.sought, true
	whole, err := b.pages(ctx, path, types.OCIImageIndex, func(a answer) (bool, error) {
		if hasStatus(a.err, http.StatusTooManyRequests) || a.status >= 500 && a.status != http.StatusNotImplemented {
			return false, a.err
		}
		if a.status != http.StatusOK || !isIndex(a.header.Get("Content-Type")) {
			if list.place == ByAPI { // it began, and must not end like that
				return false, cmp.Or(a.err, errors.New("a page of the list of referrers is no list"))
			}
			noAPI = true
			return false, nil
		}
		index, err := parseIndex(a.body)
		list.place = ByAPI
		list.filtered = list.filtered && a.header.Get("OCI-Filters-Applied") == "artifactType"
		list.add(index.Manifests)
		return true, err
	})
	if noAPI && err == nil {
		return b.listTagged(ctx)
	}
	list.endless = !whole
	return list, err
}

// isIndex reports whether a registry that answers 200 to all that it does not know
// answered with a list.
func isIndex(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && kind == string(types.OCIImageIndex)
}

// listTagged reads the index under the tag.
func (b *bundles) listTagged(ctx context.Context) (listing, error) {
	tag := tagOf(b.image, "")
	there, err := b.find(ctx, tag)
	switch {
	case err != nil:
		return listing{}, err
	case there == nil:
		return listing{place: ByTag}, nil
	case there.Digest.String() == b.image.DigestStr():
		return listing{place: Nowhere, because: "it takes the tag " + tag.TagStr() + " for the digest of the image"}, nil
	case !isIndex(string(there.MediaType)):
		return listing{place: Nowhere, because: fmt.Sprintf("its tag %s holds something else, a %s", tag.TagStr(), there.MediaType)}, nil
	}
	index, err := parseIndex(there.Manifest)
	for _, d := range index.Manifests {
		b.seen[d.Digest.String()] = &d
	}
	list := listing{place: ByTag, kind: b.kind, sought: b.sought}
	list.add(index.Manifests)
	return list, err
}

func parseIndex(raw []byte) (index v1.IndexManifest, err error) {
	if err := bounds.CheckJSON(raw); err != nil {
		return index, err
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		return index, fmt.Errorf("parsing list: %w", err)
	}
	return index, nil
}
