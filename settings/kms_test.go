package settings

import (
	"strings"
	"testing"
)

const (
	awsUUID   = "1234abcd-12ab-34cd-56ef-1234567890ab"
	awsARN    = "arn:aws:kms:eu-west-3:111122223333:"
	googleKey = "projects/acme-1/locations/europe-west9/keyRings/r/cryptoKeys/release/cryptoKeyVersions/1"
)

func TestKMSKey(t *testing.T) {
	for uri, want := range map[string]KMSKey{
		"awskms:///" + awsUUID:                                                    {AWSKMS, "", awsUUID},
		"awskms:///mrk-1234abcd12ab34cd56ef1234567890ab":                          {AWSKMS, "", "mrk-1234abcd12ab34cd56ef1234567890ab"},
		"awskms:///alias/team/release_1-a":                                        {AWSKMS, "", "alias/team/release_1-a"},
		"awskms:///" + awsARN + "key/" + awsUUID:                                  {AWSKMS, "", awsARN + "key/" + awsUUID},
		"awskms:///arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/a":         {AWSKMS, "", "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/a"},
		"awskms://127.0.0.1:4566/" + awsARN + "alias/a":                           {AWSKMS, "127.0.0.1:4566", awsARN + "alias/a"},
		"awskms://kms.eu-west-3.amazonaws.com/alias/a":                            {AWSKMS, "kms.eu-west-3.amazonaws.com", "alias/a"},
		"gcpkms://" + googleKey:                                                   {GCPKMS, "", googleKey},
		"gcpkms://" + strings.Replace(googleKey, "acme-1", "example.com:acme", 1): {GCPKMS, "", strings.Replace(googleKey, "acme-1", "example.com:acme", 1)},
	} {
		var got KMSKey
		if err := got.UnmarshalText([]byte(uri)); err != nil || got != want || got.String() != uri {
			t.Errorf("%s: %+v, %q, %v", uri, got, got, err)
		}
	}
	for uri, want := range map[string]string{
		"":                                         "want awskms:// or gcpkms://",
		"awskms://alias/a":                         "awskms:///KEY",
		"awskms:///arn:aws:s3:::bucket":            "awskms:///KEY",
		"awskms:///alias/a?x=y":                    "awskms:///KEY",
		"awskms:///alias/a\n":                      "awskms:///KEY",
		"awskms://user:secret@host/alias/a":        "without user or password",
		"gcpkms://" + googleKey + "/":              "gcpkms://projects/P",
		"gcpkms://" + googleKey[:len(googleKey)-2]: "gcpkms://projects/P",
		"gcpkms://x/../" + googleKey:               "gcpkms://projects/P",
		"azurekms://vault.azure.net/key":           "want awskms:// or gcpkms://",
		"hashivault://key":                         "want awskms:// or gcpkms://",
		"sigstore-kms-x://key":                     "want awskms:// or gcpkms://",
		"wallet.json":                              "want awskms:// or gcpkms://",
	} {
		got := KMSKey{Cloud: "as it was"}
		if err := got.UnmarshalText([]byte(uri)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || got.Cloud != "as it was" {
			t.Errorf("%q: %+v, %v, want an error with %q", uri, got, err, want)
		}
	}
}

func TestParseImageKey(t *testing.T) {
	bare, _, _ := strings.Cut(googleKey, "/cryptoKeyVersions/")
	for uri, want := range map[string]KMSKey{
		"awskms://127.0.0.1:4566/alias/a":                  {AWSKMS, "127.0.0.1:4566", "alias/a"},
		"awskms:///" + awsARN + "key/" + awsUUID:           {AWSKMS, "", awsARN + "key/" + awsUUID},
		"gcpkms://" + googleKey:                            {GCPKMS, "", googleKey},
		"gcpkms://" + bare:                                 {GCPKMS, "", bare},
		"gcpkms://" + bare + "/versions/12":                {GCPKMS, "", bare + "/cryptoKeyVersions/12"},
		"azurekms://acme.vault.azure.net/release":          {AzureKMS, "acme.vault.azure.net", "release"},
		"azurekms://acme.vault.azure.net/release/0123abcd": {AzureKMS, "acme.vault.azure.net", "release/0123abcd"},
		"azurekms://acme.managedhsm.usgovcloudapi.net/r-1": {AzureKMS, "acme.managedhsm.usgovcloudapi.net", "r-1"},
		"azurekms://acme.vault.azure.cn/release":           {AzureKMS, "acme.vault.azure.cn", "release"},
		"azurekms://127.0.0.1:8443/release":                {AzureKMS, "127.0.0.1:8443", "release"},
		"hashivault://release":                             {HashiKMS, "", "release"},
		"hashivault://team_a.release-1":                    {HashiKMS, "", "team_a.release-1"},
	} {
		got, err := ParseImageKey(uri)
		if err != nil || got != want || got.String() != strings.Replace(uri, "/versions/", "/cryptoKeyVersions/", 1) {
			t.Errorf("%s: %+v, %q, %v", uri, got, got, err)
		}
		if got := (Sign{Key: Path(uri)}).KMS(); got != want {
			t.Errorf("%s: sign.key is %+v", uri, got)
		}
	}
	for uri, want := range map[string]string{
		"":                                "want awskms://, gcpkms://, azurekms:// or hashivault://",
		"cosign.key":                      "want awskms://",
		"AWSKMS:///alias/a":               "want awskms://",
		"k8s://namespace/name":            "want awskms://",
		"sigstore-kms-x://key":            "want awskms://",
		"openbao://release":               "want awskms://",
		"awskms://alias/a":                "awskms:///KEY",
		"awskms://u:secret@h/a":           "without user or password",
		"gcpkms://" + bare + "/":          "gcpkms://projects/P",
		"gcpkms://" + bare + "/x/1":       "gcpkms://projects/P",
		"azurekms://acme.vault.azure.net": "azurekms://VAULT",
		"azurekms://acme/release":         "azurekms://VAULT",
		"azurekms://acme.vault.azure.net.example.com/release": "azurekms://VAULT",
		"azurekms://vault.azure.net/release":                  "azurekms://VAULT",
		"azurekms://acme.vault.azure.net:444/release":         "azurekms://VAULT",
		"azurekms://acme.vault.azure.net/release/..":          "azurekms://VAULT",
		"azurekms://127.0.0.1.example.com/release":            "azurekms://VAULT",
		"azurekms://u:secret@acme.vault.azure.net/release":    "without user or password",
		"hashivault://":          "hashivault://KEY",
		"hashivault://a/b":       "hashivault://KEY",
		"hashivault://..":        "hashivault://KEY",
		"hashivault://release\n": "hashivault://KEY",
	} {
		if got, err := ParseImageKey(uri); err == nil || got.IsSet() || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, %v, want an error with %q", uri, got, err, want)
		}
		if got := (Sign{Key: Path(uri)}).KMS(); got.IsSet() {
			t.Errorf("%q: sign.key is %+v", uri, got)
		}
	}
}

