package release

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/outside"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/printable"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// Target is what somebody holds of a release: its record, or what leads to it.
type Target struct {
	text   string
	record *record.Record // of a file or a URL
	image  *name.Digest
	app    common.Address // of an address, and of an image once that is resolved
	ens    string         // a name of ENS
}

// TargetError says why something leads to no release.
type TargetError struct {
	Target, Problem string
	cure            string
}

func (e *TargetError) Error() string { return e.Target + " " + e.Problem }

// Evidence returns what was given.
func (e *TargetError) Evidence() [][2]string { return [][2]string{{"target", e.Target}} }

// Remedy is what to give in its place.
func (e *TargetError) Remedy() string { return e.cure }

// ReadTarget takes 0x… for an app's address, http:// and https:// for where a record is, a
// name that ends with .eth for one of ENS, and repository@sha256:… for an image, whatever
// files are there: the current folder may be anybody's, and a file in it that is named as an
// address would be verified in its place. All else is a record's file, and so is what begins
// with ./, ../ or /. Records are read at once. Errors: *TargetError, *UnreadError, those of
// [ReadRecord].
func ReadTarget(ctx context.Context, text string) (Target, error) {
	t := Target{text: text}
	_, missing := os.Lstat(text)
	switch {
	case strings.HasPrefix(text, "https://"), strings.HasPrefix(text, "http://"):
		return t, t.fetch(ctx)
	case isPath(text):
	case (strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X")) && (missing != nil || common.IsHexAddress(text)):
		return t, t.readAddress()
	case poco.IsENSName(text):
		t.ens = text
		return t, nil
	case strings.Contains(text, "@sha256:"):
		image, err := name.NewDigest(text)
		if err != nil || !namesRegistry(text) {
			return t, &TargetError{text, "is no image by its digest", "name it with its registry, as in docker.io/acme/hello@sha256:…; a file as ./FILE"}
		}
		t.image = &image
		return t, nil
	case missing == nil:
	default:
		if err := meant(text); err != nil {
			return t, err
		}
	}
	r, err := ReadRecord(text)
	if errors.Is(err, fs.ErrNotExist) {
		err = &UnreadError{"", err}
	}
	t.record = &r
	return t, err
}

// ReadOwner takes an owner's address, and nothing else: it is looked for on a chain as that of
// an app is. Error: *TargetError.
func ReadOwner(text string) (Target, error) {
	t := Target{text: text}
	if common.IsHexAddress("0x" + text) {
		return t, &TargetError{text, "is an address without its 0x", "0x" + text}
	}
	return t, t.readAddress()
}

// Address is that of the target: of an address that was given, or of an image's app.
func (t *Target) Address() common.Address { return t.app }

// meant says of what is no file what was meant, where it nearly leads to a release: an
// image by its tag, which others can move, or an address without its 0x.
func meant(text string) error {
	ref, err := reference(text) // which is no path
	if tag, ok := ref.(name.Tag); err == nil && ok {
		return &TargetError{text, "names an image by its tag, which can be moved to another one", "name it by its digest, as in " + tag.Repository.Name() + "@sha256:…, or name the app by its address"}
	}
	if common.IsHexAddress(text) {
		return &TargetError{text, "is no file, and as an address it lacks its 0x", "0x" + text + ", on the chain that --chain names"}
	}
	return nil
}

// isPath tells a text that names a file, whatever else it looks like.
func isPath(text string) bool {
	return slices.ContainsFunc([]string{"./", "../", "/"}, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

// readAddress refuses an address whose capitals are not its checksum (EIP-55): a digit of
// it was mistyped.
func (t *Target) readAddress() error {
	if !common.IsHexAddress(t.text) {
		return &TargetError{t.text, "is no address", "an app's address is 0x and 40 hex digits"}
	}
	t.app = common.HexToAddress(t.text)
	digits := t.text[2:]
	if digits != strings.ToLower(digits) && digits != strings.ToUpper(digits) && digits != t.app.Hex()[2:] {
		return &TargetError{t.text, "has capitals that are not its checksum", "take the address from where it stands again: a digit of it is another"}
	}
	return nil
}

// fetch reads the record at a URL. Who serves it needs not be trusted: its owner signed it.
func (t *Target) fetch(ctx context.Context) error {
	at, err := url.Parse(t.text)
	if err != nil || at.Host == "" || at.User != nil {
		return &TargetError{"the address", "is none that a record can be read from", "give it as https://HOST/PATH, without a login"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return &UnreadError{at.Host, err}
	}
	client := http.Client{Transport: outside.Transport(outside.Service{Host: at.Host, Most: bounds.Record}), Timeout: bounds.Answer}
	resp, err := client.Do(req)
	if err != nil {
		return &UnreadError{at.Host, errors.Unwrap(err)} // without the address, which may hold a secret
	}
	data, err := bounds.ReadAll(resp.Body, bounds.Record)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return &UnreadError{at.Host, err}
	}
	if resp.StatusCode != http.StatusOK {
		return &UnreadError{at.Host, fmt.Errorf("it answers %s", resp.Status)}
	}
	r, err := parseRecord(at.Host+at.Path, data)
	t.text, t.record = at.Host+at.Path, &r
	return err
}

// UnreadError says that the record of a target could not be read: from its URL, or from a
// file, which is not there.
type UnreadError struct {
	Host string // empty for a file
	Err  error
}

func (e *UnreadError) Error() string {
	if e.Host == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("reading the record from %s: %v", e.Host, e.Err)
}

// Unwrap returns the cause.
func (e *UnreadError) Unwrap() error { return e.Err }

// Evidence returns where the record was looked for, and what was found.
func (e *UnreadError) Evidence() [][2]string {
	if path, ok := errors.AsType[*fs.PathError](e.Err); ok && e.Host == "" {
		return [][2]string{{"where", path.Path}, {"problem", path.Err.Error()}}
	}
	return [][2]string{{"where", e.Host}, {"actual", fmt.Sprint(e.Err)}}
}

// Remedy is what to give in its place.
func (e *UnreadError) Remedy() string {
	if e.Host == "" {
		return "name a record's file that is there; or give the app's address (0x…), its name (NAME.eth), the image by its digest (REPOSITORY@sha256:…) or the record's URL (https://…)"
	}
	return "check the address; or fetch the record yourself and give its file"
}

// Chain returns the name of the chain that the target is on: of a record and of an image
// whose app is known the one that the owner's record names, else the one that is asked for;
// empty when none is. What is asked for by a flag is no default: a record of another chain is
// another release than the one that is meant.
//
// Errors: *TargetError, those of [record.AppsOf].
func (t *Target) Chain(ctx context.Context, client registry.Client, asked string, byFlag bool) (string, error) {
	if t.record != nil {
		is := t.record.App.Chain
		if byFlag && is != asked {
			return "", &TargetError{t.text, fmt.Sprintf("is the record of an app on %s, and not on %s", is, asked), "leave out --chain, or give the record of the app on that chain"}
		}
		return is, nil
	}
	if t.image == nil {
		return asked, nil
	}
	all, err := record.AppsOf(ctx, client, *t.image)
	var crowd *bounds.Error
	if errors.As(err, &crowd) { // whoever may push can bring it about
		return "", &TargetError{t.text, "does not tell of which app it is the image, as not all records beside it are read: " + crowd.Error(), "name the app by its address, with --chain"}
	}
	if err != nil {
		return "", err
	}
	if asked != "" {
		all = slices.DeleteFunc(all, func(a record.App) bool { return a.Chain != asked })
	}
	if len(all) != 1 {
		var names []string
		for _, a := range all {
			names = append(names, common.Address(a.Address).Hex()+" on "+a.Chain)
		}
		return "", &TargetError{t.text, fmt.Sprintf("is the image of %s: %s", printable.Count(len(all), "app"), strings.Join(names, ", ")), "name the app by its address, with --chain"}
	}
	t.app = common.Address(all[0].Address)
	return all[0].Chain, nil
}

// Subject finds the release on its chain. Errors: *TargetError, *node.NameError,
// *node.WrongChainError, those of [record.Seek].
func (t *Target) Subject(ctx context.Context, w record.World) (s record.Subject, err error) {
	if t.record != nil {
		return record.Given(*t.record, t.text), t.record.CheckDomain(w.Chain.Chain)
	}
	address := t.app
	if t.ens != "" {
		if address, err = node.Resolve(ctx, w.Chain, t.ens); err != nil {
			return s, err
		}
	}
	if s, err = record.Seek(ctx, w, address); err != nil {
		return s, err
	}
	if t.image != nil && s.Image.Digest.String() != t.image.DigestStr() {
		return s, &TargetError{t.text, fmt.Sprintf("is not the image of the app %s, which its record names: that is %s", address, s.Image.Digest), "take what the app runs for another image: do not run this one under its name"}
	}
	return s, nil
}
