package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Attestation is what a key says about an image.
type Attestation struct {
	Type      string // URI of the predicate's type
	Predicate any    // encoded as JSON
}

// Attest states something about an image with the image's signing key: as
// [Client.Sign], but with a predicate of the caller's. An attestation of the
// same key that says the same is kept; made tells whether a new one was written.
// What was written is read back and verified.
func (c Client) Attest(ctx context.Context, image name.Digest, signer signing.Signer, a Attestation) (made bool, err error) {
	attested, err := c.State(ctx, image, signer, a)
	return len(attested) > 0 && attested[0], err
}

// CheckAttestation looks among an image's referrers for an attestation of the
// key that says exactly what is wanted: the predicates must be equal as JSON.
// Its error is an *UnattestedError when there is none, and an *Error when that
// cannot be told.
func (c Client) CheckAttestation(ctx context.Context, image name.Digest, party signing.Party, want Attestation) error {
	s, err := c.Statements(ctx, image, party)
	if err != nil {
		return err
	}
	return s.CheckAttestation(want)
}

// CheckAttestation is that of [Client].
func (s Statements) CheckAttestation(want Attestation) error {
	wanted, err := newStatement(s.image, want)
	if err != nil {
		return err
	}
	predicates := s.Predicates(want.Type)
	if slices.ContainsFunc(predicates, func(p json.RawMessage) bool { return equalJSON(p, wanted.Predicate) }) {
		return nil
	}
	if s.outage != nil {
		return s.outage
	}
	_, others := s.of(want.Type)
	return &UnattestedError{Image: s.image, Type: want.Type, Want: wanted.Predicate, Got: predicates, Others: others, Aside: s.Aside(), Reasons: s.reasons}
}

// Predicates returns those of a type that the key attested.
func (s Statements) Predicates(predicateType string) []json.RawMessage {
	found, _ := s.of(predicateType)
	var predicates []json.RawMessage
	for _, f := range found {
		predicates = append(predicates, f.Predicate)
	}
	return predicates
}

// UnattestedError says that the wanted key does not attest of an image what it
// should.
type UnattestedError struct {
	Image   name.Digest
	Type    string
	Want    json.RawMessage   // predicate
	Got     []json.RawMessage // predicates that the key attests instead
	Others  int               // bundles that are there but do not verify, or are of another type
	Aside   string            // what else is there, see [Statements.Aside]
	Reasons error             // why they do not verify
}

func (e *UnattestedError) Error() string {
	if len(e.Got) > 0 {
		return fmt.Sprintf("the attestation of %s says something else", e.Image)
	}
	return fmt.Sprintf("%s has no attestation of this key", e.Image)
}

// Unwrap returns why the bundles that are there do not verify.
func (e *UnattestedError) Unwrap() error { return e.Reasons }

// Evidence returns what was found instead; of an attestation that says something
// else, the lines that differ.
func (e *UnattestedError) Evidence() [][2]string {
	if len(e.Got) > 0 {
		want, got := lines(e.Want), lines(e.Got[0])
		return [][2]string{{"expected", without(want, got)}, {"actual", without(got, want)}, {"where", e.Image.String()}}
	}
	return evidence(e.Image, e.Type, e.Others, e.Aside, e.Reasons)
}

// lines writes JSON with a value a line.
func lines(data json.RawMessage) []string {
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", ""); err != nil {
		return []string{string(data)}
	}
	return strings.Split(b.String(), "\n")
}

// without returns the lines that the others do not have.
func without(lines, others []string) string {
	only := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
	if len(only) == 0 {
		return "nothing more"
	}
	return strings.Join(only, "\n")
}

// equalJSON compares values: white space, order of keys and escapes do not count,
// and no number is rounded.
func equalJSON(a, b []byte) bool {
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decode(data []byte) (value any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&value)
	return value, err
}
