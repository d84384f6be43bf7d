package sigstore_test

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
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

// A certificate says of a token what Fulcio's public instance says of it; interop compares
// the two. Without an environment it names none.
func TestCertificate(t *testing.T) {
	i := start(t)
	const repository, commit = "acme/enclave", "1111111111111111111111111111111111111111"
	for _, c := range []struct {
		shape, ref string
		want       certificate.Extensions
		subject    string
	}{
		{sigstore.GitHub, "refs/tags/v1.0.0", certificate.Extensions{
			GithubWorkflowTrigger: "push", GithubWorkflowSHA: commit, GithubWorkflowName: "release", GithubWorkflowRepository: repository, GithubWorkflowRef: "refs/tags/v1.0.0",
			BuildSignerURI: "https://github.com/acme/enclave/.github/workflows/release.yml@refs/tags/v1.0.0", BuildSignerDigest: commit, RunnerEnvironment: "github-hosted",
			SourceRepositoryURI: "https://github.com/acme/enclave", SourceRepositoryDigest: commit, SourceRepositoryRef: "refs/tags/v1.0.0", SourceRepositoryIdentifier: "3",
			SourceRepositoryOwnerURI: "https://github.com/acme", SourceRepositoryOwnerIdentifier: "4",
			BuildConfigURI: "https://github.com/acme/enclave/.github/workflows/release.yml@refs/tags/v1.0.0", BuildConfigDigest: commit, BuildTrigger: "push",
			RunInvocationURI: "https://github.com/acme/enclave/actions/runs/100/attempts/1", SourceRepositoryVisibilityAtSigning: "public",
		}, "repo:acme/enclave:ref:refs/tags/v1.0.0"},
		{sigstore.GitLab, "refs/heads/feature/a", certificate.Extensions{
			BuildSignerURI: "https://gitlab.com/acme/enclave//.gitlab-ci.yml@refs/heads/feature/a", BuildSignerDigest: commit, RunnerEnvironment: "gitlab-hosted",
			SourceRepositoryURI: "https://gitlab.com/acme/enclave", SourceRepositoryDigest: commit, SourceRepositoryRef: "refs/heads/feature/a", SourceRepositoryIdentifier: "3",
			SourceRepositoryOwnerURI: "https://gitlab.com/acme", SourceRepositoryOwnerIdentifier: "4",
			BuildConfigURI: "https://gitlab.com/acme/enclave//.gitlab-ci.yml@refs/heads/feature/a", BuildConfigDigest: commit, BuildTrigger: "push",
			RunInvocationURI: "https://gitlab.com/acme/enclave/-/jobs/2", SourceRepositoryVisibilityAtSigning: "public",
		}, "project_path:acme/enclave:ref_type:branch:ref:feature/a"},
	} {
		token, err := i.Token(c.shape, repository, c.ref)
		if err != nil {
			t.Fatal(err)
		}
		made, err := signed(t, i, token, 0).VerificationContent()
		if err != nil {
			t.Fatal(err)
		}
		said, err := certificate.SummarizeCertificate(made.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		c.want.Issuer = i.Issuer(c.shape)
		if said.Extensions != c.want {
			t.Errorf("%s: the certificate says\n%+v, want\n%+v", c.shape, said.Extensions, c.want)
		}
		if subject := subjectOf(t, made.Certificate()); subject != c.subject {
			t.Errorf("%s: the certificate has the subject %q, want %q", c.shape, subject, c.subject)
		}
	}
}

// What asks for the wrong thing is refused with the status and in the words of the real
// servers.
func TestRefusals(t *testing.T) {
	i := start(t)
	expired, err := i.TokenUntil(time.Now().Add(-time.Minute), sigstore.GitHub, "sigstore", "acme/enclave", "refs/tags/v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	token, err := i.Token(sigstore.GitHub, "acme/enclave", "refs/tags/v1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, kind, body string
		status          int
		says            string
	}{
		{i.Fulcio + "/api/v2/signingCert", "application/json", `{"credentials":{"oidcIdentityToken":"` + expired + `"}}`, 400, `{"code":3,"message":"There was an error processing the identity token"}`},
		{i.Fulcio + "/api/v2/signingCert", "application/json", `{"credentials":{"oidcIdentityToken":"` + token + `"}}`, 400, `{"code":3,"message":"The public key supplied in the request could not be parsed"}`},
		{i.TSA, "application/timestamp-query", "none", 400, `{"code":400,"message":"Error generating timestamp response"}`},
		{i.TSA, "text/plain", "none", 415, "unsupported media type"},
		{i.RekorV1 + "/api/v1/log/entries", "application/json", "{}", 422, "kind"},
		{i.RekorV2 + "/api/v2/log/entries", "application/json", "{}", 400, `{"code":3,"message":"invalid type, must be hashedrekord"}`},
		{i.RekorV2 + "/api/v2/log/entries", "application/json", "none", 400, `{"code":3,"message":"invalid character 'o' in literal null`},
	} {
		resp, err := http.Post(c.url, c.kind, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status || !strings.Contains(string(said), c.says) {
			t.Errorf("%s answers %d %s, want %d %s", c.url, resp.StatusCode, said, c.status, c.says)
		}
	}
}

// subjectOf is the subject of the token that a certificate was given for.
func subjectOf(t *testing.T, c *x509.Certificate) (subject string) {
	t.Helper()
	for _, e := range c.Extensions {
		if e.Id.String() == "1.3.6.1.4.1.57264.1.24" {
			if _, err := asn1.Unmarshal(e.Value, &subject); err != nil {
				t.Fatal(err)
			}
		}
	}
	return subject
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
