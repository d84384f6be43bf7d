package record

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
)

func (a auditor) measurement(ctx context.Context) (found, error) {
	if a.Enclave.Format == measure.None {
		return proved("there is nothing to measure: the app has no enclave value, as apps for TDX; what runs is named by the image's digest alone"), nil
	}
	if a.Runner == nil {
		return found{}, &measure.UnmeasuredError{Err: a.NoRunner}
	}
	spec, err := a.spec()
	if err != nil {
		return found{}, err
	}
	image, err := a.pull(ctx)
	if err != nil {
		return found{}, err
	}
	enclave, err := measure.Image(ctx, a.Runner, image, spec)
	if err != nil {
		return found{}, err
	}
	if enclave.Value != a.Enclave.Value || a.Enclave.MRENCLAVE == nil || *a.Enclave.MRENCLAVE != enclave.MRENCLAVE {
		return found{}, &measure.MismatchError{Readings: append(enclave.Readings, measure.Reading{Source: a.source(), Value: a.Enclave.Value})}
	}
	if err := enclave.Basis.Check(a.leastTrust()); err != nil {
		return found{}, err
	}
	if b := a.Enclave.Basis; b != nil && b.Trust == enclave.Basis.Trust && b.Program != enclave.Basis.Program {
		return found{}, &Error{"names another program than the one that printed the measurement", b.Program, enclave.Basis.Program}
	}
	*a.again = enclave
	f := restingOn(enclave.Basis)
	f.evidence = fmt.Sprintf("MRENCLAVE %s, printed again; %s%s", enclave.MRENCLAVE, enclave.Basis, a.whoseBase(enclave.Basis))
	if a.Enclave.Signature == nil {
		return f, nil
	}
	signature := *newSignature(enclave.Signature, a.Enclave.Signature.Program)
	if signature != *a.Enclave.Signature {
		return found{}, &Error{"states another enclave signature than the image has", fmt.Sprintf("%+v", *a.Enclave.Signature), fmt.Sprintf("%+v", signature)}
	}
	f.evidence += ", signed by " + signature.MRSIGNER.String()
	return f, nil
}

// source is where the value stands that a measurement is compared with.
func (a auditor) source() string {
	if a.Missing != nil {
		return "the app on the chain"
	}
	return "the record"
}

// restingOn says by whose word a measurement holds: what an unknown program prints is its
// own word.
func restingOn(b measure.Basis) found {
	switch b.Trust {
	case measure.TrustKnown:
		return proved("")
	case measure.TrustComputed:
		return found{word: Signed, by: "the enclave's signer"}
	}
	return asserted("the image's program", "")
}

// leastTrust is what the measurement has to rest on: what the caller demands, and what
// the record says.
func (a auditor) leastTrust() measure.Trust {
	least := cmp.Or(a.Trust, measure.TrustStated)
	if b := a.Enclave.Basis; b != nil && b.Trust.AtLeast(least) {
		least = b.Trust
	}
	return least
}

// bases are the images whose programs are trusted: of those that the caller trusts the
// one that the record names, whose documents it holds; its own, when nothing is said.
func (a auditor) bases() []measure.Base {
	b := a.Enclave.Basis
	if b == nil || b.Base == nil {
		return nil
	}
	_, digest, _ := strings.Cut(b.Base.Name, "@")
	given := slices.ContainsFunc(a.Bases, func(h v1.Hash) bool { return h.String() == digest })
	if len(a.Bases) > 0 && !given {
		return nil
	}
	return []measure.Base{*b.Base}
}

// ParseBases reads digests of base images, with or without the names of these.
func ParseBases(texts []string) (digests []v1.Hash, err error) {
	for _, text := range texts {
		digest, err := v1.NewHash(text[strings.LastIndexByte(text, '@')+1:])
		if err != nil {
			return nil, fmt.Errorf("reading %q: want a digest, sha256:…: %w", text, err)
		}
		digests = append(digests, digest)
	}
	return digests, nil
}

// whoseBase says who trusts the base.
func (a auditor) whoseBase(b measure.Basis) string {
	switch {
	case b.Base == nil:
		return ""
	case len(a.Bases) > 0:
		return "; that base was given as trusted"
	}
	return "; that the base can be trusted is the owner's word"
}

// spec asks for the measurement that the record states. The record's value
// itself is a source only where it names the seal: the rest is measured.
func (a auditor) spec() (measure.Spec, error) {
	spec := measure.Spec{Format: a.Enclave.Format, File: a.Enclave.File, Timeout: a.Timeout, Bases: a.bases()}
	if a.Enclave.Signature != nil {
		spec.Program = a.Enclave.Signature.Program
	}
	if a.Enclave.Format == measure.JSON {
		object, err := measure.ParseObject([]byte(a.Enclave.Value))
		spec.Object = object
		return spec, err
	}
	if strings.Contains(a.Enclave.Value, "|") {
		spec.Claim = a.Enclave.Value
	}
	return spec, nil
}
