package record

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// RevocationType is the predicate type of a revocation: docs/predicates/revocation.md.
const RevocationType = registry.PredicateType + "revocation/v1"

// MaxReason bounds the reason of a revocation, in bytes.
const MaxReason = 1000

// Revocation is the predicate by which the key that signed an image says that the release
// is withdrawn. There is no time and no machine in it, so every run says the same.
type Revocation struct {
	Version string  `json:"version"`
	Reason  string  `json:"reason"`
	ChainID uint64  `json:"chainId"`
	App     Address `json:"app"`
}

// Attestation is the statement with the revocation.
func (r Revocation) Attestation() registry.Attestation {
	return registry.Attestation{Type: RevocationType, Predicate: r}
}

// Revoked returns the revocation of an app among what a key states about an image; nil
// when there is none. One that cannot be read counts: it is the key's own word that
// something is withdrawn.
func Revoked(said registry.Statements, chainID uint64, app common.Address) *Revocation {
	for _, predicate := range said.Predicates(RevocationType) {
		var r Revocation
		d := json.NewDecoder(bytes.NewReader(predicate))
		if err := d.Decode(&r); err != nil {
			return &Revocation{Reason: "the revocation cannot be read: " + err.Error(), ChainID: chainID, App: Address(app)}
		}
		if r.ChainID == chainID && common.Address(r.App) == app {
			return &r
		}
	}
	return nil
}

// RevokedError says that the key that signed a release's image withdrew the release.
type RevokedError struct {
	Revocation
	Image name.Digest
}

func (e *RevokedError) Error() string {
	return fmt.Sprintf("version %s was revoked by the key that signed it: %s", e.Version, e.Reason)
}

// Evidence returns what was revoked, why, and where that stands.
func (e *RevokedError) Evidence() [][2]string {
	return [][2]string{{"version", e.Version}, {"app", common.Address(e.App).Hex()}, {"reason", e.Reason}, {"where", e.Image.String()}}
}

// CheckRevocation asks whether an app is a release that a signer made, and did not revoke:
// anybody can register an app whose owner is somebody else, with a name and a version that
// a release could have. Errors: *RevokedError, *registry.UnsignedError, *registry.Error,
// *bounds.Error where a revocation may be beyond what is read.
func CheckRevocation(ctx context.Context, c registry.Client, by signing.Party, chainID uint64, app apps.Registration) error {
	image, err := ImageOf(app.App)
	if err != nil {
		return err
	}
	said, err := c.Statements(ctx, image, by)
	if err != nil {
		return err
	}
	if r := Revoked(said, chainID, app.Address); r != nil {
		return &RevokedError{*r, image}
	}
	if err := said.CheckSignature(); err != nil { // first: a stranger's registry lists what it likes
		return err
	}
	return said.Complete()
}

// CheckWithdrawn asks whether who signs an image withdrew an app of it. The image need not
// be signed yet. Errors: *RevokedError, *registry.Error, *bounds.Error where a revocation
// may be beyond what is read.
func CheckWithdrawn(ctx context.Context, c registry.Client, by signing.Party, image name.Digest, app App) error {
	said, err := c.Statements(ctx, image, by)
	if err != nil {
		return err
	}
	if r := Revoked(said, app.ChainID, common.Address(app.Address)); r != nil {
		return &RevokedError{*r, image}
	}
	return said.Complete()
}

// ImageOf returns the image that an app runs, by its digest.
func ImageOf(app poco.App) (name.Digest, error) {
	tag, err := name.NewTag(string(app.Multiaddr), name.StrictValidation)
	if err != nil {
		return name.Digest{}, &Error{"is of an app that names no image as mrelease does", fmt.Sprintf("%.200q", app.Multiaddr), "registry/repository:tag"}
	}
	return tag.Digest(v1.Hash{Algorithm: "sha256", Hex: app.Checksum.Hex()[2:]}.String()), nil
}

// revocation says, of the key's word alone, whether the release was withdrawn. Whoever may
// push can take a statement away, so that none is there proves no more than that.
func (a auditor) revocation(context.Context) (found, error) {
	said, err := a.statements()
	if err != nil {
		return found{}, err
	}
	image, err := a.imageDigest()
	if err != nil {
		return found{}, err
	}
	if r := Revoked(said.Statements, a.App.ChainID, common.Address(a.App.Address)); r != nil {
		return found{}, &RevokedError{*r, image}
	}
	if err := said.Crowded(); err != nil {
		return found{}, &UncheckedError{fmt.Sprintf("whether it was withdrawn: %v", err)}
	}
	var larger *bounds.Error
	var absent interface{ Absent() } // who made a file may have cut it out
	outage := said.Complete()
	// A statement that is listed and not given may be the one; no statement is too large, so
	// what is stays a stranger's. A place that cannot be listed is told: with some registries
	// it never can, and releases are signed in the other one.
	if errors.As(outage, &absent) || outage != nil && said.Unreadable > 0 && !errors.As(outage, &larger) {
		return found{}, &UncheckedError{fmt.Sprintf("whether it was withdrawn: %v", outage)}
	}
	if outage != nil {
		return asserted(theRegistry, fmt.Sprintf("none was found, by %s; not all places where one could be can be read: %v", said.word, outage)), nil
	}
	return asserted(theRegistry, "none is among the statements of who signed the image, by "+said.word), nil
}
