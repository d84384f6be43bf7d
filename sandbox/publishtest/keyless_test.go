package publishtest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

const (
	repository = "acme/enclave"
	workflow   = "https://github.com/acme/enclave/.github/workflows/release.yml"
	tagged     = "refs/tags/v1.0.0"
)

// authorities are an instance of Sigstore whose services can be made to fail.
type authorities struct {
	*sigstore.Instance
	faults fault.Injector
	root   []byte
}

func startSigstore(t *testing.T) *authorities {
	t.Helper()
	a := &authorities{}
	var err error
	a.Instance, err = sigstore.Start(func(service string, h http.Handler) (string, error) {
		s := httptest.NewServer(a.faults.Wrap(service, h))
		t.Cleanup(s.Close)
		return s.URL, nil
	})
	if err == nil {
		a.root, err = a.TrustedRoot()
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// options are those of a job of GitHub that signs with a version of the log.
func (a *authorities) options(t *testing.T, version uint32, repository, ref string) keyless.Options {
	t.Helper()
	services, err := a.SigningConfig(version)
	if err != nil {
		t.Fatal(err)
	}
	env, err := a.Environment(repository, ref)
	if err != nil {
		t.Fatal(err)
	}
	find := ci.Tokens(func(variable string) string { return env[variable] })
	return keyless.Options{
		Identity: signing.Identity{Subject: workflow, Issuer: a.Issuer(sigstore.GitHub)}, Services: services, TrustedRoot: a.root,
		Token: func(ctx context.Context, audience string) (string, error) {
			return find(ctx, ci.FromGitHub, audience, false)
		},
		Patience: ample,
	}
}

// A service of whom an answer is expected has ample time for it, on a busy machine too; one of
// whom none is expected is given up soon.
const (
	ample = 30 * time.Second
	soon  = 3 * time.Second
)

func open(t *testing.T, o keyless.Options) *keyless.Signer {
	t.Helper()
	s, err := keyless.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func party(t *testing.T, subject, issuer string, root []byte) signing.Party {
	t.Helper()
	p, err := keyless.NewParty(signing.Identity{Subject: subject, Issuer: issuer}, root)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pushed is an image in a registry.
func pushed(t *testing.T) name.Digest {
	t.Helper()
	tag, _ := strange(t, "")
	digest, err := registry.Client{}.Push(t.Context(), tag, image(t, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func bundles(t *testing.T, image name.Digest) int {
	t.Helper()
	n, err := countBundles(image)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func countBundles(image name.Digest) (int, error) {
	index, err := remote.Referrers(image)
	if err != nil {
		return 0, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return 0, err
	}
	return len(list.Manifests), nil
}

// With each version of the log an image is signed once, whoever of the same identity
// signs it again, and verifies for that identity, issuer and root, and no other.
func TestKeyless(t *testing.T) {
	a := startSigstore(t)
	other := startSigstore(t)
	expired, err := a.TrustedRootUntil(time.Now().Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	issuer := a.Issuer(sigstore.GitHub)
	for _, version := range []uint32{1, 2} {
		image, client := pushed(t), registry.Client{}
		for run := range 2 {
			signer := open(t, a.options(t, version, repository, tagged))
			made, err := client.State(t.Context(), image, signer, registry.Signature(), registry.Attestation{Type: "https://example.com/made/v1", Predicate: map[string]int{"a": 1}})
			if err != nil || made[0] != (run == 0) || made[1] != (run == 0) {
				t.Fatalf("log %d, run %d: made %v, %v", version, run, made, err)
			}
		}
		if n := bundles(t, image); n != 2 {
			t.Errorf("log %d: there are %d bundles, want a signature and an attestation", version, n)
		}
		for what, tt := range map[string]struct {
			subject, issuer string
			root            []byte
			ok              bool
		}{
			"the identity":                {workflow + "@" + tagged, issuer, a.root, true},
			"the workflow at any ref":     {workflow, issuer, a.root, true},
			"another ref":                 {workflow + "@refs/tags/v1.0.1", issuer, a.root, false},
			"a longer ref":                {workflow + "@" + tagged + "-rc", issuer, a.root, false},
			"a part of the identity":      {"https://github.com/acme/enclave", issuer, a.root, false},
			"the end of it":               {"acme/enclave/.github/workflows/release.yml@" + tagged, issuer, a.root, false},
			"one that contains it":        {"https://github.com/evil/x?" + workflow + "@" + tagged, issuer, a.root, false},
			"dots that are any letter":    {strings.ReplaceAll(workflow, ".", "x"), issuer, a.root, false},
			"a pattern":                   {".*", issuer, a.root, false},
			"an issuer that begins so":    {workflow, issuer + "/", a.root, false},
			"an issuer with another case": {workflow, strings.ToUpper(issuer), a.root, false},
			"GitLab's issuer":             {workflow, a.Issuer(sigstore.GitLab), a.root, false},
			"another instance's root":     {workflow, issuer, other.root, false},
			"an expired root":             {workflow, issuer, expired, false},
		} {
			err := client.CheckSignature(t.Context(), image, party(t, tt.subject, tt.issuer, tt.root))
			var unsigned *registry.UnsignedError
			if tt.ok != (err == nil) || err != nil && !errors.As(err, &unsigned) {
				t.Errorf("log %d, %s: %v", version, what, err)
			}
		}
		said, err := client.Statements(t.Context(), image, party(t, workflow, issuer, a.root))
		if vouched := said.Vouched(); err != nil || !strings.Contains(vouched, "certified by CN=sandbox fulcio intermediate") || !strings.Contains(vouched, "by timestampauthority "+a.TSA) {
			t.Errorf("log %d: vouched %q, %v", version, vouched, err)
		}
	}
}

// An identity that contains ours signs for itself only.
func TestKeylessForeignJobs(t *testing.T) {
	a := startSigstore(t)
	image, client := pushed(t), registry.Client{}
	for _, repository := range []string{"acme/enclave-evil", "evil/acme/enclave", "acme/enclave/.github/workflows/release.yml@x/evil"} {
		o := a.options(t, 1, repository, tagged)
		var wrong *keyless.IdentityError
		if _, err := keyless.Open(t.Context(), o); !errors.As(err, &wrong) || wrong.Of != "token" {
			t.Errorf("a job of %s opened as ours: %v", repository, err)
		}
		o.Identity.Subject = sigstore.Identity(sigstore.GitHub, repository, tagged)
		if signer, err := keyless.Open(t.Context(), o); err == nil {
			_, _ = client.Sign(t.Context(), image, signer) // some names are no identities
		}
	}
	var unsigned *registry.UnsignedError
	if err := client.CheckSignature(t.Context(), image, party(t, workflow, a.Issuer(sigstore.GitHub), a.root)); !errors.As(err, &unsigned) || unsigned.Others == 0 {
		t.Errorf("got %v, want foreign signatures that do not count", err)
	}
}

// untimed signs with a certificate, and has nobody say when.
type untimed struct {
	*keyless.Signer
	fulcio, token string
}

func (u untimed) Bundle(ctx context.Context, content sign.Content) (*protobundle.Bundle, error) {
	pair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, err
	}
	return sign.Bundle(content, pair, sign.BundleOptions{
		Context: ctx, CertificateProvider: sign.NewFulcio(&sign.FulcioOptions{BaseURL: u.fulcio}), CertificateProviderOptions: &sign.CertificateProviderOptions{IDToken: u.token},
	})
}

// A certificate without a timestamp counts for nothing, also while it is valid.
func TestKeylessWithoutTimestamp(t *testing.T) {
	a := startSigstore(t)
	o := a.options(t, 1, repository, tagged)
	token, err := o.Token(t.Context(), keyless.Audience)
	if err != nil {
		t.Fatal(err)
	}
	image := pushed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		defer cancel()
		for n := 0; n == 0 && ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
			n, _ = countBundles(image) // an error is tried again
		}
	}()
	_, err = registry.Client{}.Sign(ctx, image, untimed{open(t, o), a.Fulcio, token}) // it is never read back
	if n := bundles(t, image); err == nil || n == 0 {
		t.Fatalf("%d bundles, %v", n, err)
	}
	var unsigned *registry.UnsignedError
	if err := (registry.Client{}).CheckSignature(t.Context(), image, party(t, workflow, a.Issuer(sigstore.GitHub), a.root)); !errors.As(err, &unsigned) || unsigned.Others == 0 {
		t.Errorf("got %v", err)
	}
}

// What cannot sign is told before anything is signed.
func TestKeylessRefuses(t *testing.T) {
	t.Parallel()
	a := startSigstore(t)
	for what, tt := range map[string]struct {
		change func(*keyless.Options)
		want   string
	}{
		"another issuer":   {func(o *keyless.Options) { o.Identity.Issuer += "x" }, "the issuer of the token is another one"},
		"another workflow": {func(o *keyless.Options) { o.Identity.Subject += "x" }, "the identity of the token is another one"},
		"another ref":      {func(o *keyless.Options) { o.Identity.Subject += "@refs/heads/main" }, "the identity of the token is another one"},
		"another host":     {func(o *keyless.Options) { o.Identity.Subject = "https://x/" + o.Identity.Subject }, "the identity of the token is another one"},
		"another audience": {func(o *keyless.Options) { o.Token = func(context.Context, string) (string, error) { return "", nil } }, "the identity token is empty"},
		"no token": {func(o *keyless.Options) {
			o.Token = func(context.Context, string) (string, error) { return "abc", nil }
		}, "has not the form of a JWT"},
		"no root": {func(o *keyless.Options) { o.TrustedRoot = nil }, "the trusted root cannot be read"},
		"an empty root": {func(o *keyless.Options) {
			o.TrustedRoot = []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
		}, "names no certificate authority"},
		"no services": {func(o *keyless.Options) {
			o.Services = []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`)
		}, "names no certificate authority"},
		"nobody with a clock": {func(o *keyless.Options) {
			o.Services = []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{"url":"https://f","majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"}}]}`)
		}, "names nobody who says when"},
	} {
		o := a.options(t, 1, repository, tagged)
		tt.change(&o)
		if _, err := keyless.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", what, err, tt.want)
		}
	}
	// The host of GitHub's identities is in the certificate only.
	o := a.options(t, 1, repository, tagged)
	o.Identity.Subject = strings.Replace(workflow, "github.com", "github.corn", 1)
	signer := open(t, o)
	var wrong *keyless.IdentityError
	if _, err := (registry.Client{}).Sign(t.Context(), pushed(t), signer); !errors.As(err, &wrong) || wrong.Of != "certificate" {
		t.Errorf("a similar host: %v", err)
	}
}

// What the trusted root does not take is not signed with: a certificate of others is told
// before anything is in a log, and a signature without an entry, where the root names logs,
// before anything is in the registry.
func TestKeylessUntrusted(t *testing.T) {
	t.Parallel()
	a, other := startSigstore(t), startSigstore(t)
	foreign := a.options(t, 1, repository, tagged)
	foreign.TrustedRoot = other.root
	for want, o := range map[string]keyless.Options{
		"the trusted root does not take the certificate of " + a.Fulcio:          foreign,
		"the trusted root does not take what was signed with " + a.Fulcio + ", ": a.options(t, 0, repository, tagged),
	} {
		a.faults.Clear()
		for _, log := range []string{"rekor", "rekor-v2"} {
			if err := a.faults.Add(fault.Rule{Service: log, Status: http.StatusBadRequest, Times: 1}); err != nil {
				t.Fatal(err)
			}
		}
		image := pushed(t)
		_, err := registry.Client{}.Sign(t.Context(), image, open(t, o))
		var wrong *keyless.RootError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if n := bundles(t, image); n != 0 {
			t.Errorf("%q: there are %d bundles", want, n)
		}
		if left := a.faults.Rules(); len(left) != 2 {
			t.Errorf("%q: a log was asked", want)
		}
	}
}

// A service that fails is tried again, within the patience, and then told.
func TestKeylessOutages(t *testing.T) {
	t.Parallel()
	a := startSigstore(t)
	for _, service := range []string{"fulcio", "timestamps", "rekor", "rekor-v2"} {
		version := uint32(1)
		if service == "rekor-v2" {
			version = 2
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(a.faults.Add(fault.Rule{Service: service, Status: http.StatusServiceUnavailable, Times: 1}))
		image := pushed(t)
		if made, err := (registry.Client{}).Sign(t.Context(), image, open(t, a.options(t, version, repository, tagged))); err != nil || !made {
			t.Errorf("%s failed once: %t, %v", service, made, err)
		}
	}
	must := a.faults.Add(fault.Rule{Service: "fulcio", Status: http.StatusServiceUnavailable, Times: 100})
	if must != nil {
		t.Fatal(must)
	}
	hasty := a.options(t, 1, repository, tagged)
	hasty.Patience = soon
	_, err := registry.Client{}.Sign(t.Context(), pushed(t), open(t, hasty))
	var down *keyless.ServiceError
	if !errors.As(err, &down) || down.URL != a.Fulcio || !strings.Contains(err.Error(), "503") {
		t.Errorf("a service that stays away: %v", err)
	}
}
