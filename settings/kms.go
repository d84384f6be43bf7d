package settings

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// The services that can have a key, by the scheme of its URI: a wallet's the first two, an
// image's all.
const (
	AWSKMS    = "awskms"
	GCPKMS    = "gcpkms"
	AzureKMS  = "azurekms"
	HashiKMS  = "hashivault"
	imageURIs = "awskms://, gcpkms://, azurekms:// or hashivault://"
)

// KMSKey is a key in a key service, by the URI that cosign has for it too:
//
//	awskms://[HOST]/KEY  KEY is an id, alias/NAME, or the ARN of either; without HOST the service of its region
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V
//
// and, for images, see [ParseImageKey]. The zero value is none.
type KMSKey struct {
	Cloud    string // AWSKMS, GCPKMS, AzureKMS or HashiKMS
	Endpoint string // host of the service, with the port where it has one; empty: the cloud's own
	Key      string // as the service names it
}

// String returns the URI; empty for none.
func (k KMSKey) String() string {
	switch k.Cloud {
	case AWSKMS, AzureKMS:
		return k.Cloud + "://" + k.Endpoint + "/" + k.Key
	case GCPKMS, HashiKMS:
		return k.Cloud + "://" + k.Key
	}
	return ""
}

// IsSet reports whether it is a key.
func (k KMSKey) IsSet() bool { return k != KMSKey{} }

// What the services take. Ids of AWS are UUIDs, or mrk- and 32 hex digits for keys of
// several regions.
const (
	awsName = `(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})`
	awsKey  = `(?:` + awsName + `|alias/[A-Za-z0-9/_-]{1,250}|arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(?:key/` + awsName + `|alias/[A-Za-z0-9/_-]{1,250}))`
	gcpName = `[A-Za-z0-9_-]{1,63}`
	gcpBare = `projects/(?:[a-z0-9.-]+:)?[a-z0-9-]+/locations/[a-z0-9-]+/keyRings/` + gcpName + `/cryptoKeys/` + gcpName
	gcpKey  = gcpBare + `/cryptoKeyVersions/[0-9]+`
	azKey   = `[A-Za-z0-9-]{1,127}(?:/[a-z0-9]{1,64})?`
	hashKey = `[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?`
	azHost  = `(?:[A-Za-z0-9-]{1,63}\.(?:vault|managedhsm)\.(?:azure\.net|azure\.cn|usgovcloudapi\.net)|(?:localhost|127(?:\.[0-9]{1,3}){3})(?::[0-9]{1,5})?)`
	kmsHost = `(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?)?`

	kmsPattern = `^(?:` + AWSKMS + `://` + kmsHost + `/` + awsKey + `|` + GCPKMS + `://` + gcpKey + `)$`
)

// They are compiled when a key is named: the first takes 2 ms, a twentieth of what the
// program takes to start.
var (
	awsURI = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^` + AWSKMS + `://(` + kmsHost + `)/(` + awsKey + `)$`)
	})
	gcpURI = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + GCPKMS + `://(` + gcpKey + `)$`) })
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (k *KMSKey) UnmarshalText(text []byte) error {
	uri := string(text)
	if found := awsURI().FindStringSubmatch(uri); found != nil {
		*k = KMSKey{AWSKMS, found[1], found[2]}
		return nil
	}
	if found := gcpURI().FindStringSubmatch(uri); found != nil {
		*k = KMSKey{Cloud: GCPKMS, Key: found[1]}
		return nil
	}
	cloud, rest, _ := strings.Cut(uri, "://")
	switch {
	case strings.Contains(rest, "@"): // what is before it may be a password
		return errWithUser
	case cloud == AWSKMS:
		return fmt.Errorf("want %s:///KEY or %s://HOST/KEY, KEY an id, alias/NAME or the ARN of either, got %q", AWSKMS, AWSKMS, uri)
	case cloud == GCPKMS:
		return fmt.Errorf("want %s://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V, got %q", GCPKMS, uri)
	}
	return fmt.Errorf("want %s:// or %s:// and a key, got %q", AWSKMS, GCPKMS, uri)
}

