package record_test

import (
	"errors"
	"testing"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// A well-made measurement of the right image, by the right key, that says another value is
// found, alone and beside the right one; by another key it counts for nothing.
func TestAttackMeasurementThatContradicts(t *testing.T) {
	client, image, key := registry.Client{}, pushed(t), signingKey(t)
	right, wrong := measure.Enclave{MRENCLAVE: measure.MRENCLAVE{1}}, measure.Enclave{MRENCLAVE: measure.MRENCLAVE{2}}
	check := func(want bool, when string) {
		t.Helper()
		said, err := client.Statements(t.Context(), image, key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		var contradicts *record.ReferenceError
		if err := record.CheckMeasured(said, image, right); errors.As(err, &contradicts) != want || err != nil && !want {
			t.Errorf("%s: %v", when, err)
		}
	}
	attest := func(e measure.Enclave, by int) {
		t.Helper()
		a, err := record.MeasurementAttestation(image, e)
		if err != nil {
			t.Fatal(err)
		}
		signer := key
		if by > 0 {
			signer = signingKey(t)
		}
		if made, err := client.Attest(t.Context(), image, signer, a); err != nil || !made {
			t.Fatal(made, err)
		}
	}
	check(false, "none")
	attest(wrong, 1)
	check(false, "by another key")
	attest(right, 0)
	check(false, "the right one")
	if made, err := client.Attest(t.Context(), image, key, must(record.MeasurementAttestation(image, right))); err != nil || made {
		t.Errorf("a second run: made %t, %v", made, err)
	}
	attest(wrong, 0)
	check(true, "two that contradict")
}

func must(a registry.Attestation, err error) registry.Attestation {
	if err != nil {
		panic(err)
	}
	return a
}
