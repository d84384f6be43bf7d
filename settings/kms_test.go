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
