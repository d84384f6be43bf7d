package settings

import (
	"os"
	"strings"
	"testing"
)

// wallet reads a wallet from files, which come one after the other, environment and flag,
// and returns it with what is told against it.
func wallet(t *testing.T, files []string, environment, flags map[string]string) (Wallet, string) {
	t.Helper()
	t.Chdir(t.TempDir())
	from := Sources{Getenv: func(name string) string { return environment[name] }, Flags: flags}
	for i, text := range files {
		name := string(rune('a'+i)) + ".yaml"
		if err := os.WriteFile(name, []byte("wallet: {"+text+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		from.Files = append(from.Files, name)
	}
	c := Read(from)
	c.checkKeyPlaces()
	c.checkWallet()
	var told []string
	for _, p := range c.Problems {
		told = append(told, p.String())
	}
	return c.Settings.Wallet, strings.Join(told, "\n")
}

// A wallet of one kind takes the place of one of another kind that was named before; two of
// one source are a mistake.
func TestWalletOfAnotherKind(t *testing.T) {
	type environment = map[string]string
	const uri, account = "awskms:///alias/a", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
	clef, key := environment{"MRELEASE_WALLET_CLEF": "c", "MRELEASE_WALLET_ADDRESS": account}, KMSKey{Cloud: AWSKMS, Key: "alias/a"}
	for name, c := range map[string]struct {
		files              []string
		environment, flags environment
		want               Wallet
		told               string
	}{
		"keystore":              {[]string{"keystore: w"}, nil, nil, Wallet{Keystore: "w"}, ""},
		"kms":                   {[]string{"kms: \"" + uri + "\""}, nil, nil, Wallet{KMS: key}, ""},
		"clef over keystore":    {[]string{"keystore: w"}, clef, nil, Wallet{Clef: "c"}, ""},
		"clef over kms":         {[]string{"kms: \"" + uri + "\""}, clef, nil, Wallet{Clef: "c"}, ""},
		"clef over raw key":     {[]string{"keystore: w, allow-raw-key: true"}, clef, nil, Wallet{Clef: "c"}, ""},
		"kms over keystore":     {[]string{"keystore: w"}, environment{"MRELEASE_WALLET_KMS": uri}, nil, Wallet{KMS: key}, ""},
		"kms over clef":         {[]string{"clef: c"}, environment{"MRELEASE_WALLET_KMS": uri}, nil, Wallet{KMS: key}, ""},
		"keystore over kms":     {[]string{"kms: \"" + uri + "\""}, environment{"MRELEASE_WALLET_KEYSTORE": "w"}, nil, Wallet{Keystore: "w"}, ""},
		"raw key over kms":      {[]string{"kms: \"" + uri + "\""}, environment{"MRELEASE_WALLET_ALLOW_RAW_KEY": "true"}, nil, Wallet{AllowRawKey: true}, ""},
		"raw key beside":        {[]string{"keystore: w"}, environment{"MRELEASE_WALLET_ALLOW_RAW_KEY": "true"}, nil, Wallet{Keystore: "w", AllowRawKey: true}, ""},
		"no raw key":            {[]string{"keystore: w, allow-raw-key: true"}, environment{"MRELEASE_WALLET_ALLOW_RAW_KEY": "false"}, nil, Wallet{Keystore: "w"}, ""},
		"no raw key beside kms": {[]string{"kms: \"" + uri + "\""}, environment{"MRELEASE_WALLET_ALLOW_RAW_KEY": "false"}, nil, Wallet{KMS: key}, ""},
		"a later file":          {[]string{"keystore: w", "kms: \"" + uri + "\""}, nil, nil, Wallet{KMS: key}, ""},
		"a flag":                {[]string{"clef: c"}, environment{"MRELEASE_WALLET_KMS": uri}, environment{"wallet.keystore": "w"}, Wallet{Keystore: "w"}, ""},
		"in place of a mistake": {[]string{"kms: nonsense"}, environment{"MRELEASE_WALLET_KEYSTORE": "w"}, nil, Wallet{Keystore: "w"}, ""},
		"two in a file":         {[]string{"keystore: w, kms: \"" + uri + "\""}, nil, nil, Wallet{Keystore: "w", KMS: key}, "a.yaml:1:28: wallet.kms: stands beside"},
		"two in the environment": {nil, environment{"MRELEASE_WALLET_KMS": uri, "MRELEASE_WALLET_CLEF": "c", "MRELEASE_WALLET_ADDRESS": account}, nil, Wallet{Clef: "c", KMS: key},
			"environment MRELEASE_WALLET_KMS: wallet.kms: stands beside"},
		"a mistake over a file":       {[]string{"keystore: w"}, environment{"MRELEASE_WALLET_KMS": "azurekms://v/k"}, nil, Wallet{Keystore: "w"}, "environment MRELEASE_WALLET_KMS: wallet.kms: want awskms:// or gcpkms://"},
		"kms over a payer's keystore": {[]string{"keystore: w, payer: {keystore: p}"}, environment{"MRELEASE_WALLET_PAYER_KMS": uri}, nil, Wallet{Keystore: "w", Payer: Payer{KMS: key}}, ""},
		"a payer over nothing":        {[]string{"keystore: w"}, environment{"MRELEASE_WALLET_PAYER_KEYSTORE": "p"}, nil, Wallet{Keystore: "w", Payer: Payer{Keystore: "p"}}, ""},
		"two of a payer":              {[]string{"keystore: w, payer: {keystore: p, kms: \"" + uri + "\"}"}, nil, nil, Wallet{Keystore: "w", Payer: Payer{Keystore: "p", KMS: key}}, "wallet.payer.kms: stands beside"},
		"in the wrong place":          {[]string{"keystore: \"" + uri + "\""}, nil, nil, Wallet{Keystore: uri}, "wallet.kms takes them"},
	} {
		t.Run(name, func(t *testing.T) {
			got, told := wallet(t, c.files, c.environment, c.flags)
			c.want.Address = got.Address
			if got != c.want || !strings.Contains(told, c.told) || (told == "") != (c.told == "") {
				t.Errorf("got %+v, told %q, want %+v, %q", got, told, c.want, c.told)
			}
		})
	}
}
