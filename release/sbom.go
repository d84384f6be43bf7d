package release

import (
	"cmp"
	"context"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sbom"
)

// scanner is the image that lists what is in the release's.
func (r *run) scanner() record.Material {
	m := buildkit.Scan{Scanner: r.Settings.Attest.SBOM}.Material()
	return record.Material{URI: m.URI, Digest: record.Digest{Hash: v1.Hash{Algorithm: m.Digest.Algorithm().String(), Hex: m.Digest.Encoded()}}}
}

// boundScanner names the scanner in what is approved; empty when none is asked for.
func (r *run) boundScanner() string {
	if r.Settings.Attest.SBOM == "" {
		return ""
	}
	return r.scanner().Name()
}

// listed is what the record says of the SBOM; nil without one.
func (r *run) listed() *record.SBOM {
	if r.image.sbom == nil {
		return nil
	}
	return record.NewSBOM(*r.image.sbom, r.scanner())
}

// scan has the scanner list what is in the image, the one that is pushed and signed. Every
// run does it, as every run measures: it takes no more than the builder's cache, and shows
// whether the scanner lists the same again.
func (r *run) scan(ctx context.Context) (string, error) {
	scan := buildkit.Scan{Scanner: r.Settings.Attest.SBOM, NoCache: r.Source.NoCache, Keychain: r.Source.Keychain}
	written, err := r.builder.Scan(ctx, r.image.Image, scan, nil)
	go r.stopBuilder() // it has done its part
	if err != nil {
		return "", err
	}
	document, err := sbom.Normalise(written, r.Source.Created, r.scanner().Name())
	if err != nil {
		return "", err
	}
	return document.Digest().String() + ", " + printable.Count(document.Packages, "package") + ", " + r.sbomFile(), r.keepSBOM(document)
}

// sbomFile is where the SBOM is kept, beside the image.
func (r *run) sbomFile() string { return r.Layout + ".spdx.json" }

func (r *run) keepSBOM(d sbom.Document) error {
	r.image.sbom = &d
	return WriteOutput(r.sbomFile(), d.Raw)
}

// keepListed takes the document by the same scanner that the signer attested before, where
// it is another than this run's: the first one is in the record, and one more would not take
// its place. A plan, which scans nothing, takes it too, and writes no file.
func (r *run) keepListed(said registry.Statements) error {
	if r.Settings.Attest.SBOM == "" {
		return nil
	}
	var attested []sbom.Document
	for _, predicate := range said.Predicates(sbom.Type) {
		if d, err := sbom.Parse(predicate); err == nil && d.IsBy(r.scanner().Name()) {
			attested = append(attested, d)
		}
	}
	slices.SortFunc(attested, func(a, b sbom.Document) int { return cmp.Compare(a.Digest().Hex, b.Digest().Hex) })
	now := r.image.sbom
	switch {
	case len(attested) == 0 || now != nil && slices.ContainsFunc(attested, func(d sbom.Document) bool { return d.Digest() == now.Digest() }):
		return nil
	case now == nil:
		r.image.sbom = &attested[0]
		return nil
	}
	r.Teller.Note("scan    " + r.scanner().Name() + " lists other things of the image now than an earlier run attested: " + now.Digest().String() + "; that one stays: " + attested[0].Digest().String())
	return r.keepSBOM(attested[0])
}
