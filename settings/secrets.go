package settings

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The environment variables that hold what opens the keys.
const (
	WalletPassword = "MRELEASE_WALLET_PASSWORD"
	WalletKey      = "MRELEASE_WALLET_KEY"
	PayerPassword  = "MRELEASE_WALLET_PAYER_PASSWORD"
	PayerKey       = "MRELEASE_WALLET_PAYER_KEY"
	CosignPassword = "COSIGN_PASSWORD" // cosign's own name
)

// keyPlace matches where cosign and others find keys by a scheme: awskms://,
// gitlab://, pkcs11:token=…
var keyPlace = regexp.MustCompile(`^(?:([A-Za-z][A-Za-z0-9+.-]*)://|(pkcs11|openpgp4fpr):)`)

// checkKeyPlaces refuses keys that are in none of the places where they can be read.
func (c *Checker) checkKeyPlaces() {
	for _, k := range []struct {
		key, want string
		where     Path
	}{
		{"sign.key", "a cosign key file, env://VARIABLE with its text, or the URI of a key: " + imageURIs, c.Settings.Sign.Key},
		{"sign.public-key", "a file", c.Settings.Sign.PublicKey},
		{"enclave.key", "a key file, or env://VARIABLE with its text", c.Settings.Enclave.Key},
		{"wallet.keystore", "a keystore file, or a folder of them", c.Settings.Wallet.Keystore},
		{"wallet.clef", "the path of Clef's socket, or its http:// or https:// URL", c.Settings.Wallet.Clef},
		{"wallet.payer.keystore", "a keystore file, or a folder of them", c.Settings.Wallet.Payer.Keystore},
		{"wallet.payer.clef", "the path of Clef's socket, or its http:// or https:// URL", c.Settings.Wallet.Payer.Clef},
	} {
		found := keyPlace.FindStringSubmatch(string(k.where))
		if found == nil {
			continue
		}
		scheme := cmp.Or(found[1], found[2])
		switch {
		case k.key == "sign.key" && slices.Contains(imageSchemes(), scheme):
			if _, err := ParseImageKey(string(k.where)); err != nil {
				c.Complain(k.key, "%v", err)
			}
		case !slices.Contains(schemesOf(k.key), scheme):
			// Without the rest, where a password or a PIN may be.
			c.Complain(k.key, "keys of %s are not supported%s: want %s", scheme, elsewhere(k.key, scheme), k.want)
		}
	}
}

// schemesOf are the schemes that a key may begin with, beside none: there are no others, and
// none that names a program.
func schemesOf(key string) []string {
	switch key {
	case "wallet.keystore", "wallet.payer.keystore", "sign.public-key":
		return nil
	case "wallet.clef", "wallet.payer.clef":
		return []string{"http", "https"}
	}
	return []string{"env"}
}

// elsewhere says of a cloud's keys where they are taken.
func elsewhere(key, scheme string) string {
	if strings.HasPrefix(key, "wallet.") && (scheme == AWSKMS || scheme == GCPKMS) {
		return " here (wallet.kms takes them)"
	}
	return ""
}

// KeyVariables returns the environment variables that no build may have: those of
// passwords, of keys, and of the secrets of this app and of all others of its configuration.
func (s Settings) KeyVariables() []string {
	names := s.ownKeyVariables()
	for _, other := range s.Apps.others {
		names = append(names, other.ownKeyVariables()...)
	}
	return names
}

