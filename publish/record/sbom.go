package record

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/sbom"
)

// SBOM says what is attested as the list of what is in the image, and what made it.
type SBOM struct {
	Type string `json:"type"` // of the predicate: sbom.Type
	// Digest is the SHA-256 of the document, which is the predicate, in the form of RFC 8785.
	Digest  v1.Hash  `json:"digest"`
	Scanner Material `json:"scanner"`
}

// NewSBOM states a document and its scanner.
func NewSBOM(d sbom.Document, scanner Material) *SBOM {
	return &SBOM{Type: sbom.Type, Digest: d.Digest(), Scanner: scanner}
}

// SBOMAttestation is the statement of an image with a document.
func SBOMAttestation(d sbom.Document) registry.Attestation {
	return registry.Attestation{Type: sbom.Type, Predicate: json.RawMessage(d.Raw)}
}

// Name names a material with its digest, as documents name who made them.
func (m Material) Name() string { return m.URI + "@" + m.Digest.String() }

// check makes sure that a record names what can be looked for.
func (s *SBOM) check() error {
	switch {
	case s == nil:
		return nil
	case s.Type != sbom.Type:
		return &Error{"names an SBOM of another type", fmt.Sprintf("%.200q", s.Type), sbom.Type}
	case s.Scanner.URI == "" || s.Scanner.Digest.Algorithm != "sha256":
		return &Error{"names an SBOM of no scanner", fmt.Sprintf("%.200q", s.Scanner.Name()), "the scanner's image with its SHA-256"}
	}
	return nil
}

// SBOMError says that what the image's key attests as the list of what is in it is not what
// the record names.
type SBOMError struct {
	Image     name.Digest
	Problem   string
	Got, Want string
}

func (e *SBOMError) Error() string { return "the SBOM that is attested " + e.Problem }

// Evidence returns both, and where the statement is.
func (e *SBOMError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.Image.String()}}
}

// SBOMCheck is the name of the check of the SBOM.
const SBOMCheck = "SBOM"

// sbom asks whether the image's signer attests the document that the record names. Others
// by the same signer, such as of a later scan, do no harm.
func (a auditor) sbom(context.Context) (found, error) {
	said, err := a.statements()
	if err != nil {
		return found{}, err
	}
	var others []string
	for _, predicate := range said.Predicates(sbom.Type) {
		d, err := sbom.Parse(predicate)
		switch {
		case err != nil:
			others = append(others, err.Error())
		case d.Digest() == a.SBOM.Digest:
			return a.listed(said, d)
		default:
			others = append(others, d.Digest().String())
		}
	}
	return found{}, a.unlisted(said, others)
}

// listed says what the document is worth: the scanner's word, which nobody checks here.
func (a auditor) listed(said statements, d sbom.Document) (found, error) {
	scanner := a.SBOM.Scanner.Name()
	if !d.IsBy(scanner) {
		image, err := a.imageDigest()
		if err != nil {
			return found{}, err
		}
		return found{}, &SBOMError{image, "is by another scanner than the record names", strings.Join(d.Creators, ", "), scanner}
	}
	return signed(fmt.Sprintf("with %s: document %s, %s; that the image holds these and nothing else is the word of the scanner %s, and was not checked", said.word, d.Digest(), printable.Count(d.Packages, "package"), scanner)), nil
}

// unlisted is why the document was not found.
func (a auditor) unlisted(said statements, others []string) error {
	image, err := a.imageDigest()
	if err != nil {
		return err
	}
	slices.Sort(others)
	e := &SBOMError{image, "is not the one that the record names", strings.Join(others, ", "), "document " + a.SBOM.Digest.String()}
	if len(others) > 0 {
		return e
	}
	if err := said.Outage(); err != nil {
		return err
	}
	if crowd := said.Crowded(); crowd != nil {
		return &UncheckedError{fmt.Sprintf("whether its SBOM is attested: %v", crowd)}
	}
	e.Problem, e.Got = "is not there", "no statement of type "+sbom.Type+" by who signed the image"
	if aside := said.Aside(); aside != "" {
		e.Got += "; " + aside
	}
	return e
}

// without leaves out the checks of what a release can have, and this one has not.
func (a auditor) without(all []check) []check {
	return slices.DeleteFunc(all, func(c check) bool {
		switch c.name {
		case ReferenceCheck:
			return !a.Enclave.hasReference()
		case SBOMCheck:
			return a.SBOM == nil
		case "canary":
			return a.Canary == nil
		}
		return false
	})
}
