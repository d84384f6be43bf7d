package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/publish/record"
)

// The types of the statements that a release makes about its image.
const (
	signatureType  = "https://sigstore.dev/cosign/sign/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
)

// statement is what a referrer of an image states, whoever signed it.
type statement struct {
	referrer      name.Digest
	PredicateType string
	Predicate     json.RawMessage
}

// readStatements reads them from the envelopes: the annotations that say what is
// in an envelope can say anything.
func readStatements(ctx context.Context, image name.Digest) ([]statement, error) {
	index, err := remote.Referrers(image, remote.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []statement
	for _, d := range list.Manifests {
		s, err := readStatement(ctx, image.Digest(d.Digest.String()))
		switch {
		case errors.Is(err, errRecord): // one for each order, whose bytes are their name
		case err != nil:
			return nil, fmt.Errorf("referrer %s: %w", d.Digest, err)
		default:
			all = append(all, s)
		}
	}
	return all, nil
}

// errRecord says that a referrer is the record of a release.
var errRecord = errors.New("it is a record")

func readStatement(ctx context.Context, referrer name.Digest) (statement, error) {
	s := statement{referrer: referrer}
	image, err := remote.Image(referrer, remote.WithContext(ctx))
	if err != nil {
		return s, err
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		return s, fmt.Errorf("%d layers, %w", len(layers), err)
	}
	if mediaType, err := layers[0].MediaType(); err != nil || string(mediaType) == record.Kind().Type {
		return s, cmp.Or(err, errRecord)
	}
	content, err := layers[0].Compressed()
	if err != nil {
		return s, err
	}
	var bundle struct {
		DSSEEnvelope struct{ Payload []byte } `json:"dsseEnvelope"`
	}
	if err := errors.Join(json.NewDecoder(content).Decode(&bundle), content.Close()); err != nil {
		return s, err
	}
	return s, json.Unmarshal(bundle.DSSEEnvelope.Payload, &s)
}

// provenance does with an image's provenance what the scripts need:
//
//	provenance read TAG FILE    writes the one that is there
//	provenance remove TAG       removes what is there, as whoever may push can
func provenance(ts *testscript.TestScript, s *script, args []string) {
	if len(args) != 3 && (len(args) != 2 || args[0] != "remove") {
		ts.Fatalf("usage: provenance read TAG FILE, or provenance remove TAG")
	}
	found := s.provenances(ts, args[1])
	if args[0] == "remove" {
		for _, p := range found {
			ts.Check(remote.Delete(p.referrer))
		}
		return
	}
	if len(found) != 1 {
		ts.Fatalf("%s has %d provenances, want one", args[1], len(found))
	}
	var text bytes.Buffer
	ts.Check(json.Indent(&text, found[0].Predicate, "", "  "))
	ts.Check(writeFile(ts.MkAbs(args[2]), text.String()+"\n"))
}

func (s *script) provenances(ts *testscript.TestScript, tag string) []statement {
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	image, err := remote.Head(repo.Tag(tag))
	ts.Check(err)
	all, err := readStatements(context.Background(), repo.Digest(image.Digest.String()))
	ts.Check(err)
	var found []statement
	for _, one := range all {
		if one.PredicateType == provenanceType {
			found = append(found, one)
		}
	}
	return found
}
