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
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
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

// statementsOf returns what does with an image's statements of a type what the scripts
// need, as provenance and measurement:
//
//	provenance read TAG FILE         writes the predicate of the one that is there
//	provenance remove TAG            removes what is there, as whoever may push can
//	provenance sign TAG FILE KEY     adds one with a predicate, as whoever has a key can
func statementsOf(predicateType string) func(*testscript.TestScript, *script, []string) {
	return func(ts *testscript.TestScript, s *script, args []string) {
		if len(args) == 4 && args[0] == "sign" {
			s.signStatement(ts, args[1:], predicateType)
			return
		}
		if len(args) != 3 && (len(args) != 2 || args[0] != "remove") {
			ts.Fatalf("usage: … read TAG FILE, … remove TAG, or … sign TAG FILE KEY")
		}
		found := s.statements(ts, args[1], predicateType)
		if args[0] == "remove" {
			for _, p := range found {
				ts.Check(remote.Delete(p.referrer))
			}
			return
		}
		if len(found) != 1 {
			ts.Fatalf("%s has %d statements of type %s, want one", args[1], len(found), predicateType)
		}
		var text bytes.Buffer
		ts.Check(json.Indent(&text, found[0].Predicate, "", "  "))
		ts.Check(writeFile(ts.MkAbs(args[2]), text.String()+"\n"))
	}
}

// signStatement signs a predicate about an image.
func (s *script) signStatement(ts *testscript.TestScript, args []string, predicateType string) {
	image := s.imageOf(ts, args[0])
	key, err := signing.LoadKey([]byte(ts.ReadFile(args[2])), []byte(ts.Getenv("COSIGN_PASSWORD")))
	ts.Check(err)
	_, err = registry.Client{}.Attest(context.Background(), image, key, registry.Attestation{Type: predicateType, Predicate: json.RawMessage(ts.ReadFile(args[1]))})
	ts.Check(err)
}

func (s *script) imageOf(ts *testscript.TestScript, tag string) name.Digest {
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	image, err := remote.Head(repo.Tag(tag))
	ts.Check(err)
	return repo.Digest(image.Digest.String())
}

func (s *script) statements(ts *testscript.TestScript, tag, predicateType string) []statement {
	all, err := readStatements(context.Background(), s.imageOf(ts, tag))
	ts.Check(err)
	var found []statement
	for _, one := range all {
		if one.PredicateType == predicateType {
			found = append(found, one)
		}
	}
	return found
}

// beside does with the records beside an image what whoever may push can:
//
//	beside add TAG FILE        puts a file there as a record, whatever it is
//	beside remove TAG          takes those that are there away
//	beside holds TAG NUMBER    there are as many
//	beside manifest TAG VARIABLE  names the manifest of the one that is there
func beside(ts *testscript.TestScript, s *script, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: beside add|remove|holds|manifest TAG [FILE|NUMBER|VARIABLE]")
	}
	ctx := context.Background()
	repo, err := name.NewRepository(s.repository)
	ts.Check(err)
	head, err := remote.Head(repo.Tag(args[1]))
	ts.Check(err)
	image := repo.Digest(head.Digest.String())
	switch {
	case args[0] == "add" && len(args) == 3:
		_, err := registry.Client{}.Attach(ctx, image, record.Kind(), []byte(ts.ReadFile(args[2])))
		ts.Check(err)
	case args[0] == "remove" && len(args) == 2:
		for _, at := range records(ts, image) {
			ts.Check(remote.Delete(at))
		}
	case args[0] == "manifest" && len(args) == 3:
		all := records(ts, image)
		if len(all) != 1 {
			ts.Fatalf("there are %d records", len(all))
		}
		ts.Setenv(args[2], all[0].DigestStr())
	case args[0] == "holds" && len(args) == 3:
		if n := len(records(ts, image)); fmt.Sprint(n) != args[2] {
			ts.Fatalf("there are %d records", n)
		}
	default:
		ts.Fatalf("unknown: beside %q", args)
	}
}

// records are the manifests of those that refer to an image.
func records(ts *testscript.TestScript, image name.Digest) (all []name.Digest) {
	index, err := remote.Referrers(image)
	ts.Check(err)
	list, err := index.IndexManifest()
	ts.Check(err)
	for _, d := range list.Manifests {
		at := image.Digest(d.Digest.String())
		if _, err := readStatement(context.Background(), at); errors.Is(err, errRecord) {
			all = append(all, at)
		}
	}
	return all
}
