package record

import (
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/keyless"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Signer is who must have signed the image, as far as whoever verifies says so. The zero
// Signer is the one in the record, which the app's owner signed.
type Signer struct {
	PublicKey   string           // in PEM
	Identity    signing.Identity // each part that is set counts, and not the record's
	TrustedRoot []byte           // for identities, in Sigstore's JSON
	Name        string           // where the key is from
	RootName    string           // likewise
}

func (s Signer) isNobody() bool { return s.PublicKey == "" && s.Identity == (signing.Identity{}) }

// Trusted are the flags of whoever verifies.
type Trusted struct {
	Key, Root string // files
	Identity  signing.Identity
}

// ErrKeyAndIdentity says that two signers were asked for.
var ErrKeyAndIdentity = errors.New("a key and an identity: an image is signed by one of both")

// Read reads the files that are named. Its error is ErrKeyAndIdentity, or that of a file.
func (t Trusted) Read() (s Signer, err error) {
	if t.Key != "" && (t.Identity != signing.Identity{} || t.Root != "") {
		return s, ErrKeyAndIdentity
	}
	s = Signer{Identity: t.Identity, Name: t.Key, RootName: t.Root}
	if t.Key != "" {
		pem, err := bounds.ReadFile(t.Key, bounds.Key)
		if err != nil {
			return s, fmt.Errorf("reading the public key: %w", err)
		}
		s.PublicKey = string(pem)
	}
	if t.Root != "" {
		if s.TrustedRoot, err = bounds.ReadFile(t.Root, bounds.TrustedRoot); err != nil {
			return s, fmt.Errorf("reading the trusted root: %w", err)
		}
	}
	return s, nil
}

// RootlessError says that an image is signed by an identity, and that nobody was named
// who may certify one. A record cannot: who made it chose it.
type RootlessError struct{ Identity signing.Identity }

func (e *RootlessError) Error() string {
	return "the image is signed by an identity, and there is no trusted root to verify that with"
}

// Evidence returns the identity.
func (e *RootlessError) Evidence() [][2]string {
	return [][2]string{{"expected", "a trusted root of the authorities that certify identities"}, {"actual", "none"}, {"identity", e.Identity.String()}}
}

// party is who must have signed, and by whose word, in words.
func (s Signer) party(i Image) (party signing.Party, word string, err error) {
	if s.Identity == (signing.Identity{}) && (s.PublicKey != "" || i.Identity == nil) {
		return s.key(i)
	}
	var want signing.Identity
	word = "the identity that was given"
	if i.Identity != nil {
		want = *i.Identity
	}
	if s.Identity.Subject != "" {
		want.Subject = s.Identity.Subject
	}
	if s.Identity.Issuer != "" {
		want.Issuer = s.Identity.Issuer
	}
	switch {
	case s.Identity == (signing.Identity{}):
		word = "the record's identity, which the app's owner states"
	case want.Subject == "" || want.Issuer == "":
		return nil, "", &Error{"has no identity that completes the one that was given", s.Identity.String(), "a subject and an issuer"}
	case s.Identity.Subject == "":
		word = "the record's identity, and the issuer that was given"
	case s.Identity.Issuer == "":
		word = "the identity that was given, and the record's issuer"
	}
	if s.TrustedRoot == nil {
		return nil, "", &RootlessError{want}
	}
	certified, err := keyless.NewParty(want, s.TrustedRoot)
	return certified, word + " (" + want.String() + ", under " + s.RootName + ")", err
}

func (s Signer) key(i Image) (signing.Party, string, error) {
	pem, word := i.PublicKey, "the record's public key, which the app's owner states"
	if s.PublicKey != "" {
		pem, word = s.PublicKey, "the key in "+s.Name+", which was given"
	}
	key, err := signing.ParsePublicKey(pem)
	return key, word, err
}
