package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What opens the release's keys is no build's secret.
func TestAttackKeysAsBuildSecrets(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, f := range []string{"cosign.key", "wallet.json", "enclave.pem", "Dockerfile", "other"} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("wallets", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("wallets/UTC--1--a", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "cosign.key", "deep": "wallets/UTC--1--a"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for secret, refused := range map[string]bool{
		"env: MRELEASE_WALLET_PASSWORD": true, "env: MRELEASE_WALLET_KEY": true, "env: COSIGN_PASSWORD": true, "env: ENCLAVE_PEM": true, "env: LICENSE": false,
		"file: cosign.key": true, "file: ./../" + filepath.Base(mustGetwd(t)) + "/cosign.key": true, "file: link": true, "file: wallets/UTC--1--a": true, "file: deep": true, "file: other": false,
	} {
		text := "build: {secrets: {a: {" + secret + "}}}\nsign: {key: cosign.key}\nwallet: {keystore: wallets}\nenclave: {key: \"env://ENCLAVE_PEM\"}\n"
		if err := os.WriteFile("mrelease.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Read(Sources{Files: []string{"mrelease.yaml"}, Getenv: func(string) string { return "" }})
		c.checkBuild()
		if got := strings.Contains(fmt.Sprint(c.Problems), "no build may have it"); got != refused {
			t.Errorf("%s: %v", secret, c.Problems)
		}
	}
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
