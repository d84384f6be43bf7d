package settings

import (
	"strings"

	"github.com/mrelease/mrelease/publish/registry"
)

// IsKeyless reports whether an identity signs, and no key.
func (s Sign) IsKeyless() bool { return s.Keyless != Keyless{} }

// checkSign asks for a key, or for all that an identity needs.
func (c *Checker) checkSign() {
	s := c.Settings.Sign
	switch {
	case !s.IsKeyless() && s.Key == "":
		c.missing("sign.key", "a cosign key file, env://VARIABLE or the URI of a key in a key service; or sign.keyless")
		return
	case !s.IsKeyless():
		return
	case s.Key != "":
		c.Complain("sign.keyless", "is set beside sign.key: want one of both")
	case s.PublicKey != "":
		c.Complain("sign.public-key", "is set beside sign.keyless: an identity has no key that is kept")
	case s.Layout == registry.Tags:
		c.Complain("sign.layout", "tags hold no certificates: keyless wants referrers")
	}
	if t := s.Keyless.Token; t != "github" && t != "gitlab" && (!strings.HasPrefix(t, "env://") || len(t) == len("env://")) {
		c.Complain("sign.keyless.token", "want github, gitlab or env://VARIABLE, got %q", t)
	}
	for _, k := range []struct{ key, value, text string }{
		{"sign.keyless.issuer", string(s.Keyless.Issuer), "the issuer that the token must name"},
		{"sign.keyless.identity", s.Keyless.Identity, "the identity that the certificate must name"},
		{"sign.keyless.signing-config", string(s.Keyless.Config), "a file, or " + PublicServices},
		{"sign.trusted-root", string(s.TrustedRoot), "a file: what is signed must be verified, too"},
	} {
		if k.value == "" {
			c.missing(k.key, k.text)
		}
	}
}
