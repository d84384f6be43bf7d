//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/sandbox/scanner"
)

// Without these two files cosign would ask the public instance for its own.
var nowhere = map[string]string{
	"root.json":    `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`,
	"signing.json": `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`,
}

func (s *stage) writeNowhere(t *testing.T) {
	t.Helper()
	for file, text := range nowhere {
		must(t, os.WriteFile(filepath.Join(s.dir, file), []byte(text), 0o644))
	}
}

// cosign's own program verifies what mrelease signed, and the other way round.
func TestCosign(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.writeNowhere(t)
	ours := release{name: "ours", chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 1, dir: t.TempDir()}
	writeWallet(t, ours.dir, ours.owner)
	t.Run("verifies ours", func(t *testing.T) { s.cosignVerifies(t, ours) })
	t.Run("signs for ours", func(t *testing.T) {
		theirs := ours
		theirs.name = "theirs"
		digest := s.cosignSigns(t, theirs, "referrers", "--new-bundle-format", "--signing-config", "signing.json", "--trusted-root", "root.json")
		referrers, err := remote.Referrers(digest)
		must(t, err)
		list, err := referrers.IndexManifest()
		must(t, err)
		if len(list.Manifests) != 4 {
			t.Errorf("the image has %d referrers, want cosign's signature, our two attestations and the record", len(list.Manifests))
		}
	})
	t.Run("signs for ours in the older layout", func(t *testing.T) {
		theirs := ours
		theirs.name = "theirs-older"
		digest := s.cosignSigns(t, theirs, "tags", "--tlog-upload=false")
		for suffix, want := range map[string]int{".sig": 1, ".att": 2} {
			image, err := remote.Image(digest.Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + suffix))
			must(t, err)
			manifest, err := image.Manifest()
			must(t, err)
			if len(manifest.Layers) != want {
				t.Errorf("the tag %s holds %d layers, want %d", suffix, len(manifest.Layers), want)
			}
		}
	})
}

func (s *stage) cosignVerifies(t *testing.T, r release) {
	s.scanner, s.vex = s.scannerImage(t), filepath.Join(s.dir, "hello.vex.json")
	must(t, os.WriteFile(s.vex, []byte(assessed), 0o644))
	rec := s.release(t, r)
	s.scanner, s.vex = "", ""
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	verify := []string{"verify", "--insecure-ignore-tlog", "--trusted-root", "root.json", "--new-bundle-format", tag.Digest(rec.Image.Digest.String()).Name(), "--key"}
	if said := s.cosign(t, append(verify, "cosign.pub")...); !strings.Contains(said, rec.Image.Digest.String()) {
		t.Errorf("cosign verified something else: %s", said)
	}
	public, err := os.ReadFile(filepath.Join(s.dir, "cosign.pub"))
	must(t, err)
	if rec.Image.PublicKey != string(public) {
		t.Errorf("the record's key is\n%s, cosign's is\n%s", rec.Image.PublicKey, public)
	}
	s.cosign(t, "generate-key-pair", "--output-key-prefix", "other")
	other := s.cosignRun(append(verify, "other.pub"))
	other.fails = true
	other.run(t)
	s.cosignVerifiesAttestations(t, rec, filepath.Join(r.dir, "dist/image.spdx.json"))
	s.readmeVerifies(t, tag.Digest(rec.Image.Digest.String()).Name())
}

// readmeVerifies runs the commands that README.md prints, as a user copies them.
func (s *stage) readmeVerifies(t *testing.T, image string) {
	text, err := os.ReadFile("../../README.md")
	must(t, err)
	commands := regexp.MustCompile("(?s)```\n(IMAGE=(\\S+).*?)```").FindStringSubmatch(string(text))
	if commands == nil || strings.Count(commands[1], "\ncosign ") != 2 {
		t.Fatal("README.md has no two commands of cosign")
	}
	script := "set -e; PATH=" + s.bin + ":$PATH\n" + strings.Replace(commands[1], commands[2], image, 1)
	for key, fails := range map[string]bool{"cosign.pub": false, "other.pub": true} {
		stdout, _ := program{name: "bash", args: []string{"-c", strings.ReplaceAll(script, "cosign.pub", key)}, dir: s.dir, env: []string{"HOME=" + t.TempDir()}, fails: fails}.run(t)
		if !fails && (!strings.Contains(stdout, `"docker-manifest-digest":"`+strings.SplitN(image, "@", 2)[1]) || !strings.Contains(stdout, `"payload"`)) {
			t.Errorf("the commands print\n%s", stdout)
		}
	}
}

