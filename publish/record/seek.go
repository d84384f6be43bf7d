package record

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/registry"
)

// Subject is the release that is verified.
type Subject struct {
	// Record is what the release states; where Missing is set it is what the chain says
	// of the app, and nothing more.
	Record
	Found   string // how the record was come by, in words
	Missing error  // why there is no record

	read *poco.App // the app on the chain, where it was read already
}

// Given is the subject of a record that whoever verifies has.
func Given(r Record, from string) Subject { return Subject{Record: r, Found: from} }

// UnrecordedError says that beside an app's image there is no record by the app's owner.
type UnrecordedError struct {
	App   common.Address
	Image name.Digest
	Owner common.Address
	Aside string // what is there instead
}

func (e *UnrecordedError) Error() string {
	return fmt.Sprintf("beside the image of the app at %s there is no record that its owner signed", e.App)
}

// Evidence returns who should have signed, and what is there.
func (e *UnrecordedError) Evidence() [][2]string {
	return [][2]string{{"expected", "a record of this app, signed by " + e.Owner.Hex()}, {"actual", e.Aside}, {"where", e.Image.String()}}
}

// Seek goes from an app's address to its record: the chain names owner and image, and
// beside the image records are kept, of which those count that are about this app on this
// chain and are signed by whom the chain names as owner now. Of several the one is taken
// whose order can still be bought. Without any the subject says why; what the chain says
// can be verified all the same.
//
// Errors: *apps.NoAppError, *Error for an app that names no image, *node.RPCError.
func Seek(ctx context.Context, w World, address common.Address) (Subject, error) {
	app, err := apps.Read(ctx, w.Chain, address)
	if err != nil {
		return Subject{}, err
	}
	return SeekOf(ctx, w, apps.Registration{App: app, Address: address})
}

// SeekOf is [Seek] of an app that was read from the chain's registry already.
func SeekOf(ctx context.Context, w World, reg apps.Registration) (Subject, error) {
	address, app := reg.Address, reg.App
	image, err := ImageOf(app)
	if err != nil {
		return Subject{}, err
	}
	s := Subject{Record: onChain(w.Chain, address, app, image), read: &app}
	if app.Type != poco.TypeDocker {
		return s, &Error{"is of an app that is no image of Docker's", fmt.Sprintf("%.200q", app.Type), poco.TypeDocker}
	}
	c, attached, err := collect(ctx, w, image, s.Record, func(r Record) error { return r.checkPresigned(ctx, w.Chain) })
	switch {
	case err != nil:
		s.Missing = err
	case len(c.taken) == 0 && attached.Complete() != nil:
		s.Missing = attached.Complete()
	case len(c.taken) == 0:
		s.Missing = &UnrecordedError{address, image, app.Owner, c.aside(attached)}
	}
	if s.Missing != nil {
		return s, nil
	}
	if s.Record, err = choose(ctx, w.Chain, c.taken); err != nil {
		return s, err
	}
	s.Found = "found beside the image"
	if n := len(c.taken); n > 1 {
		s.Found += fmt.Sprintf(", one of %d that the owner signed for this app", n)
	}
	return s, nil
}

// collect reads the records beside an image that are about an app and name its owner, as far
// as a check holds.
func collect(ctx context.Context, w World, image name.Digest, app Record, check func(Record) error) (c collection, a registry.Attached, err error) {
	a, err = w.Registry.Attached(ctx, image, Kind(), func(document []byte) bool {
		return c.take(document, func(r Record) error {
			if err := r.isOf(app); err != nil {
				return err
			}
			return check(r)
		})
	})
	return c, a, err
}

// checkPresigned asks the hub whether the owner presigned the order that names the record,
// where that is what makes the record the owner's.
func (r Record) checkPresigned(ctx context.Context, c *node.Client) error {
	if !r.IsPresigned() {
		return nil
	}
	owner := common.Address(r.App.Owner)
	presigned, err := node.IsSigned(ctx, c, r.Order.Signed, owner)
	if err == nil && !presigned {
		err = r.unvouched(presignedBy(common.Address{}))
	}
	return err
}

// unvouched says that the owner did not presign the order that names the record.
func (r Record) unvouched(got string) error {
	return &Error{"is not the owner's: it has no signature, and its order is not presigned on " + r.App.Chain, got, r.Order.Hash.Hex() + " presigned by " + common.Address(r.App.Owner).Hex()}
}

// Presigned returns the records beside an app's image whose orders its owner presigned:
// that is how a contract's orders are found again, of which no market has a list. aside
// says what is there besides, that may hide another one; empty for nothing. Errors:
// *registry.Error, *Error for an app that names no image.
func Presigned(ctx context.Context, w World, reg apps.Registration) (all []Record, aside string, err error) {
	return besides(ctx, w, reg, func(r Record) error { return r.checkPresigned(ctx, w.Chain) })
}

// Presignable is [Presigned] with the records besides whose orders nobody presigned, as the
// owner still can.
func Presignable(ctx context.Context, w World, reg apps.Registration) (all []Record, aside string, err error) {
	return besides(ctx, w, reg, func(Record) error { return nil })
}

// besides are the records beside an app's image that name its owner, and have no signature, in
// the order of their orders' hashes, so that no registry chooses.
func besides(ctx context.Context, w World, reg apps.Registration, check func(Record) error) (all []Record, aside string, err error) {
	image, err := ImageOf(reg.App)
	if err != nil {
		return nil, "", err
	}
	c, attached, err := collect(ctx, w, image, onChain(w.Chain, reg.Address, reg.App, image), check)
	if err == nil {
		err = attached.Complete()
	}
	if attached.Beyond > 0 || attached.Endless {
		aside = c.aside(attached)
	}
	all = slices.DeleteFunc(c.taken, func(r Record) bool { return !r.IsPresigned() })
	slices.SortFunc(all, func(a, b Record) int { return a.Order.Hash.Cmp(b.Order.Hash) })
	return all, aside, err
}