// What is taken for a key's URI has one form, and no part of it leads elsewhere.
func FuzzParseImageKey(f *testing.F) {
	for _, uri := range []string{"awskms://127.0.0.1:4566/alias/a", "gcpkms://" + googleKey, "azurekms://acme.vault.azure.net/release/0123", "hashivault://release"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		k, err := ParseImageKey(uri)
		if err != nil {
			if k.IsSet() {
				t.Errorf("%q: %+v beside %v", uri, k, err)
			}
			return
		}
		again, err := ParseImageKey(k.String())
		if err != nil || again != k {
			t.Errorf("%q is %+v, and %q is %+v, %v", uri, k, k, again, err)
		}
		if strings.ContainsAny(k.String(), "@?#%\\ \n\x00") || strings.Contains(k.String(), "/../") {
			t.Errorf("%q was taken", uri)
		}
	})
}

// A key that is in no service that is taken is refused by name, with those that are.
func TestSignKeyPlaces(t *testing.T) {
	for key, want := range map[string]string{
		"hashivault://release":              "",
		"azurekms://acme.vault.azure.net/k": "",
		"k8s://a/b":                         "keys of k8s are not supported: want a cosign key file, env://VARIABLE with its text, or the URI of a key: awskms://, gcpkms://, azurekms:// or hashivault://",
		"sigstore-kms-evil://x":             "keys of sigstore-kms-evil are not supported",
		"pkcs11:token=a":                    "keys of pkcs11 are not supported",
		"https://acme:hunter2@example.com":  "keys of https are not supported",
		"pkcs11:token=a?pin-value=hunter2":  "keys of pkcs11 are not supported",
		"azurekms://evil.example.com/k":     "want azurekms://VAULT.vault.azure.net/KEY",
		"awskms://user:hunter2@kms/alias/a": "without user or password",
	} {
		c := Read(Sources{Getenv: func(name string) string { return map[string]string{"MRELEASE_SIGN_KEY": key}[name] }})
		c.checkKeyPlaces()
		text := ""
		for _, p := range c.Problems {
			text += p.Where + ": " + p.Text
		}
		if (want == "") != (text == "") || !strings.Contains(text, want) || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %q, want %q", key, text, want)
		}
	}
}
