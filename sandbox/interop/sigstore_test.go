//go:build interop

package interop

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// Sigstore's own servers certify, time and log what jobs of GitHub and GitLab sign, in both
// versions of the log, and cosign and GitHub's command line verify it with their keys.
func TestSigstore(t *testing.T) {
	if testing.Short() {
		t.Skip("Sigstore's servers take minutes to compile")
	}
	t.Parallel()
	s := newStage(t, nil)
	o := s.startSigstore(t)
	o.write(t, filepath.Join(s.dir, authorities))
	t.Run("stand-ins", func(t *testing.T) { s.standsIn(t, o) })
	for services, app := range logs {
		for _, shape := range []string{sigstore.GitHub, sigstore.GitLab} {
			t.Run(app+"-"+shape, func(t *testing.T) { s.judged(t, shape, app+"-"+shape, services) })
		}
	}
	t.Run("turned down", func(t *testing.T) { s.refused(t, o) })
	t.Run("interrupted", func(t *testing.T) { s.interrupted(t, o) })
	t.Run("unlogged", func(t *testing.T) { s.unlogged(t, o) })
	t.Run("down", func(t *testing.T) { s.down(t, o) })
}

// judged releases as a job, and has everybody verify it.
func (s *stage) judged(t *testing.T, shape, app, services string) {
	r := s.newRelease(t, app)
	release := s.asJob(t, shape, r, services, "release", "--version", "1.0.0", "--progress", "quiet")
	release.run(t)
	rec, image := s.recorded(t, shape, r)
	if _, story := release.run(t); !strings.Contains(story, "nothing was made") {
		t.Errorf("a second run says:\n%s", story)
	}
	verify := s.asJob(t, shape, r, services, "verify", common.Address(rec.App.Address).Hex(), "--trusted-root", filepath.Join(s.dir, authorities, "trusted-root.json"))
	stdout, story := verify.run(t)
	if !strings.HasPrefix(stdout, "PASSED") || !strings.Contains(story, "certified by CN=fulcio intermediate,O=interop") {
		t.Errorf("mrelease verifies: %s\n%s", stdout, story)
	}
	s.cosignsVerify(t, shape, rec, image)
	if shape == sigstore.GitHub {
		s.ghTakes(t, image, filepath.Join(s.dir, authorities, "trusted-root.json"))
	}
}

// cosignsVerify has both versions of cosign verify what a job signed and attested.
func (s *stage) cosignsVerify(t *testing.T, shape string, rec record.Record, image name.Digest) {
	t.Helper()
	identity := sigstore.Identity(shape, jobRepository, jobRef)
	trust := []string{"--new-bundle-format", "--trusted-root", authorities + "/trusted-root.json", "--use-signed-timestamps", "--certificate-oidc-issuer", s.Sigstore.Issuer(shape), "--certificate-identity"}
	for _, version := range []func(...string) program{func(args ...string) program { return s.cosignRun(args) }, s.cosign3} {
		for _, command := range [][]string{{"verify"}, {"verify-attestation", "--type", "slsaprovenance1"}, {"verify-attestation", "--type", record.MeasurementType}} {
			args := append(append(command, image.Name()), trust...)
			stdout, stderr := version(append(args, identity)...).run(t)
			if command[0] == "verify" && !strings.Contains(stdout+stderr, rec.Image.Digest.String()) {
				t.Errorf("cosign verified something else: %s%s", stdout, stderr)
			}
			other := version(append(args, identity+"-rc")...)
			other.fails = true
			other.run(t)
		}
	}
}
