package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/corim"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/publish/registry"
)

// MeasurementType is the predicate type of the reference values of an image's enclave:
// docs/predicates/measurement.md.
const MeasurementType = registry.PredicateType + "measurement/v1"

// Measurement is the predicate by which the key that signed an image says what a quote of
// its enclave must have. There is no time and no machine in it, so every run says the same.
type Measurement struct {
	Profile   string          `json:"profile"`
	Reference corim.Reference `json:"reference"`
	CoRIM     []byte          `json:"corim"` // the same in CBOR
}

// NewMeasurement states reference values for the enclave in an image.
func NewMeasurement(image name.Digest, r corim.Reference) (Measurement, error) {
	m := Measurement{Profile: corim.Profile, Reference: r}
	var digest [32]byte
	_, err := hex.Decode(digest[:], []byte(strings.TrimPrefix(image.DigestStr(), "sha256:")))
	if err == nil {
		m.CoRIM, err = r.Encode(digest)
	}
	if err != nil {
		return m, fmt.Errorf("stating the measurement of %s: %w", image, err)
	}
	return m, nil
}

// ReferenceOf returns what is known of an enclave that was measured.
func ReferenceOf(e measure.Enclave) corim.Reference {
	r := corim.Reference{MRENCLAVE: sgx.MRENCLAVE(e.MRENCLAVE), Synthetic: e.IsSynthetic()}
	if e.Signature != nil {
		r.Sign(e.Signature)
	}
	return r
}

// MeasurementAttestation is the statement with the reference values of an image's enclave.
func MeasurementAttestation(image name.Digest, e measure.Enclave) (registry.Attestation, error) {
	m, err := NewMeasurement(image, ReferenceOf(e))
	return registry.Attestation{Type: MeasurementType, Predicate: m}, err
}

// ReferenceError says that what the image's key states as the measurement of its enclave is
// not what a release has.
type ReferenceError struct {
	Image     name.Digest
	Problem   string
	Got, Want string
}

func (e *ReferenceError) Error() string { return "the measurement that is attested " + e.Problem }

// Evidence returns both values, and where the statement is.
func (e *ReferenceError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.Image.String()}}
}

// parseMeasurement takes a predicate in the one form in which it is written: values and
// CoRIM say the same, and there is nothing else in it.
func parseMeasurement(image name.Digest, predicate []byte) (m Measurement, err error) {
	wrong := func(problem, got, want string) (Measurement, error) {
		return m, &ReferenceError{image, problem, got, want}
	}
	if err := bounds.CheckJSON(predicate); err != nil {
		return wrong("cannot be read: "+err.Error(), "more", "a predicate of type "+MeasurementType)
	}
	d := json.NewDecoder(bytes.NewReader(predicate))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return wrong("cannot be read: "+bounds.Malformed(err), "something else", "a predicate of type "+MeasurementType)
	}
	want, err := NewMeasurement(image, m.Reference)
	if err != nil {
		return m, err
	}
	if err := m.Reference.Check(); err != nil {
		return wrong("is of no enclave: "+err.Error(), text(m.Reference), "values as a quote has them")
	}
	if m.Profile != want.Profile {
		return wrong("is of another profile", fmt.Sprintf("%.100q", m.Profile), want.Profile)
	}
	if !bytes.Equal(m.CoRIM, want.CoRIM) {
		return wrong("says one thing in its values and another in its CoRIM", fmt.Sprintf("%.4000x", m.CoRIM), fmt.Sprintf("%x", want.CoRIM))
	}
	var is bytes.Buffer
	written, err := json.Marshal(want)
	if err := errors.Join(err, json.Compact(&is, predicate)); err != nil || !bytes.Equal(is.Bytes(), written) {
		return wrong("is not written as mrelease writes it", fmt.Sprintf("%.4000s", is.Bytes()), string(written))
	}
	return m, nil
}

// CheckMeasured compares all measurements that a signer states of an image with the one that
// a release has: a second one, that says something else, would make two of what can be one
// only. That there is none is no error. Its error is a [*ReferenceError].
func CheckMeasured(said registry.Statements, image name.Digest, e measure.Enclave) error {
	for _, predicate := range said.Predicates(MeasurementType) {
		m, err := parseMeasurement(image, predicate)
		if err != nil {
			return err
		}
		if err := m.compare(image, ReferenceOf(e)); err != nil {
			return err
		}
	}
	return nil
}

