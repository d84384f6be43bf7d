package registry

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// verifier checks that a party signed a statement about an image.
type verifier func(raw []byte, image name.Digest, party signing.Party) (statement, error)

// proof is the bytes in which a statement was found, and what took them.
type proof struct {
	raw    []byte
	verify verifier
}

// ControlError says that a verifier took what it must refuse: then what it takes is worth
// nothing.
type ControlError struct {
	Image name.Digest
	Took  string
}

func (e *ControlError) Error() string {
	return "the verifier takes " + e.Took + ", which it must refuse"
}

// Evidence returns what was taken.
func (e *ControlError) Evidence() [][2]string {
	return [][2]string{{"expected", "refused"}, {"actual", e.Took}, {"where", e.Image.String()}}
}

// Control tries the verifier that took the statements of a party with what it must refuse:
// the same bytes by another party, about another image, and with one letter of what is
// signed changed. It asks nobody. Its error is a [*ControlError].
func (s Statements) Control(party signing.Party) error {
	other, err := party.Other()
	if err != nil {
		return err
	}
	for _, v := range s.verified {
		for _, c := range []struct {
			took  string
			raw   []byte
			image name.Digest
			party signing.Party
		}{
			{"a statement of another signer", v.proof.raw, s.image, other},
			{"a statement about another image", v.proof.raw, anotherImage(s.image), party},
			{"a statement of which a letter was changed", changed(v.proof.raw), s.image, party},
		} {
			if _, err := v.proof.verify(c.raw, c.image, c.party); err == nil {
				return &ControlError{s.image, fmt.Sprintf("%s (%s)", c.took, v.PredicateType)}
			}
		}
	}
	return nil
}

// anotherImage differs by a digit.
func anotherImage(image name.Digest) name.Digest {
	digest := image.DigestStr()
	last := "0"
	if strings.HasSuffix(digest, last) {
		last = "1"
	}
	return image.Digest(digest[:len(digest)-1] + last)
}

var payload = regexp.MustCompile(`"payload":\s*"([A-Za-z0-9+/]+)`)

// changed returns a document with another letter in the middle of what is signed: of a
// bundle and an envelope the payload, else all of it.
func changed(raw []byte) []byte {
	other := bytes.Clone(raw)
	begin, end := 0, len(raw)
	if at := payload.FindSubmatchIndex(raw); at != nil {
		begin, end = at[2], at[3]
	}
	if middle := (begin + end) / 2; other[middle] == 'A' {
		other[middle] = 'B'
	} else {
		other[middle] = 'A'
	}
	return other
}
