//go:build interop

package interop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// GitHub's own command line verifies what mrelease attested as one of its jobs, with both
// versions of the log, from a file and from the registry. Of another repository, workflow,
// ref, issuer or image, and by another root, it verifies nothing.
func TestGitHub(t *testing.T) {
	if testing.Short() {
		t.Skip("GitHub's command line takes minutes to compile")
	}
	t.Parallel()
	s := newStage(t, nil)
	root, other := filepath.Join(s.dir, "root.jsonl"), filepath.Join(s.dir, "other.jsonl")
	writeRoot(t, root, s.Sigstore)
	writeRoot(t, other, otherSigstore(t))
	must(t, s.Write(filepath.Join(s.dir, authorities)))
	foreign := s.pushedRandom(t)
	for services, app := range logs {
		t.Run(app, func(t *testing.T) {
			_, image := s.releasedAsJob(t, app, services)
			right, bundles := s.ghTakes(t, image, root)
			for _, change := range []func(*attested){
				func(c *attested) { c.image = foreign },
				func(c *attested) { c.root = other },
				func(c *attested) { c.repository = "acme/other" },
				func(c *attested) { c.identity += "-rc" },
				func(c *attested) { c.issuer += ".example" },
				func(c *attested) { c.ref += "-rc" },
				func(c *attested) { c.predicate += "-rc" },
			} {
				wrong := right
				change(&wrong)
				refused := s.gh(t, wrong, "--bundle", bundles)
				refused.fails = true
				if _, stderr := refused.run(t); !strings.Contains(stderr, "Error: ") {
					t.Errorf("it does not say what is wrong with %+v: %s", wrong, stderr)
				}
			}
		})
	}
}

// attested is what an image is asked to be attested as.
type attested struct {
	image                        name.Digest
	root                         string // file of trusted roots
	repository, identity, issuer string
	ref, predicate               string
}

// ghTakes has it verify what a job released, and returns what it verified the provenance as,
// and the file of bundles that it read.
func (s *stage) ghTakes(t *testing.T, image name.Digest, root string) (right attested, bundles string) {
	t.Helper()
	bundles = filepath.Join(t.TempDir(), "bundles.jsonl")
	must(t, os.WriteFile(bundles, bundlesOf(t, image), 0o644))
	right = attested{image, root, jobRepository, sigstore.Identity(sigstore.GitHub, jobRepository, jobRef), s.Sigstore.Issuer(sigstore.GitHub), jobRef, "https://slsa.dev/provenance/v1"}
	measured := right
	measured.predicate = record.MeasurementType
	for _, from := range [][]string{{"--bundle", bundles}, {"--bundle-from-oci"}} {
		s.ghVerifies(t, right, from...)
		s.ghVerifies(t, measured, from...)
	}
	return right, bundles
}

// ghVerifies fails unless an attestation is what is claimed.
func (s *stage) ghVerifies(t *testing.T, c attested, from ...string) {
	t.Helper()
	stdout, _ := s.gh(t, c, from...).run(t)
	for _, said := range []string{c.image.DigestStr()[len("sha256:"):], c.predicate, c.identity} {
		if !strings.Contains(stdout, said) {
			t.Errorf("%v: it does not say %q: %s", from, said, stdout)
		}
	}
}

// gh runs GitHub's command line, which can reach nobody but the registry: it must not ask.
func (s *stage) gh(t *testing.T, c attested, from ...string) program {
	t.Helper()
	home := t.TempDir()
	return program{
		name: filepath.Join(s.bin, "gh"), dir: s.dir,
		args: append([]string{
			"attestation", "verify", "oci://" + c.image.Name(), "--custom-trusted-root", c.root, "--repo", c.repository,
			"--cert-identity", c.identity, "--cert-oidc-issuer", c.issuer, "--source-ref", c.ref, "--predicate-type", c.predicate, "--format", "json",
		}, from...),
		env: []string{"HOME=" + home, "GH_CONFIG_DIR=" + home, "GH_TOKEN=none", "HTTPS_PROXY=http://127.0.0.1:1"},
	}
}

// pushedRandom pushes an image that nobody attested.
func (s *stage) pushedRandom(t *testing.T) name.Digest {
	t.Helper()
	image, err := random.Image(100, 1)
	must(t, err)
	digest, err := image.Digest()
	must(t, err)
	at, err := name.NewDigest(s.Registry + "/foreign@" + digest.String())
	must(t, err)
	must(t, remote.Write(at, image))
	return at
}

// writeRoot writes a trusted root as GitHub's command line reads it: one a line.
func writeRoot(t *testing.T, file string, i *sigstore.Instance) {
	t.Helper()
	root, err := i.TrustedRoot()
	must(t, err)
	var line bytes.Buffer
	must(t, json.Compact(&line, root))
	line.WriteByte('\n')
	must(t, os.WriteFile(file, line.Bytes(), 0o644))
}

// otherSigstore is an instance that nobody here trusts.
func otherSigstore(t *testing.T) *sigstore.Instance {
	t.Helper()
	i, err := sigstore.Start(func(_ string, h http.Handler) (string, error) {
		served := httptest.NewServer(h)
		t.Cleanup(served.Close)
		return served.URL, nil
	})
	must(t, err)
	return i
}

// bundlesOf returns all bundles that an image has, one a line.
func bundlesOf(t *testing.T, image name.Digest) (lines []byte) {
	t.Helper()
	referrers, err := remote.Referrers(image)
	must(t, err)
	list, err := referrers.IndexManifest()
	must(t, err)
	for _, referrer := range list.Manifests {
		if !strings.HasPrefix(referrer.ArtifactType, "application/vnd.dev.sigstore.bundle") {
			continue
		}
		artifact, err := remote.Image(image.Digest(referrer.Digest.String()))
		must(t, err)
		layers, err := artifact.Layers()
		must(t, err)
		content, err := layers[0].Compressed()
		must(t, err)
		bundle, err := io.ReadAll(content)
		must(t, err)
		lines = append(append(lines, bundle...), '\n')
	}
	return lines
}
