package keys_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/settings"
)

// A trusted root is no key: it may have as many bytes as are promised, and no more.
func TestTrustedRootIsReadWhole(t *testing.T) {
	for size, whole := range map[int]bool{bounds.Key + 1: true, bounds.TrustedRoot: true, bounds.TrustedRoot + 1: false} {
		file := filepath.Join(t.TempDir(), "root.json")
		if err := os.WriteFile(file, append([]byte("{}"), bytes.Repeat([]byte{' '}, size-2)...), 0o600); err != nil {
			t.Fatal(err)
		}
		ring := keys.Ring{Sign: settings.Sign{TrustedRoot: settings.Path(file), Keyless: settings.Keyless{Identity: "i", Issuer: "https://i.example"}}}
		_, err := ring.Checker(t.Context())
		var read *keyless.RootError
		var large *bounds.Error
		if errors.As(err, &read) != whole || errors.As(err, &large) == whole {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
