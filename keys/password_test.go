package keys

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/settings"
)

// cosignKey is one that cosign made; its password is "cosign".
const cosignKey = "../cmd/mrelease/testdata/keys/cosign.key"

// A password that does not fit is told as that, with its variable and the key's place,
// wherever the key is; what it is, or any of the key, is not.
func TestPasswordsThatDoNotFit(t *testing.T) {
	pem, err := os.ReadFile(cosignKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ where, password, want string }{
		{cosignKey, "cosign", ""},
		{"env://KEY", "cosign", ""},
		{cosignKey, "guess-4d1c", "the password in COSIGN_PASSWORD does not fit the key"},
		{"env://KEY", "guess-4d1c", "the password in COSIGN_PASSWORD does not fit the key"},
		{cosignKey, "cosign\n", "(it begins or ends with white space)"},
		{cosignKey, "", "COSIGN_PASSWORD is not set"},
	} {
		r := Ring{Sign: settings.Sign{Key: settings.Path(tt.where)}, Getenv: func(name string) string {
			return map[string]string{"KEY": string(pem), CosignPassword: tt.password}[name]
		}}
		_, err := r.OpenSigningKey(t.Context())
		var wrong *PasswordError
		var key *Error
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s with %q: %v", tt.where, tt.password, err)
			}
			continue
		}
		if !errors.As(err, &wrong) || !errors.As(err, &key) || key.Where != tt.where || wrong.Variable != CosignPassword || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "guess") {
			t.Errorf("%s with %q: %v, want %q", tt.where, tt.password, err, tt.want)
		}
	}
	path, _ := writeKeystore(t, "")
	for given, want := range map[string]string{"guess-4d1c": "does not fit the key", " " + password: "white space", "": "MRELEASE_WALLET_PASSWORD is not set"} {
		r := ring(path, common.Address{})
		r.Getenv = func(name string) string { return map[string]string{WalletPassword: given}[name] }
		_, err := r.OpenWallet(t.Context())
		var wrong *PasswordError
		var wallet *node.WalletError
		if !errors.As(err, &wrong) || !errors.As(err, &wallet) || wallet.Where != path || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "guess") {
			t.Errorf("wallet with %q: %v, want %q", given, err, want)
		}
	}
}

// A key that is damaged is not told as a wrong password.
func TestDamagedKeyIsNoWrongPassword(t *testing.T) {
	r := Ring{Sign: settings.Sign{Key: "env://KEY"}, Getenv: func(name string) string {
		return map[string]string{"KEY": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\ne30=\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n", CosignPassword: "cosign"}[name]
	}}
	_, err := r.OpenSigningKey(t.Context())
	var wrong *PasswordError
	if err == nil || errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
}
