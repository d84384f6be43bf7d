package vectors

import (
	"context"
	"errors"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// The job that signs.
const (
	repository = "acme/enclave"
	reference  = "refs/tags/v1.0.0"
	workflow   = "https://github.com/acme/enclave/.github/workflows/release.yml"
)

// newJob is a job of GitHub, with a stand-in for Sigstore.
func newJob(ctx context.Context, authorities *sigstore.Instance) (*keyless.Signer, error) {
	services, err := authorities.SigningConfig(1)
	if err != nil {
		return nil, err
	}
	root, err := authorities.TrustedRoot()
	if err != nil {
		return nil, err
	}
	env, err := authorities.Environment(repository, reference)
	if err != nil {
		return nil, err
	}
	find := ci.Tokens(func(variable string) string { return env[variable] })
	return keyless.Open(ctx, keyless.Options{
		Identity: signing.Identity{Subject: workflow, Issuer: authorities.Issuer(sigstore.GitHub)}, Services: services, TrustedRoot: root,
		Token: func(ctx context.Context, audience string) (string, error) {
			return find(ctx, ci.FromGitHub, audience, false)
		},
	})
}

// jobs adds vectors of a release that a job signed.
func (s *set) jobs(ctx context.Context, m *maker) error {
	b, err := m.keep(ctx, m.world.V6, plan{signers: func(m *maker) []signing.Signer { return []signing.Signer{m.job} }})
	if err != nil {
		return err
	}
	issuer := m.world.Sigstore.Issuer(sigstore.GitHub)
	// Where none of its identity is found, it could be in a place that the file does not hold.
	add := func(clause, says string, want Want, subject, issuer, root string) error {
		return s.add(clause, "a job's signature, "+says, b, want, "--identity", subject, "--issuer", issuer, "--trusted-root", root)
	}
	return errors.Join(
		s.add("5.4", "a job's signature, and no root is given", b, refused(exitUsage, "E-TRUSTED-ROOT", "signature", "provenance", "revocation")),
		s.add("5.4", "a job's signature, whose identity the record names", b, accepted(), "--trusted-root", "root.json"),
		s.add("5.4", "a job's signature, and an expired root", b, incomplete(), "--trusted-root", "expired.json"),
		add("5.3", "by the workflow at any reference", accepted(), workflow, issuer, "root.json"),
		add("5.3", "by the workflow at its reference", accepted(), workflow+"@"+reference, issuer, "root.json"),
		add("5.3", "by another reference", incomplete(), workflow+"@refs/tags/v1.0.1", issuer, "root.json"),
		add("5.3", "by a longer reference", incomplete(), workflow+"@"+reference+"-rc", issuer, "root.json"),
		add("5.3", "by the repository", incomplete(), "https://github.com/acme/enclave", issuer, "root.json"),
		add("5.3", "by one that contains it", incomplete(), "https://github.com/evil/x?"+workflow+"@"+reference, issuer, "root.json"),
		add("5.3", "by a pattern", incomplete(), ".*", issuer, "root.json"),
		add("5.3", "by an issuer that begins so", incomplete(), workflow, issuer+"/", "root.json"),
		add("5.3", "by another issuer", incomplete(), workflow, m.world.Sigstore.Issuer(sigstore.GitLab), "root.json"),
	)
}
