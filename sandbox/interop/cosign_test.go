//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func (s *stage) cosign(t *testing.T, fails bool, args ...string) string {
	t.Helper()
	stdout, stderr := s.run(t, program{
		name: filepath.Join(s.bin, "cosign"), args: args, fails: fails,
		env: []string{"COSIGN_PASSWORD=" + cosignPassword},
	})
	return stdout + stderr
}

// cosign's own program verifies what mrelease signed, and the other way round.
func TestCosign(t *testing.T) {
	s := newStage(t)
	// Without these two files cosign would ask for the public instance's.
	must(t, os.WriteFile(filepath.Join(s.dir, "root.json"), []byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`), 0o644))
	must(t, os.WriteFile(filepath.Join(s.dir, "config.json"), []byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json"}`), 0o644))
	verify := []string{"verify", "--insecure-ignore-tlog", "--trusted-root", "root.json", "--new-bundle-format", "--key"}
	iexec := newCLI(t, s, 9, s.V6)

	ours := release{name: "ours", chain: s.V6, enclave: "format: legacy", tag: "tee", keystore: iexec.dir}
	rec := s.release(t, ours)
	image := strings.TrimSuffix(rec.Image.Reference, ":1.0.0") + "@" + rec.Image.Digest.String()
	if out := s.cosign(t, false, append(verify, "cosign.pub", image)...); !strings.Contains(out, rec.Image.Digest.String()) {
		t.Errorf("cosign verified something else: %s", out)
	}
	public, err := os.ReadFile(filepath.Join(s.dir, "cosign.pub"))
	must(t, err)
	if rec.Image.PublicKey != string(public) {
		t.Errorf("the record's key is\n%s, cosign's is\n%s", rec.Image.PublicKey, public)
	}
	s.cosign(t, false, "generate-key-pair", "--output-key-prefix", "other")
	s.cosign(t, true, append(verify, "other.pub", image)...)

	// An image that cosign signed is signed: mrelease adds nothing.
	theirs := ours
	theirs.name = "theirs"
	theirs.enclave = "format: legacy, timeout: 59s"
	s.mrelease(t, theirs, "release", "--version", "1.0.0", "--progress", "quiet", "--dry-run")
	pushed := s.push(t, theirs)
	s.cosign(t, false, "sign", "--yes", "--key", "cosign.key", "--new-bundle-format", "--signing-config", "config.json", "--trusted-root", "root.json", pushed)
	_, story := s.mrelease(t, theirs, "release", "--version", "1.0.0", "--progress", "quiet")
	if !strings.Contains(story, "sign ") || !strings.Contains(line(story, "✓ sign"), "was there already") {
		t.Errorf("mrelease did not find cosign's signature:\n%s", story)
	}
}

func line(text, prefix string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, prefix) {
			return l
		}
	}
	return ""
}