// The forms that images' keys have besides.
var (
	gcpImage = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^` + GCPKMS + `://(` + gcpBare + `)(?:/(?:cryptoKeyVersions|versions)/([0-9]+))?$`)
	})
	azureImage = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^` + AzureKMS + `://(` + azHost + `)/(` + azKey + `)$`)
	})
	hashiImage = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + HashiKMS + `://(` + hashKey + `)$`) })
)

// imageSchemes are those of the services that can have an image's key. There are no others,
// and none that names a program.
func imageSchemes() []string { return []string{AWSKMS, GCPKMS, AzureKMS, HashiKMS} }

// ParseImageKey parses the URI of a key that signs images, in cosign's forms: that of a
// wallet's key, and
//
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K  with or without /cryptoKeyVersions/V or /versions/V
//	azurekms://HOST/KEY[/VERSION]                            HOST is below a domain of Azure's vaults, or this machine
//	hashivault://KEY                                         of the transit engine
func ParseImageKey(uri string) (KMSKey, error) {
	cloud, rest, _ := strings.Cut(uri, "://")
	if cloud == AWSKMS {
		var k KMSKey
		err := k.UnmarshalText([]byte(uri))
		return k, err
	}
	if k := imageKey(cloud, uri); k.IsSet() {
		return k, nil
	}
	form, is := map[string]string{
		GCPKMS:   "projects/P/locations/L/keyRings/R/cryptoKeys/K, with or without /cryptoKeyVersions/V",
		AzureKMS: "VAULT.vault.azure.net/KEY (or another domain of Azure's vaults), with or without /VERSION",
		HashiKMS: "KEY, the name of a key of Vault's transit engine",
	}[cloud]
	switch {
	case strings.Contains(rest, "@"): // what is before it may be a password
		return KMSKey{}, errWithUser
	case is:
		return KMSKey{}, fmt.Errorf("want %s://%s, got %q", cloud, form, uri)
	}
	return KMSKey{}, fmt.Errorf("want %s and a key, got %q", imageURIs, uri)
}

// imageKey reads a URI that has the form of its scheme; of another one it is the zero value.
func imageKey(cloud, uri string) (k KMSKey) {
	switch cloud {
	case GCPKMS:
		if found := gcpImage().FindStringSubmatch(uri); found != nil {
			k = KMSKey{Cloud: GCPKMS, Key: found[1]}
			if found[2] != "" {
				k.Key += "/cryptoKeyVersions/" + found[2]
			}
		}
	case AzureKMS:
		if found := azureImage().FindStringSubmatch(uri); found != nil {
			k = KMSKey{AzureKMS, found[1], found[2]}
		}
	case HashiKMS:
		if found := hashiImage().FindStringSubmatch(uri); found != nil {
			k = KMSKey{Cloud: HashiKMS, Key: found[1]}
		}
	}
	return k
}

// errWithUser says that a URI has what a key's has not.
var errWithUser = errors.New("want the URI of a key, without user or password")

// KMS returns the key in a key service that signs images; the zero value where it is in
// none, or is named in a form that is refused.
func (s Sign) KMS() KMSKey {
	if scheme, _, _ := strings.Cut(string(s.Key), "://"); !slices.Contains(imageSchemes(), scheme) {
		return KMSKey{}
	}
	k, err := ParseImageKey(string(s.Key))
	if err != nil {
		return KMSKey{}
	}
	return k
}

// VaultTokenFile is where vault login keeps the token of a user: in the home that the
// environment names. It is empty where it names none.
func VaultTokenFile(getenv func(variable string) string) string {
	home := cmp.Or(getenv("HOME"), getenv("USERPROFILE"))
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".vault-token")
}

// Variables returns the variables of the environment that hold what opens the key service.
func (k KMSKey) Variables() []string {
	switch k.Cloud {
	case AWSKMS:
		return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
	case GCPKMS:
		return []string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
	case AzureKMS:
		return []string{"AZURE_CLIENT_SECRET"}
	case HashiKMS:
		return []string{"VAULT_TOKEN"}
	}
	return nil
}
