package registry_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	testregistry "github.com/google/go-containerregistry/pkg/registry"

	"github.com/mrelease/mrelease/publish/registry"
)

// claim is an attestation of a test's own type.
func claim(text string) registry.Attestation {
	return registry.Attestation{Type: "https://example.com/claim/v1", Predicate: json.RawMessage(text)}
}

func TestAttest(t *testing.T) {
	for name, opts := range map[string][]testregistry.Option{
		"referrers API": {testregistry.WithReferrersSupport(true)},
		"referrers tag": nil, // as GitHub's registry
	} {
		t.Run(name, func(t *testing.T) {
			digest, k := push(t, start(t, opts...)), key(t)
			for i, tt := range []struct {
				predicate string
				made      bool
			}{
				{`{"commit": "c&d", "count": 9007199254740993}`, true},
				{`{"count":9007199254740993,"commit":"c\u0026d"}`, false}, // equal as JSON
				{`{"commit": "c&d", "count": 9007199254740992}`, true},    // equal as a float64
			} {
				if made, err := client.Attest(t.Context(), digest, k, claim(tt.predicate)); made != tt.made || err != nil {
					t.Fatalf("attestation %d: made = %t, %v, want %t", i+1, made, err, tt.made)
				}
			}
			if n := referrers(t, digest); n != 2 {
				t.Errorf("%d referrers, want 2", n)
			}
			all, err := client.Statements(t.Context(), digest, k.PublicKey)
			said := all.Predicates(claim("").Type)
			if err != nil || all.Outage() != nil || len(said) != 2 || !slices.ContainsFunc(said, func(p json.RawMessage) bool { return strings.Contains(string(p), "9007199254740993") }) {
				t.Errorf("read back %s, %v", said, err)
			}
		})
	}
}

// A signature does not count as an attestation, nor the other way round.
func TestStatementsOfOneTypeCount(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	if _, err := client.Attest(t.Context(), digest, k, claim(`{"is":"good"}`)); err != nil {
		t.Fatal(err)
	}
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(t.Context(), digest, k.PublicKey); !errors.As(err, &unsigned) {
		t.Errorf("an attestation is taken for a signature: %v", err)
	}
	if made, err := client.Sign(t.Context(), digest, k); !made || err != nil {
		t.Errorf("signing: %t, %v", made, err)
	}
	other := claim(`{"is":"good"}`)
	other.Type = "https://example.com/other/v1"
	var missing *registry.UnattestedError
	if err := client.CheckAttestation(t.Context(), digest, k.PublicKey, other); !errors.As(err, &missing) || missing.Others != 2 || len(missing.Got) != 0 {
		t.Errorf("another type: %v, want an UnattestedError that counts 2 bundles", err)
	}
}

func TestUnattested(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	var missing *registry.UnattestedError
	if err := client.CheckAttestation(t.Context(), digest, k.PublicKey, claim(`{}`)); !errors.As(err, &missing) || missing.Others != 0 {
		t.Errorf("nothing is there: %v, want an UnattestedError", err)
	}
	if _, err := client.Attest(t.Context(), digest, key(t), claim(`{}`)); err != nil {
		t.Fatal(err)
	}
	if err := client.CheckAttestation(t.Context(), digest, k.PublicKey, claim(`{}`)); !errors.As(err, &missing) || missing.Others != 1 || missing.Reasons == nil || !strings.Contains(err.Error(), "no attestation of this key") {
		t.Errorf("another key's is there: %v, want an UnattestedError with a reason", err)
	}
	if _, err := client.Attest(t.Context(), digest, k, claim(`{"a":1,"b":2}`)); err != nil {
		t.Fatal(err)
	}
	err := client.CheckAttestation(t.Context(), digest, k.PublicKey, claim(`{"a":1,"b":3}`))
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "says something else") {
		t.Fatalf("it says something else: %v, want an UnattestedError", err)
	}
	if got, want := missing.Evidence()[:2], [][2]string{{"expected", `"b": 3`}, {"actual", `"b": 2`}}; !slices.Equal(got, want) {
		t.Errorf("evidence %q, want %q", got, want)
	}
}

// An attestation about another image, copied to this one, does not count.
func TestAnAttestationOfAnotherImage(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	attach(t, digest, k, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":"`+
		strings.Repeat("ab", 32)+`"}}],"predicateType":"https://example.com/claim/v1","predicate":{}}`)
	var missing *registry.UnattestedError
	if err := client.CheckAttestation(t.Context(), digest, k.PublicKey, claim(`{}`)); !errors.As(err, &missing) || missing.Others != 1 {
		t.Errorf("err = %v, want an UnattestedError", err)
	}
}
