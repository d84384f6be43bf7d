package keys_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/keys"
	"github.com/mrelease/mrelease/settings"
)

// A keystore that takes as long as the bounds allow does not make the program deaf.
func TestAttackKeyThatTakesLongIsInterrupted(t *testing.T) {
	for name, kdf := range map[string]string{
		"scrypt": `"kdf":"scrypt","kdfparams":{"n":4096,"r":8,"p":1000,"dklen":32,"salt":"00"}`,
		"pbkdf2": `"kdf":"pbkdf2","kdfparams":{"c":10000000,"prf":"hmac-sha256","dklen":32,"salt":"00"}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "wallet.json")
			text := `{"version":3,"crypto":{"cipher":"aes-128-ctr","ciphertext":"00","cipherparams":{"iv":"` + strings.Repeat("00", 16) + `"},"mac":"00",` + kdf + `}}`
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			ring := keys.Ring{Wallet: settings.Wallet{Keystore: settings.Path(file)}, Getenv: func(name string) string {
				return map[string]string{keys.WalletPassword: "password"}[name]
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := ring.OpenWallet(ctx)
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
				t.Errorf("got %v after %s", err, took)
			}
		})
	}
}
