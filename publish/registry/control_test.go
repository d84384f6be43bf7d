package registry_test

import (
	"errors"
	"testing"

	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// A release ends only when the verifier that takes its statements refuses others, in both
// layouts; one that takes all is found out.
func TestControl(t *testing.T) {
	for _, layout := range registry.Layouts() {
		t.Run(string(layout), func(t *testing.T) {
			digest, k := push(t, start(t, testregistry.WithReferrersSupport(true))), key(t)
			c := registry.Client{Layout: layout}
			said := registry.Attestation{Type: "https://example.com/a", Predicate: struct{}{}}
			if _, err := c.State(t.Context(), digest, k, registry.Signature(), said); err != nil {
				t.Fatal(err)
			}
			if err := c.Confirm(t.Context(), digest, k, registry.Signature(), said); err != nil {
				t.Errorf("a good verifier: %v", err)
			}
			var broken *registry.ControlError
			for name, party := range map[string]signing.Party{"any other signer": credulous{k, k}, "whatever is signed": careless{k}} {
				if layout == registry.Tags && party == (careless{k}) {
					continue // there a changed letter breaks the text, too, whoever looks at the signature
				}
				if err := c.Confirm(t.Context(), digest, party, registry.Signature(), said); !errors.As(err, &broken) {
					t.Errorf("one that takes %s: %v", name, err)
				}
			}
		})
	}
}

// credulous is a party whose verifier takes another one for it.
type credulous struct {
	signing.Party
	all signing.Party
}

func (c credulous) Other() (signing.Party, error) { return c.all, nil }

// careless is a party that never says no.
type careless struct{ *signing.Key }

func (careless) Verify(string, []byte) error { return nil }

func (c careless) VerifyBundle(b *bundle.Bundle, _ verify.ArtifactPolicyOption) (*verify.VerificationResult, error) {
	envelope, err := b.Envelope()
	if err != nil {
		return nil, err
	}
	said, err := envelope.Statement()
	return &verify.VerificationResult{Statement: said}, err
}
