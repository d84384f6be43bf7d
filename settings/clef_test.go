package settings

import (
	"os"
	"strings"
	"testing"
)

func TestWalletOfClef(t *testing.T) {
	t.Chdir(t.TempDir())
	const account = `, address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"`
	for wallet, want := range map[string]string{
		"clef: clef.ipc" + account:                      "",
		"clef: \"http://127.0.0.1:8550\"" + account:     "",
		"clef: \"https://clef.example\"" + account:      "",
		"clef: clef.ipc":                                "the account of Clef that signs",
		"clef: clef.ipc, keystore: w" + account:         "stands beside wallet.keystore",
		"clef: clef.ipc, allow-raw-key: true" + account: "stands beside wallet.keystore",
		"clef: \"exec://sign-for-me\"" + account:        "keys of exec are not supported",
		"clef: \"env://CLEF\"" + account:                "keys of env are not supported",
		"clef: \"awskms:///alias/release\"" + account:   "keys of awskms are not supported",
		"keystore: \"http://127.0.0.1:8550\"" + account: "keys of http are not supported",

		"keystore: w, payer: {keystore: p}":                                                                  "",
		"keystore: w, payer: {clef: clef.ipc" + account + "}":                                                "",
		"keystore: w, payer: {allow-raw-key: true}":                                                          "",
		"payer: {keystore: p}":                                                                               "wallet.address",
		"keystore: w, payer: {clef: clef.ipc}":                                                               "the account of Clef that signs",
		"keystore: w, payer: {address: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"}":                      "a keystore file, or a folder of them and wallet.payer.address",
		"keystore: w, payer: {clef: c, keystore: p" + account + "}":                                          "stands beside wallet.payer.keystore",
		"keystore: w, payer: {keystore: \"awskms:///alias/payer\"}":                                          "keys of awskms are not supported",
		"keystore: w, payer: {keystore: p}}\napp: {ens: a.users.iexec.eth":                                   "stands beside wallet.payer",
		"keystore: w, payer: {keystore: p}}\napp: {groups: [\"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]": "stands beside wallet.payer",
		"keystore: w, payer: {kms: \"awskms:///alias/payer\"}":                                               "",
		"keystore: w, payer: {payer: {keystore: p}}":                                                         "unknown key",
	} {
		if err := os.WriteFile("mrelease.yaml", []byte("wallet: {"+wallet+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c := Read(Sources{Files: []string{"mrelease.yaml"}, Getenv: func(string) string { return "" }})
		c.checkKeyPlaces()
		c.checkWallet()
		var told []string
		for _, p := range c.Problems {
			told = append(told, p.Text)
		}
		if text := strings.Join(told, "\n"); (text == "") != (want == "") || !strings.Contains(text, want) {
			t.Errorf("%s: told %q, want %q", wallet, text, want)
		}
	}
}