func (s Settings) ownKeyVariables() []string {
	names := slices.Concat([]string{WalletPassword, WalletKey, PayerPassword, PayerKey, CosignPassword}, s.Wallet.KMS.Variables(), s.Wallet.Payer.KMS.Variables(), s.Sign.KMS().Variables())
	for _, where := range []Path{s.Sign.Key, s.Enclave.Key} {
		if name, ok := strings.CutPrefix(string(where), "env://"); ok {
			names = append(names, name)
		}
	}
	if s.Secret.Env != "" {
		names = append(names, s.Secret.Env)
	}
	if s.Sign.IsKeyless() {
		names = append(names, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SIGSTORE_ID_TOKEN")
		if name, ok := strings.CutPrefix(s.Sign.Keyless.Token, "env://"); ok {
			names = append(names, name)
		}
	}
	return names
}

// SecretVariables returns the variables of the environment that hold secrets: those of
// the keys, and of the build.
func (s Settings) SecretVariables() []string {
	names := s.KeyVariables()
	for _, secret := range s.Build.Secrets {
		if secret.Env != "" {
			names = append(names, secret.Env)
		}
	}
	return names
}

// SecretVariables returns those of [Settings.SecretVariables] of all apps.
func (c *Checker) SecretVariables() []string {
	names := c.Settings.SecretVariables()
	for _, app := range c.everyApp {
		names = append(names, app.Settings.SecretVariables()...)
	}
	return names
}

// KeyFile is a file that no build may have, or a folder of such files, and what names it.
type KeyFile struct {
	Named string // a key of mrelease.yaml, as in "enclave.key"
	Path  string
}

func (f KeyFile) is(other KeyFile) bool { return f.Path == other.Path }

// KeyFiles returns the files that no build may have, those of all other apps of the
// configuration among them.
func (s Settings) KeyFiles() []KeyFile {
	files := s.ownKeyFiles()
	for _, other := range s.Apps.others {
		for _, file := range other.ownKeyFiles() {
			if !slices.ContainsFunc(files, file.is) {
				files = append(files, KeyFile{file.Named + " of " + other.Apps.Chosen, file.Path})
			}
		}
	}
	return files
}

func (s Settings) ownKeyFiles() []KeyFile {
	files := []KeyFile{
		{"sign.key", string(s.Sign.Key)}, {"enclave.key", string(s.Enclave.Key)}, {"wallet.keystore", string(s.Wallet.Keystore)},
		{"wallet.payer.keystore", string(s.Wallet.Payer.Keystore)}, {"app-secret.file", string(s.Secret.File)},
	}
	for i, b := range s.Builders { // which may have one key in common
		if file := (KeyFile{fmt.Sprintf("builders[%d].key", i), string(b.Key)}); !slices.ContainsFunc(files, file.is) {
			files = append(files, file)
		}
	}
	return slices.DeleteFunc(files, func(f KeyFile) bool { return f.Path == "" || keyPlace.MatchString(f.Path) })
}

// checkSecret finds out whether a build's secret is one that may be given to it: each
// step of the Dockerfile, and whatever it runs, could print it in a form that nobody
// recognizes.
func (c *Checker) checkSecret(id string, s Secret) {
	key := "build.secrets." + id
	switch {
	case (s.Env == "") == (s.File == ""):
		c.Complain(key, "want exactly one of env and file")
	case s.Env != "" && s.Env == c.Settings.Secret.Env:
		c.Complain(key+".env", "%s is the app's secret: no build may have it", s.Env)
	case slices.Contains(c.Settings.ownKeyVariables(), s.Env):
		c.Complain(key+".env", "%s is what opens a key of the release: no build may have it", s.Env)
	case slices.Contains(c.Settings.KeyVariables(), s.Env):
		c.Complain(key+".env", "%s is a secret of another app, or opens a key of it: no build may have it", s.Env)
	case s.File != "" && c.isKeyFile(string(s.File)):
		c.Complain(key+".file", "%s is a key of the release, or an app's secret: no build may have it", s.File)
	}
}

// checkAppSecret finds out whether the app's secret can be found, and given to a service.
func (c *Checker) checkAppSecret() {
	s := c.Settings.Secret
	if s == (Secret{}) {
		return
	}
	if s.Env != "" && s.File != "" {
		c.Complain("app-secret", "want exactly one of env and file")
	}
	if chain, ok := c.Settings.Profile(c.Settings.Chain); ok && chain.SMS == "" {
		c.Complain("app-secret", "the chain %s has no secret service: set chains.%s.sms", c.Settings.Chain, c.Settings.Chain)
	}
}

// isKeyFile reports whether a path leads to a key, or into a folder of keys.
func (c *Checker) isKeyFile(path string) bool {
	return slices.ContainsFunc(c.Settings.KeyFiles(), func(key KeyFile) bool {
		keyInfo, err := os.Stat(key.Path)
		if err != nil {
			return false
		}
		for _, p := range []string{path, filepath.Dir(realPath(path))} {
			if info, err := os.Stat(p); err == nil && os.SameFile(info, keyInfo) {
				return true
			}
		}
		return false
	})
}

// realPath follows the links of a path, as far as it is there.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