// onChain is what a chain says of an app, in the form of a record.
func onChain(c *node.Client, address common.Address, app poco.App, image name.Digest) Record {
	var r Record
	r.Version = apps.Version(app)
	r.App = NewApp(c, apps.Registration{App: app, Address: address})
	r.Image.Reference = image.Context().Tag(r.Version).Name()
	r.Image.Digest = v1.Hash{Algorithm: "sha256", Hex: strings.TrimPrefix(image.DigestStr(), "sha256:")}
	r.Enclave = enclaveOnChain(string(app.MREnclave))
	return r
}

// enclaveOnChain tells the format of a value by its first character. A value that is of
// none has no MRENCLAVE, and does not measure to anything.
func enclaveOnChain(value string) Enclave {
	e := Enclave{Format: measure.Legacy, Value: value}
	switch {
	case value == "":
		e.Format = measure.None
		return e
	case strings.HasPrefix(value, "{"):
		e.Format = measure.JSON
	}
	if m, err := e.stated(); err == nil {
		e.MRENCLAVE = &m
	}
	e.Synthetic = e.isSynthetic()
	return e
}

// isOf compares a record that was found with what the chain says of an app.
func (r Record) isOf(app Record) error {
	for _, c := range []struct{ problem, got, want string }{
		{"is of another chain", fmt.Sprint(r.Domain()), fmt.Sprint(app.Domain())},
		{"is of another app", common.Address(r.App.Address).Hex(), common.Address(app.App.Address).Hex()},
		{"is signed by somebody who does not own the app", common.Address(r.App.Owner).Hex(), common.Address(app.App.Owner).Hex()},
		{"is of another image", r.Image.Digest.String(), app.Image.Digest.String()},
	} {
		if c.got != c.want {
			return &Error{c.problem, c.got, c.want}
		}
	}
	return nil
}

// collection is what was found of records.
type collection struct {
	taken   []Record
	refused []string // why, each once
}

// maxRefusals bounds the reasons that are told: a stranger may have a hundred.
const maxRefusals = 5

func (c *collection) take(document []byte, check func(Record) error) bool {
	r, err := Parse(document)
	if err == nil {
		err = check(r)
	}
	if err == nil {
		c.taken = append(c.taken, r)
		return true
	}
	why := err.Error()
	var wrong *Error
	if errors.As(err, &wrong) && len(wrong.Got) < 100 {
		why += " (" + wrong.Got + ")"
	}
	if !slices.Contains(c.refused, why) && len(c.refused) < maxRefusals {
		c.refused = append(c.refused, why)
	}
	return false
}

// aside tells what is there that does not count.
func (c collection) aside(a registry.Attached) string {
	if a.Unwanted+a.Unreadable+a.Beyond == 0 && !a.Endless {
		return "none"
	}
	text := fmt.Sprintf("%s, of which %d cannot be read", printable.Count(a.Unwanted+a.Unreadable, "other record"), a.Unreadable)
	if a.Beyond > 0 {
		text += fmt.Sprintf(", and %d beyond the %d that are read", a.Beyond, bounds.Documents)
	}
	if a.Endless {
		text += fmt.Sprintf(", and the list goes on beyond the %d pages that are read", bounds.Pages)
	}
	if len(c.refused) > 0 {
		text += ": " + strings.Join(c.refused, "; ")
	}
	return text
}

// choose returns of an app's records the one whose order can be bought, in the order of
// the orders' hashes and their signatures, so that no registry chooses. All are by the owner.
func choose(ctx context.Context, c *node.Client, all []Record) (Record, error) {
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(a.Order.Hash.Cmp(b.Order.Hash), bytes.Compare(a.Signature, b.Signature))
	})
	if len(all) == 1 {
		return all[0], nil
	}
	for _, r := range all {
		left, err := node.Remaining(ctx, c, r.Order.Signed.AppOrder)
		if err != nil {
			return Record{}, err
		}
		if left.Sign() > 0 {
			return r, nil
		}
	}
	return all[0], nil
}

// AppsOf returns which apps the records beside an image are about, on any chain: each is
// signed by whom it names as owner, which only the app's chain can confirm. All of them are
// read: of those that cannot be, or are beyond the bounds, one may be about another app.
// Errors: *registry.Error, *Error when there is none, *bounds.Error when there may be more.
func AppsOf(ctx context.Context, c registry.Client, image name.Digest) ([]App, error) {
	var found collection
	attached, err := c.Attached(ctx, image, Kind(), func(document []byte) bool {
		found.take(document, func(r Record) error {
			if got := r.Image.Digest.String(); got != image.DigestStr() {
				return &Error{"is of another image", got, image.DigestStr()}
			}
			return nil
		})
		return false // so that those under the tag are read, too
	})
	if err == nil {
		err = attached.Complete()
	}
	if err != nil {
		return nil, err
	}
	if attached.Beyond > 0 || attached.Endless {
		return nil, &bounds.Error{Where: image.String(), What: "what is beside it as records", Most: printable.Count(bounds.Documents, "record"), Got: found.aside(attached)}
	}
	var all []App
	for _, r := range found.taken {
		if !slices.ContainsFunc(all, func(a App) bool {
			return a.Address == r.App.Address && a.ChainID == r.App.ChainID && a.Hub == r.App.Hub
		}) {
			all = append(all, r.App)
		}
	}
	if len(all) == 0 {
		return nil, &Error{"of this image is not beside it", found.aside(attached), "a record of " + image.String()}
	}
	return all, nil
}
