package source

import (
	"errors"
	"fmt"
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

// A key of the release that would be sent to the builder is refused, in whichever context it
// is, and however it is named; one that is not, and what only looks like one, is not.
func TestAttackKeysInTheContext(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"app/cosign.key", "app/other.key", "app/keystore/UTC--1", "app/left-out/cosign.key", "app/others/nested/UTC--1", "named/enclave.pem", "named/left-out.pem", "keys/cosign.key"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(`{"Crypto": {}}`), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{"app/.dockerignore": "left-out\n", "named/.dockerignore": "left-out.pem\n", "app/others/package.json": "{}"} {
		if err := os.WriteFile(at(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"keys/linked.key": "app/cosign.key", "app/linked.key": "keys/cosign.key", "here": "app", "keys/nowhere": "app/nothing"} {
		if err := os.Symlink(at(to), at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		set  func(*settings.Settings, settings.Path)
		file string
		seen string // the key of the configuration; empty when nothing is refused
	}{
		"the key that signs":               {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "app/cosign.key", "sign.key"},
		"a link to it from elsewhere":      {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "keys/linked.key", "sign.key"},
		"by a folder that is a link":       {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "here/cosign.key", "sign.key"},
		"a link in the context":            {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "app/linked.key", "sign.key"},
		"one that is left out":             {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "app/left-out/cosign.key", ""},
		"one elsewhere":                    {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "keys/cosign.key", ""},
		"one that is not there":            {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "app/missing.key", ""},
		"a link to nothing":                {func(s *settings.Settings, p settings.Path) { s.Sign.Key = p }, "keys/nowhere", ""},
		"the enclave's, in a named one":    {func(s *settings.Settings, p settings.Path) { s.Enclave.Key = p }, "named/enclave.pem", "enclave.key"},
		"left out of a named one":          {func(s *settings.Settings, p settings.Path) { s.Enclave.Key = p }, "named/left-out.pem", ""},
		"a folder of wallets":              {func(s *settings.Settings, p settings.Path) { s.Wallet.Keystore = p }, "app/keystore", "wallet.keystore"},
		"a wallet":                         {func(s *settings.Settings, p settings.Path) { s.Wallet.Keystore = p }, "app/keystore/UTC--1", "wallet.keystore"},
		"a folder without wallets":         {func(s *settings.Settings, p settings.Path) { s.Wallet.Keystore = p }, "app/others", ""},
		"the app's secret, in a named one": {func(s *settings.Settings, p settings.Path) { s.Secret.File = p }, "named/enclave.pem", "app-secret.file"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings.Defaults()
			s.Build.Context, s.Build.Contexts = settings.Path(at("app")), map[string]string{"more": at("named")}
			c.set(&s, settings.Path(at(c.file)))
			_, err := Options{Settings: s, Getenv: environment(nil)}.ReadSecrets()
			if (err != nil) != (c.seen != "") {
				t.Fatalf("%v, want it refused: %t", err, c.seen != "")
			}
			var e *settings.Error
			if err != nil {
				if text := settingsError(t, err, &e); len(e.Problems) != 1 || !strings.Contains(text, c.seen+": ") {
					t.Errorf("%s, want it of %s", text, c.seen)
				}
			}
		})
	}
}

// Every key is told at once, each with the ignore file that counts: the Dockerfile's own, where
// there is one, and that of a named context.
func TestKeysInTheContextAreToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	names := []string{"app/gha-creds-1.json", "elsewhere/token", "app/cosign.key", "named/enclave.pem", "app/.dockerignore", "app/Dockerfile.dockerignore"}
	for i := range maxTold + 2 {
		names = append(names, fmt.Sprintf("app/keys/UTC--%02d", i))
	}
	for _, name := range names {
		text := `{"crypto": {}}`
		if filepath.Base(name) == ".dockerignore" {
			text = "*" // which does not count
		} else if strings.HasSuffix(name, "ignore") {
			text = "keys/UTC--00"
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s := settings.Defaults()
	s.Build.Context, s.Build.Contexts = settings.Path(at("app")), map[string]string{"more": at("named")}
	s.Sign.Key, s.Enclave.Key, s.Wallet.Keystore = settings.Path(at("app/cosign.key")), settings.Path(at("named/enclave.pem")), settings.Path(at("app/keys"))
	cloud := map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": at("app/gha-creds-1.json"), "GOOGLE_GHA_CREDS_PATH": at("app/gha-creds-1.json"), "AWS_WEB_IDENTITY_TOKEN_FILE": at("elsewhere/token")}
	_, err := Options{Settings: s, Getenv: environment(cloud)}.ReadSecrets()
	var e *settings.Error
	if !errors.As(err, &e) || len(e.Problems) != 2+maxTold+1+1 {
		t.Fatalf("%v", err)
	}
	for i, want := range map[int]string{
		0: "app/cosign.key is in the build context, and so may be in the image: name it in " + at("app/Dockerfile.dockerignore"),
		1: "named/enclave.pem is in the build context, and so may be in the image: name it in " + at("named/.dockerignore"),
		2: "app/keys/UTC--01 is in the build context", 2 + maxTold: "1 more in " + at("app/keys"),
		3 + maxTold: "app/gha-creds-1.json is in the build context",
	} {
		if got := filepath.ToSlash(e.Problems[i].Text); !strings.Contains(got, filepath.ToSlash(want)) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	// A home where the source is: a token that is not there is no problem, one that is there is.
	s.Sign.Key, s.Enclave.Key, s.Wallet.Keystore = "", "", ""
	home := Options{Settings: s, Getenv: environment(map[string]string{"HOME": at("app")})}
	if _, err := home.ReadSecrets(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(at("app/.vault-token"), []byte("a token"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := home.ReadSecrets(); !errors.As(err, &e) || len(e.Problems) != 1 || !strings.Contains(e.Problems[0].Text, ".vault-token is in the build context") {
		t.Errorf("Vault's token: %v", err)
	}
}
