package settings

import (
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
)

// A Safe is a wallet of its own kind, which needs somebody who pays.
func TestWalletOfASafe(t *testing.T) {
	const account = "0x0000000000000000000000000000000000000005"
	safe, payer := common.HexToAddress(account), Payer{Keystore: "p"}
	for name, c := range map[string]struct {
		files       []string
		environment map[string]string
		want        Wallet
		told        string
	}{
		"a safe":              {[]string{"safe: \"" + account + "\", payer: {keystore: p}"}, nil, Wallet{Safe: safe, Payer: payer}, ""},
		"over a keystore":     {[]string{"keystore: w, payer: {keystore: p}"}, map[string]string{"MRELEASE_WALLET_SAFE": account}, Wallet{Safe: safe, Payer: payer}, ""},
		"under a keystore":    {[]string{"safe: \"" + account + "\", payer: {keystore: p}"}, map[string]string{"MRELEASE_WALLET_KEYSTORE": "w"}, Wallet{Keystore: "w", Payer: payer}, ""},
		"without a payer":     {[]string{"safe: \"" + account + "\""}, nil, Wallet{Safe: safe}, "wallet.payer: is missing"},
		"beside a keystore":   {[]string{"safe: \"" + account + "\", keystore: w, payer: {keystore: p}"}, nil, Wallet{Safe: safe, Keystore: "w", Payer: payer}, "wallet.safe: stands beside"},
		"a payer in two":      {[]string{"safe: \"" + account + "\", payer: {keystore: p, clef: c}"}, nil, Wallet{Safe: safe, Payer: Payer{Keystore: "p", Clef: "c"}}, "wallet.payer.clef: stands beside"},
		"no address":          {[]string{"safe: me, payer: {keystore: p}"}, nil, Wallet{Payer: payer}, "wallet.safe: "},
		"a safe as the payer": {[]string{"keystore: w, payer: {safe: \"" + account + "\"}"}, nil, Wallet{Keystore: "w"}, "safe"},
	} {
		t.Run(name, func(t *testing.T) {
			got, told := wallet(t, c.files, c.environment, nil)
			if got != c.want || !strings.Contains(told, c.told) || (told == "") != (c.told == "") {
				t.Errorf("got %+v, told %q, want %+v, %q", got, told, c.want, c.told)
			}
		})
	}
}

// All that a Safe cannot do is told at once.
func TestWhatASafeCannotDo(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "wallet: {safe: \"0x0000000000000000000000000000000000000005\"}\nproject: p\napp-secret: {env: S}\ncanary: {run: true}\n" +
		"app: {ens: a.eth, groups: [\"0x0000000000000000000000000000000000000006\"]}\norder: {retire: unpublish, overlap: 1h}\n"
	if err := os.WriteFile("a.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Read(Sources{Files: []string{"a.yaml"}, Getenv: func(string) string { return "" }})
	c.checkWallet()
	for _, key := range []string{"wallet.payer", "project", "app-secret", "canary.run", "app.ens", "app.groups", "order.retire", "order.overlap"} {
		if !c.Refused(key) {
			t.Errorf("%s is taken: %v", key, c.Problems)
		}
	}
}
