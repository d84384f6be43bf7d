package sigstore_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"encoding/json"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/mrelease/mrelease/sandbox/sigstore"
)

func start(t *testing.T) *sigstore.Instance {
	t.Helper()
	i, err := sigstore.Start(func(_ string, h http.Handler) (string, error) {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// askForToken asks for a job's token as GitHub's actions do.
func askForToken(t *testing.T, env map[string]string, authorization string) (token string, status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, env["ACTIONS_ID_TOKEN_REQUEST_URL"]+"&audience=sigstore", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Value string }
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Value, resp.StatusCode
}

// What is signed with tokens of both shapes, and with each version of the log, verifies
// with sigstore-go for the job that the token is of, and for no other.
func TestSigns(t *testing.T) {
	i := start(t)
	const repository, ref = "acme/enclave", "refs/tags/v1.0.0"
	env, err := i.Environment(repository, ref)
	if err != nil {
		t.Fatal(err)
	}
	gitHub, _ := askForToken(t, env, "bearer "+env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
	if empty, status := askForToken(t, env, "bearer other"); empty != "" || status != http.StatusUnauthorized {
		t.Errorf("a job without its token got %q, %d", empty, status)
	}
	trusted := trustedRoot(t, i)
	for shape, token := range map[string]string{sigstore.GitHub: gitHub, sigstore.GitLab: env["SIGSTORE_ID_TOKEN"]} {
		for version := range 3 {
			t.Run(fmt.Sprintf("%s, log %d", shape, version), func(t *testing.T) {
				b := signed(t, i, token, uint32(version))
				options := []verify.VerifierOption{verify.WithSignedTimestamps(1), verify.WithSignedCertificateTimestamps(1)}
				if version > 0 {
					options = append(options, verify.WithTransparencyLog(1))
				}
				verifier, err := verify.NewVerifier(trusted, options...)
				if err != nil {
					t.Fatal(err)
				}
				for identity, want := range map[string]bool{
					sigstore.Identity(shape, repository, ref):         true,
					sigstore.Identity(shape, "evil/enclave", ref):     false,
					sigstore.Identity(shape, repository, ref) + "-rc": false,
				} {
					who, err := verify.NewShortCertificateIdentity(i.Issuer(shape), "", identity, "")
					if err != nil {
						t.Fatal(err)
					}
					_, err = verifier.Verify(b, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(who)))
					if (err == nil) != want {
						t.Errorf("as of %s: %v", identity, err)
					}
				}
			})
		}
	}
	if other := trustedRoot(t, start(t)); other != nil {
		verifier, err := verify.NewVerifier(other, verify.WithSignedTimestamps(1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verifier.Verify(signed(t, i, gitHub, 0), verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe())); err == nil {
			t.Error("another instance's root takes it")
		}
	}
}

func trustedRoot(t *testing.T, i *sigstore.Instance) *root.TrustedRoot {
	t.Helper()
	text, err := i.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := root.NewTrustedRootFromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

func signed(t *testing.T, i *sigstore.Instance, token string, version uint32) *bundle.Bundle {
	t.Helper()
	text, err := i.SigningConfig(version)
	if err != nil {
		t.Fatal(err)
	}
	config, err := root.NewSigningConfigFromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	options := sign.BundleOptions{
		Context: t.Context(), CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: token},
		CertificateProvider:  sign.NewFulcio(&sign.FulcioOptions{BaseURL: config.FulcioCertificateAuthorityURLs()[0].URL}),
		TimestampAuthorities: []*sign.TimestampAuthority{sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: config.TimestampAuthorityURLs()[0].URL})},
	}
	for _, log := range config.RekorLogURLs() {
		options.TransparencyLogs = append(options.TransparencyLogs, sign.NewRekor(&sign.RekorOptions{BaseURL: log.URL, Version: log.MajorAPIVersion}))
	}
	made, err := sign.Bundle(&sign.DSSEData{Data: []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"00"}}],"predicateType":"x","predicate":{}}`), PayloadType: "application/vnd.in-toto+json"}, pair, options)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.NewBundle(made)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