// cosignVerifiesAttestations lets cosign read what mrelease attested, and kept of it.
func (s *stage) cosignVerifiesAttestations(t *testing.T, rec record.Record, sbom string) {
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	image := tag.Digest(rec.Image.Digest.String())
	s.cosignReadsAttestation(t, rec, image, "slsaprovenance1", rec.Source.Provenance(rec.Version).Predicate)
	measured, err := record.MeasurementAttestation(image, measure.Enclave{MRENCLAVE: *rec.Enclave.MRENCLAVE})
	must(t, err)
	s.cosignReadsAttestation(t, rec, image, measured.Type, measured.Predicate)
	if rec.SBOM == nil {
		t.Fatal("the record names no SBOM")
	}
	listed, err := os.ReadFile(sbom)
	must(t, err)
	if got := fmt.Sprintf("%x", sha256.Sum256(listed)); got != rec.SBOM.Digest.Hex {
		t.Errorf("the file's SHA-256 is %s, the record's %s", got, rec.SBOM.Digest)
	}
	s.cosignReadsAttestation(t, rec, image, "spdxjson", json.RawMessage(listed))
	s.cosignReadsAttestation(t, rec, image, "openvex", json.RawMessage(assessed))
}

// assessed is what is said of vulnerabilities.
const assessed = `{
  "@context": "https://openvex.dev/ns/v0.2.0",
  "@id": "https://example.com/vex/hello",
  "author": "Acme <security@example.com>",
  "timestamp": "2026-01-31T12:00:00Z",
  "version": 1,
  "statements": [
    {"vulnerability": {"name": "CVE-2026-1"}, "status": "not_affected", "justification": "vulnerable_code_not_present"},
    {"vulnerability": {"name": "CVE-2026-2"}, "status": "affected", "action_statement": "use <1.0.1> & later"}
  ]
}
`

// scannerImage makes the image of the stand-in scanner.
func (s *stage) scannerImage(t *testing.T) string {
	t.Helper()
	program{name: "go", args: []string{"build", "-o", filepath.Join(s.dir, "scanner"), "../cmd/scanner"}, env: []string{"CGO_ENABLED=0"}, dir: "."}.run(t)
	images, err := scanner.Layout(filepath.Join(s.dir, "scanners"), filepath.Join(s.dir, "scanner"))
	must(t, err)
	return images[scanner.Right]
}

// cosignReadsAttestation lets cosign read an attestation of a type.
func (s *stage) cosignReadsAttestation(t *testing.T, rec record.Record, image name.Digest, predicateType string, predicate any) {
	t.Helper()
	verify := []string{"verify-attestation", "--insecure-ignore-tlog", "--trusted-root", "root.json", "--new-bundle-format", image.Name(), "--type", predicateType, "--key"}
	stdout, _ := s.cosignRun(append(verify, "cosign.pub")).run(t)
	var envelope struct{ Payload []byte }
	must(t, json.Unmarshal([]byte(stdout), &envelope))
	var said struct {
		Subject   []struct{ Digest map[string]string }
		Predicate any
	}
	must(t, json.Unmarshal(envelope.Payload, &said))
	var want any
	must(t, json.Unmarshal([]byte(encode(t, predicate)), &want))
	if !reflect.DeepEqual(said.Predicate, want) || len(said.Subject) != 1 || said.Subject[0].Digest["sha256"] != rec.Image.Digest.Hex {
		t.Errorf("cosign read %s", envelope.Payload)
	}
	other := s.cosignRun(append(verify, "other.pub"))
	other.fails = true
	other.run(t)
}

// cosignSigns lets cosign sign an image that is pushed already, as if a release
// had been interrupted there: mrelease must find the signature and add none.
func (s *stage) cosignSigns(t *testing.T, r release, where string, flags ...string) name.Digest {
	t.Helper()
	return s.signs(t, r, where, func(image string) {
		s.cosign(t, append([]string{"sign", "--yes", "--key", "cosign.key", image}, flags...)...)
	})
}

// signs lets a program sign an image that was pushed.
func (s *stage) signs(t *testing.T, r release, where string, sign func(image string)) name.Digest {
	t.Helper()
	digest := s.pushed(t, r)
	sign(digest.Name())

	run := s.mreleaseRun(t, r, "release", "--version", "1.0.0", "--progress", "quiet")
	run.env = append(run.env, "MRELEASE_SIGN_LAYOUT="+where)
	_, story := run.run(t)
	if !regexp.MustCompile(`(?m)^✓ sign .*was there already`).MatchString(story) {
		t.Errorf("mrelease did not find cosign's signature:\n%s", story)
	}
	return digest
}

// pushed builds an image, and pushes it as if a release had been interrupted there.
func (s *stage) pushed(t *testing.T, r release) name.Digest {
	t.Helper()
	s.mrelease(t, r, "release", "--version", "1.0.0", "--progress", "quiet", "--dry-run")
	index, err := layout.ImageIndexFromPath(filepath.Join(r.dir, "dist", "image"))
	must(t, err)
	manifest, err := index.IndexManifest()
	must(t, err)
	image, err := index.Image(manifest.Manifests[0].Digest)
	must(t, err)
	tag, err := name.NewTag(s.Registry + "/" + r.name + ":1.0.0")
	must(t, err)
	must(t, remote.Write(tag, image))
	return tag.Digest(manifest.Manifests[0].Digest.String())
}
