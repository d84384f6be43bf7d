//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// The job whose identity signs.
const (
	jobRepository = "acme/enclave"
	jobRef        = "refs/tags/v1.0.0"
	authorities   = "sigstore" // folder with what is known of them
)

// logs are the signing configurations of both versions of the log.
var logs = map[string]string{"signing-config.json": "rekor-one", "signing-config-v2.json": "rekor-two"}

// cosign's own program verifies what mrelease signed as a job, with both versions of the
// log, and mrelease takes and verifies what cosign signed as the same job.
func TestCosignKeyless(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	must(t, s.Write(filepath.Join(s.dir, authorities))) // with root and signing configurations
	identity, issuer := sigstore.Identity(sigstore.GitHub, jobRepository, jobRef), s.Sigstore.Issuer(sigstore.GitHub)
	for file, signed := range logs {
		rec, image := s.releasedAsJob(t, signed, file)
		trust := []string{"--new-bundle-format", "--trusted-root", authorities + "/trusted-root.json", "--use-signed-timestamps", "--certificate-oidc-issuer", issuer, "--certificate-identity"}
		if said := s.cosign(t, append(append([]string{"verify", image.Name()}, trust...), identity)...); !strings.Contains(said, rec.Image.Digest.String()) {
			t.Errorf("cosign verified something else: %s", said)
		}
		s.cosign(t, append(append([]string{"verify-attestation", "--type", "slsaprovenance1", image.Name()}, trust...), identity)...)
		other := s.cosignRun(append(append([]string{"verify", image.Name()}, trust...), identity+"-rc"))
		other.fails = true
		other.run(t)
	}
	s.cosignSignsAsJob(t)
}

// cosignSignsAsJob lets cosign sign an image that mrelease then finds signed. cosign
// 2.6.5 cannot write statements to a log of Rekor 2.
func (s *stage) cosignSignsAsJob(t *testing.T) {
	r := s.newRelease(t, "theirs-keyless")
	digest := s.pushed(t, r)
	token, err := s.Sigstore.Token(sigstore.GitHub, jobRepository, jobRef)
	must(t, err)
	s.cosign(t, "sign", "--yes", "--identity-token", token, "--new-bundle-format", "--signing-config", authorities+"/signing-config.json", "--trusted-root", authorities+"/trusted-root.json", digest.Name())
	_, story := s.asJob(t, sigstore.GitHub, r, "signing-config.json", "release", "--version", "1.0.0", "--progress", "quiet").run(t)
	if !strings.Contains(story, "was there already") {
		t.Errorf("mrelease did not find cosign's signature:\n%s", story)
	}
	referrers, err := remote.Referrers(digest)
	must(t, err)
	list, err := referrers.IndexManifest()
	must(t, err)
	if len(list.Manifests) != 4 {
		t.Errorf("the image has %d referrers, want cosign's signature, our two attestations and the record", len(list.Manifests))
	}
	verify := s.asJob(t, sigstore.GitHub, r, "signing-config.json", "verify", r.name+".json", "--trusted-root", filepath.Join(s.dir, authorities, "trusted-root.json"))
	if _, story := verify.run(t); !strings.Contains(story, "certified by CN=sandbox fulcio intermediate") {
		t.Errorf("mrelease verified cosign's signature so:\n%s", story)
	}
}

// releasedAsJob releases as a job of GitHub, and returns the record and the image.
func (s *stage) releasedAsJob(t *testing.T, app, services string) (record.Record, name.Digest) {
	t.Helper()
	r := s.newRelease(t, app)
	s.asJob(t, sigstore.GitHub, r, services, "release", "--version", "1.0.0", "--progress", "quiet").run(t)
	return s.recorded(t, sigstore.GitHub, r)
}

// newRelease is one of an app, by a wallet in a folder of its own.
func (s *stage) newRelease(t *testing.T, app string) release {
	t.Helper()
	r := release{name: app, chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 1, dir: t.TempDir()}
	writeWallet(t, r.dir, r.owner)
	return r
}

// recorded returns the record of what a job released, and the image.
func (s *stage) recorded(t *testing.T, shape string, r release) (record.Record, name.Digest) {
	t.Helper()
	rec, err := record.ReadFile(filepath.Join(r.dir, r.name+".json"))
	must(t, err)
	identity, issuer := sigstore.Identity(shape, jobRepository, jobRef), s.Sigstore.Issuer(shape)
	if rec.Image.PublicKey != "" || rec.Image.Identity == nil || rec.Image.Identity.Subject != identity || rec.Image.Identity.Issuer != issuer {
		t.Errorf("the record says that %+v signed", rec.Image)
	}
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	return rec, tag.Digest(rec.Image.Digest.String())
}

// asJob runs mrelease as a job of GitHub or GitLab whose identity signs.
func (s *stage) asJob(t *testing.T, shape string, r release, services string, args ...string) program {
	t.Helper()
	run := s.mreleaseRun(t, r, args...)
	file := filepath.Join(r.dir, r.name+".yaml")
	workflow, _, _ := strings.Cut(sigstore.Identity(shape, jobRepository, jobRef), "@")
	keyless := "sign: {keyless: {token: " + shape + ", issuer: \"" + s.Sigstore.Issuer(shape) + "\", identity: \"" + workflow + "\", signing-config: \"" + filepath.Join(s.dir, authorities, services) +
		"\"}, trusted-root: \"" + filepath.Join(s.dir, authorities, "trusted-root.json") + "\"}"
	text := strings.Replace(s.config(r), "sign: {key: \""+filepath.Join(s.dir, "cosign.key")+"\"}", keyless, 1)
	must(t, os.WriteFile(file, []byte(text), 0o600))
	env, err := s.Sigstore.Environment(jobRepository, jobRef)
	must(t, err)
	for name, value := range env {
		run.env = append(run.env, name+"="+value)
	}
	return run
}