// compare compares all values.
func (m Measurement) compare(image name.Digest, want corim.Reference) error {
	if reflect.DeepEqual(m.Reference, want) {
		return nil
	}
	return &ReferenceError{image, "is another than the image's", text(m.Reference), text(want)}
}

// text writes reference values as a statement has them.
func text(r corim.Reference) string {
	data, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// reference asks what the image's key states as the measurement. Releases of before that was
// stated have none, and whoever may push can take it away: what the chain stores is checked
// without it.
func (a auditor) reference(context.Context) (found, error) {
	said, err := a.statements()
	if err != nil {
		return found{}, err
	}
	image, err := a.imageDigest()
	if err != nil {
		return found{}, err
	}
	predicates := said.Predicates(MeasurementType)
	if len(predicates) == 0 {
		return found{Absent, theRegistry, "no measurement is attested among the statements of who signed the image, as of releases of before there was such a statement"}, nil
	}
	var first Measurement
	for i, predicate := range predicates {
		m, err := parseMeasurement(image, predicate)
		if err == nil {
			err = a.compareReference(image, m)
		}
		if err == nil && i > 0 {
			err = m.compare(image, first.Reference)
		}
		if err != nil {
			return found{}, err
		}
		first = m
	}
	return signed(fmt.Sprintf("with %s: %s, as %s", said.word, first.Reference.String(), a.comparedWith(first.Reference))), nil
}

// comparedWith says what a statement of a measurement was compared with.
func (a auditor) comparedWith(r corim.Reference) string {
	switch {
	case a.again.Value != "" && a.Missing == nil:
		return "the record says and the image was measured again"
	case a.again.Value != "":
		return "the chain stores and the image was measured again"
	case a.Missing == nil && a.Enclave.Signature != nil:
		return "the record says; attributes and MISCSELECT were compared with nothing, as the image was not measured"
	case a.Missing == nil:
		return "the record says"
	case r.MRSIGNER == nil:
		return "the chain stores"
	}
	return "the chain stores; what it says of a signer was compared with nothing, as there is no record"
}

// compareReference compares a statement with what else is known: the value on the chain, the
// signature in the record, and the enclave when it was measured again.
func (a auditor) compareReference(image name.Digest, m Measurement) error {
	r := m.Reference
	if a.Enclave.MRENCLAVE == nil {
		return &UncheckedError{"the MRENCLAVE that it must say is not known"}
	}
	want := corim.Reference{MRENCLAVE: sgx.MRENCLAVE(*a.Enclave.MRENCLAVE), Synthetic: a.Enclave.isSynthetic()}
	if a.Missing != nil { // of a signer nobody else says anything
		err := Measurement{Reference: corim.Reference{MRENCLAVE: r.MRENCLAVE, Synthetic: r.Synthetic}}.compare(image, want)
		return cmp.Or(err, a.compareAgain(image, m))
	}
	if s := a.Enclave.Signature; s != nil {
		want.MRSIGNER, want.ProductID, want.SecurityVersion = &s.MRSIGNER, &s.ProductID, &s.SVN
		if want.Attributes, want.MiscSelect = r.Attributes, r.MiscSelect; want.Attributes == nil || want.MiscSelect == nil || s.Debug != r.Debug() {
			return &ReferenceError{image, "has other attributes than the record's signature", text(r), fmt.Sprintf("attributes and MISCSELECT, debug %t", s.Debug)}
		}
	}
	return cmp.Or(m.compare(image, want), a.compareAgain(image, m))
}

// compareAgain compares a statement with the enclave, where it was measured again.
func (a auditor) compareAgain(image name.Digest, m Measurement) error {
	if a.again.Value == "" {
		return nil
	}
	return m.compare(image, ReferenceOf(*a.again))
}

// attestedReference is reference for who has just attested it.
func (a auditor) attestedReference(ctx context.Context) (found, error) {
	f, err := a.reference(ctx)
	if err != nil || f.word != Absent {
		return f, err
	}
	image, err := a.imageDigest()
	if err != nil {
		return found{}, err
	}
	return found{}, &ReferenceError{image, "is not there", "none", "a statement of type " + MeasurementType}
}

// hasReference reports whether an enclave can have reference values.
func (e Enclave) hasReference() bool { return e.Format != measure.None }

// ReferenceCheck is the name of the check of reference values.
const ReferenceCheck = "reference values"
