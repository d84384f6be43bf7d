package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

// A password or a key is no build's secret under another name either.
func TestAttackKeysAsValuesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) settings.Path {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return settings.Path(file)
	}
	s := settings.Defaults()
	s.Sign.Key, s.Enclave.Key = put("cosign.key", "sealed key\n"), "env://ENCLAVE_PEM"
	env := map[string]string{
		settings.WalletPassword: "wallet-password", settings.CosignPassword: "abc", "ENCLAVE_PEM": "-----BEGIN KEY-----",
		"COPY": "wallet-password\n", "PART": "{\"p\": \"wallet-password\"}", "SHORT": "abc", "WORD": "abcdef", "PEM": " -----BEGIN KEY-----\n", "LICENSE": "license",
	}
	for name, c := range map[string]struct {
		secret  settings.Secret
		refused bool
	}{
		"a copy of a variable": {settings.Secret{Env: "COPY"}, true},
		"a part of a variable": {settings.Secret{Env: "PART"}, true},
		"a short password":     {settings.Secret{Env: "SHORT"}, true},
		"a word with it":       {settings.Secret{Env: "WORD"}, false},
		"an enclave's key":     {settings.Secret{Env: "PEM"}, true},
		"a copy of a file":     {settings.Secret{File: put("copy", "sealed key")}, true},
		"an environment":       {settings.Secret{File: put("environ", "A=b\x00MRELEASE_WALLET_PASSWORD=wallet-password\x00")}, true},
		"a license":            {settings.Secret{Env: "LICENSE"}, false},
		"a file":               {settings.Secret{File: put("license", "license")}, false},
	} {
		s.Build.Secrets = map[string]settings.Secret{"a": c.secret}
		_, err := Options{Settings: s, Getenv: environment(env)}.ReadSecrets()
		if (err != nil) != c.refused {
			t.Errorf("%s: %v", name, err)
		}
		var e *settings.Error
		if err != nil && (!strings.Contains(settingsError(t, err, &e), "no build may have it") || strings.Contains(settingsError(t, err, &e), "wallet-password")) {
			t.Errorf("%s: %v", name, e.Problems)
		}
	}
}

func settingsError(t *testing.T, err error, e **settings.Error) string {
	t.Helper()
	var ok bool
	if *e, ok = err.(*settings.Error); !ok {
		t.Fatal(err)
	}
	return (*e).Problems[0].String()
}
