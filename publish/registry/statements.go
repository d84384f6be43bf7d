package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// Statements are what a key states about an image, in any of the bundles among the
// image's referrers, and in cosign's older layout. Anybody who may push can add to
// both, so what cannot be read, is no bundle or does not verify is counted and does no
// harm.
type Statements struct {
	Others     int  // bundles that do not verify with the key
	Foreign    int  // referrers that are no bundles
	Unreadable int  // referrers that are listed and cannot be read
	Beyond     int  // referrers beyond bounds.Referrers, which were not looked at
	Endless    bool // their list goes on beyond bounds.Pages, which was not followed

	image    name.Digest
	hidden   int // of those beyond, the ones that may state what a release does
	verified []statement
	reasons  error // why bundles do not verify, and referrers cannot be read; some of them
	outage   error // a reason that may be gone when it is tried again; nil: none
}

// maxReasons is how many reasons are kept; they may be a thousand times the same.
const maxReasons = 5

// Statements reads what is stated about an image, each statement once. Its error is an
// [*Error], when nothing of it can be listed.
func (c Client) Statements(ctx context.Context, image name.Digest, party signing.Party) (Statements, error) {
	s := Statements{image: image}
	in, err := c.session(ctx, image.Repository, transport.PullScope)
	if err != nil {
		return s, failed("listing referrers of", image, err)
	}
	var unlisted []error
	for _, layout := range c.readable() {
		if err := c.shelf(in, image, layout).read(ctx, party, &s); err != nil {
			unlisted = append(unlisted, err)
		}
	}
	if unlisted == nil {
		return s, nil
	}
	err = failed("listing referrers of", image, errors.Join(unlisted...))
	if len(unlisted) < len(c.readable()) && ctx.Err() == nil {
		s.outage, err = err, nil // which counts when something is not found
	}
	return s, err
}

func (s *Statements) unreadable(referrer name.Digest, err error) {
	s.Unreadable++
	err = failed("reading referrer", referrer, err)
	if s.outage == nil && isOutage(err) {
		s.outage = err
	}
	s.because(err)
}

// isOutage tells an error that may be gone at the next try from an answer, which
// whoever may push can bring about.
func isOutage(err error) bool {
	var answer *transport.Error
	var network *url.Error
	var slow *bounds.SlowError
	var inside *bounds.AddressError
	switch {
	case errors.As(err, &answer):
		return answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests
	case errors.As(err, &inside):
		return false
	}
	return errors.As(err, &network) || errors.As(err, &slow)
}

func (s *Statements) because(err error) {
	if n := s.Others + s.Unreadable; n <= maxReasons {
		s.reasons = errors.Join(s.reasons, err)
	} else if n == maxReasons+1 {
		s.reasons = errors.Join(s.reasons, errors.New("and so on"))
	}
}

// of returns the predicates of a type.
func (s Statements) of(predicateType string) (found []statement, others int) {
	for _, v := range s.verified {
		if v.PredicateType == predicateType {
			found = append(found, v)
		}
	}
	return found, s.Others + len(s.verified) - len(found)
}

// check looks for an attestation, or for a signature, of which the type says all: older
// versions of cosign leave out its empty predicate.
func (s Statements) check(a Attestation) error {
	if a.Type == cosigntypes.CosignSignPredicateType {
		return s.CheckSignature()
	}
	return s.CheckAttestation(a)
}

// Complete reports whether all places in which statements can be were read, so that one
// which is not found is in none of them. Its error is an [*Error] where a place cannot be
// read now, and a [*bounds.Error] where more referrers than are read may be statements of a
// release: whoever may push can put as many before the one that matters.
func (s Statements) Complete() error {
	if s.outage != nil {
		return s.outage
	}
	return s.Crowded()
}

// Outage is why not all places could be read, where that may be gone at the next try; nil when
// all were read.
func (s Statements) Outage() error { return s.outage }

// Crowded returns a [*bounds.Error] where more referrers than are read may be statements of a
// release.
func (s Statements) Crowded() error {
	switch {
	case s.Endless:
		return &bounds.Error{Where: s.image.String(), What: "the list of its referrers", Most: fmt.Sprintf("%d pages", bounds.Pages)}
	case s.hidden > 0:
		return &bounds.Error{Where: s.image.String(), What: "the number of its referrers that may be statements of a release", Most: fmt.Sprint(bounds.Referrers), Got: fmt.Sprint(bounds.Referrers + s.hidden)}
	}
	return nil
}

// Vouched tells who certified the signer of the image's signature, and who says when it
// was made; it is empty for a key.
func (s Statements) Vouched() string {
	found, _ := s.of(cosigntypes.CosignSignPredicateType)
	if len(found) == 0 {
		return ""
	}
	return found[0].vouched
}

// Aside tells of the referrers that were not taken into account; it is empty when
// there are none.
func (s Statements) Aside() string {
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{
		{s.Unreadable, "cannot be read"}, {s.Foreign, "are no bundles"},
		{s.Beyond, fmt.Sprintf("are beyond the %d that are read", bounds.Referrers)},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	if parts != nil {
		parts = []string{"of its other referrers " + strings.Join(parts, ", ")}
	}
	if s.Endless {
		parts = append(parts, fmt.Sprintf("the list of its referrers goes on beyond the %d pages that are read", bounds.Pages))
	}
	return strings.Join(parts, "; ")
}
