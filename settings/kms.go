package settings

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// The clouds whose key services can have a wallet's key, by the scheme of its URI.
const (
	AWSKMS = "awskms"
	GCPKMS = "gcpkms"
)

// KMSKey is a key in a cloud's key service, by the URI that cosign has for it too:
//
//	awskms://[HOST]/KEY  KEY is an id, alias/NAME, or the ARN of either; without HOST the service of its region
//	gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V
//
// The zero value is none.
type KMSKey struct {
	Cloud    string // AWSKMS or GCPKMS
	Endpoint string // host of the service, with the port where it has one; empty: the cloud's own
	Key      string // as the service names it
}

// String returns the URI; empty for none.
func (k KMSKey) String() string {
	switch k.Cloud {
	case AWSKMS:
		return AWSKMS + "://" + k.Endpoint + "/" + k.Key
	case GCPKMS:
		return GCPKMS + "://" + k.Key
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
	gcpKey  = `projects/(?:[a-z0-9.-]+:)?[a-z0-9-]+/locations/[a-z0-9-]+/keyRings/` + gcpName + `/cryptoKeys/` + gcpName + `/cryptoKeyVersions/[0-9]+`
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
		return fmt.Errorf("want the URI of a key, without user or password")
	case cloud == AWSKMS:
		return fmt.Errorf("want %s:///KEY or %s://HOST/KEY, KEY an id, alias/NAME or the ARN of either, got %q", AWSKMS, AWSKMS, uri)
	case cloud == GCPKMS:
		return fmt.Errorf("want %s://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V, got %q", GCPKMS, uri)
	}
	return fmt.Errorf("want %s:// or %s:// and a key, got %q", AWSKMS, GCPKMS, uri)
}

// Variables returns the variables of the environment that hold what opens the cloud's key
// service.
func (k KMSKey) Variables() []string {
	switch k.Cloud {
	case AWSKMS:
		return []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
	case GCPKMS:
		return []string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN"}
	}
	return nil
}
