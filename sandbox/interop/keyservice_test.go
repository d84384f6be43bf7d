//go:build interop

package interop

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/sandbox/keyservice"
)

// cosign's own program has the same key by the same URI, with its own client of Vault. It
// verifies what mrelease signed, in both layouts, with the public half that it was given there,
// and mrelease takes what it signed.
func TestCosignVault(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.writeNowhere(t)
	key, err := keyservice.NewP256()
	must(t, err)
	const token, uri = "hvs.interop", "hashivault://release"
	vault := httptest.NewServer(&keyservice.Vault{Token: token, Mount: "transit", Keys: map[string]*keyservice.Key{"release": key}})
	t.Cleanup(vault.Close)
	s.keyIn = []string{"VAULT_ADDR=" + vault.URL, "VAULT_TOKEN=" + token, "MRELEASE_SIGN_KEY=" + uri, "COSIGN_PASSWORD="}
	public, _ := s.cosignRun([]string{"public-key", "--key", uri}).run(t)
	must(t, os.WriteFile(filepath.Join(s.dir, "vault.pub"), []byte(public), 0o644))
	ours := release{name: "ours", chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 1, dir: t.TempDir()}
	writeWallet(t, ours.dir, ours.owner)

	rec := s.release(t, ours)
	if rec.Image.PublicKey != public {
		t.Errorf("the record's key is\n%s, cosign's is\n%s", rec.Image.PublicKey, public)
	}
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	image := tag.Digest(rec.Image.Digest.String()).Name()
	if said := s.cosign(t, "verify", "--insecure-ignore-tlog", "--trusted-root", "root.json", "--new-bundle-format", image, "--key", "vault.pub"); !strings.Contains(said, rec.Image.Digest.String()) {
		t.Errorf("cosign verified something else: %s", said)
	}
	s.cosign(t, "verify-attestation", "--insecure-ignore-tlog", "--trusted-root", "root.json", "--new-bundle-format", "--type", "slsaprovenance1", image, "--key", "vault.pub")

	older := ours
	older.name = "ours-older"
	run := s.mreleaseRun(t, older, "release", "--version", "1.0.0", "--progress", "quiet")
	run.env = append(run.env, "MRELEASE_SIGN_LAYOUT=tags")
	run.run(t)
	s.cosign(t, "verify", "--insecure-ignore-tlog", s.Registry+"/ours-older:1.0.0", "--key", "vault.pub")

	theirs := ours
	theirs.name = "theirs"
	s.signs(t, theirs, "referrers", func(image string) {
		s.cosign(t, "sign", "--yes", "--key", uri, "--new-bundle-format", "--signing-config", "signing.json", "--trusted-root", "root.json", image)
	})
}
