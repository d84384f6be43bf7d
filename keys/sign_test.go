package keys_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/settings"
)

// What is named in place of cosign's key is told, and none of it is shown.
func TestNoKeyOfCosign(t *testing.T) {
	const no = "it is no key as cosign writes it"
	for text, want := range map[string]string{
		"": no + ": it is empty", "\n": no + ": it is empty", "secret": no,
		"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n":                   no + ": it is the public half",
		"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n":           no + ": it is another private key",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n": no + ": it is another private key",
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ring := keys.Ring{Sign: settings.Sign{Key: settings.Path(file)}, Getenv: func(string) string { return "" }}
		if _, err := ring.ReadSigningKey(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "AAAA") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
