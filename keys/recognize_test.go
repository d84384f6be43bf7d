package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/keys"
)

func TestRecognize(t *testing.T) {
	dir, digits := t.TempDir(), strings.Repeat("ab", 32)
	for name, c := range map[string]struct{ text, want string }{
		"wallet.json":      {` {"version":3,"crypto":{"ciphertext":"` + digits + `"}}`, "a wallet"},
		"of-iexec.json":    {`{"Crypto":{"ciphertext":"` + digits + `"},"version":3}`, "a wallet"},
		"clear.json":       {`{"privateKey":"0x` + digits + `"}`, "a wallet"},
		"settings.json":    {`{"privateKey":"env://KEY","crypto":{"ciphertext":"aes"}}`, ""},
		"broken.json":      {`{"privateKey":`, ""},
		"list.json":        {`["crypto"]`, ""},
		"signing":          {"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n", "a signing key"},
		"older/cosign.key": {"\n-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n", "a signing key"},
		"cosign.pub":       {"-----BEGIN PUBLIC KEY-----\n", ""},
		"large.json":       {`{"crypto":{"ciphertext":"` + digits + `"},"x":"` + strings.Repeat("x", 64<<10) + `"}`, ""},
		"a/UTC--2026-01-01T00-00-00.0Z--f39fd6e51aad88f6f4ce6ab8827279cfffb92266": {"{}", "a wallet"},
		"UTC--notes--x":                     {"{}", ""},
		".secrets/beneficiary/0xf3_key":     {"x", "a result key"},
		".secrets/beneficiary/0xf3_key.pub": {"x", ""},
		".secrets/.gitkeep":                 {"x", ""},
		".secrets/empty":                    {"", ""},
		".secrets.baseline":                 {"{}", ""},
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := keys.Recognize(file); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if err := os.Symlink("wallet.json", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", ".", "none"} {
		if got := keys.Recognize(filepath.Join(dir, name)); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
