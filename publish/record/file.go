package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/orders"
)

// Error says what is wrong with a record by itself.
type Error struct {
	Problem   string
	Got, Want string
}

func (e *Error) Error() string { return "the record " + e.Problem }

// Evidence returns both values.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}}
}

// Parse reads a record and checks what can be checked without looking
// anywhere: the layout byte for byte, that the parts of the record agree with
// each other, and the owner's signature; of a record without one that its order's salt
// names it, and then only the chain tells whether it is the owner's (see
// [Record.IsPresigned]). A change of any byte is a *Error.
func Parse(data []byte) (Record, error) {
	var r Record
	if err := bounds.CheckJSON(data); err != nil {
		return r, &Error{"cannot be read: " + err.Error(), "more", "JSON of schema " + Schema}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		return r, &Error{"cannot be read: " + bounds.Malformed(err), "malformed JSON", "JSON of schema " + Schema}
	}
	if r.Schema != Schema {
		return r, &Error{"is of another schema", fmt.Sprintf("%.200s", r.Schema), Schema}
	}
	if r.Order.Signed.AppPrice == nil {
		return r, &Error{"has no order", "nothing", "order.signed"}
	}
	encoded, err := r.Encode()
	if err != nil {
		return r, err
	}
	if !bytes.Equal(encoded, data) {
		return r, &Error{"is not written as mrelease writes it", "bytes that differ from line " + differsAt(encoded, data), "canonical JSON"}
	}
	return r, r.check()
}

func differsAt(a, b []byte) string {
	line := 1
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '\n' {
			line++
		}
	}
	return fmt.Sprint(line)
}

// isSynthetic is false for an image without measurement.
func (e Enclave) isSynthetic() bool { return e.MRENCLAVE != nil && e.MRENCLAVE.IsSynthetic() }

// check compares the parts of a record with each other.
func (r Record) check() error {
	if err := r.checkWord(); err != nil {
		return err
	}
	for _, c := range []struct{ problem, got, want string }{
		{"hides that its measurement is synthetic, or claims it", fmt.Sprint(r.Enclave.Synthetic), fmt.Sprint(r.Enclave.isSynthetic())},
		{"has another checksum than its image", r.App.Checksum.Hex(), "0x" + r.Image.Digest.Hex},
		{"has an order of another app", r.Order.Signed.App.Hex(), common.Address(r.App.Address).Hex()},
		{"has another order than its order hash", r.Order.Signed.Hash(r.Domain()).Hex(), r.Order.Hash.Hex()},
	} {
		if c.got != c.want {
			return &Error{c.problem, c.got, c.want}
		}
	}
	if err := r.Image.check(); err != nil {
		return err
	}
	if err := r.SBOM.check(); err != nil {
		return err
	}
	return r.Enclave.check()
}

// checkWord compares the record with what the owner signed; of one that is presigned with
// what its order's salt names.
func (r Record) checkWord() error {
	if r.IsPresigned() {
		content, err := r.content()
		if err != nil {
			return err
		}
		if order := r.Order.Signed.AppOrder; !orders.Commits(r.Domain(), order, content) {
			want := orders.Committed(r.Domain(), order, content, 0).Salt
			return &Error{"has no signature, and its order's salt names another content", order.Salt.Hex(), want.Hex()}
		}
		return nil
	}
	text, err := r.text()
	if err != nil {
		return err
	}
	owner := common.Address(r.App.Owner)
	signer, err := node.RecoverSigner(common.BytesToHash(accounts.TextHash(text)), r.Signature)
	if err != nil {
		return &Error{"has no valid signature", err.Error(), "a signature of " + owner.Hex()}
	}
	if signer != owner {
		return &Error{"is not signed by the app's owner", signer.Hex(), owner.Hex()}
	}
	return nil
}

// check makes sure that one signer is named.
func (i Image) check() error {
	const want = "a public key, or an identity with its issuer"
	switch {
	case i.Identity == nil && i.PublicKey == "":
		return &Error{"names nobody who signed the image", "nothing", want}
	case i.Identity == nil:
		return nil
	case i.PublicKey != "":
		return &Error{"names a key and an identity that signed the image", "both", want}
	case i.Identity.Subject == "" || i.Identity.Issuer == "":
		return &Error{"names half of an identity that signed the image", i.Identity.String(), want}
	}
	return nil
}

// check compares the measurement with the value that the chain stores: a record must
// not say less, or more, than the app that it is about.
func (e Enclave) check() error {
	if e.Format == measure.None {
		if e.Value != "" || e.MRENCLAVE != nil || e.File != "" || e.Signature != nil || e.Basis != nil {
			return &Error{"has a measurement beside the format none", fmt.Sprintf("value %q, MRENCLAVE %v", e.Value, e.MRENCLAVE), "neither value nor MRENCLAVE"}
		}
		return nil
	}
	stated, err := e.stated()
	if err != nil {
		return &Error{"has a value that is not of its format: " + err.Error(), e.Value, "a value of format " + string(e.Format)}
	}
	if e.MRENCLAVE == nil || *e.MRENCLAVE != stated {
		return &Error{"has another MRENCLAVE than its value", fmt.Sprint(e.MRENCLAVE), stated.String()}
	}
	return e.checkBasis()
}

// checkBasis refuses a basis that does not hold together.
func (e Enclave) checkBasis() error {
	b := e.Basis
	if b == nil {
		return nil
	}
	if (b.Trust == measure.TrustKnown) != (b.Base != nil) || (b.Trust == measure.TrustComputed) != (b.Signer != nil) || !b.Trust.AtLeast(measure.TrustStated) {
		return &Error{"has a basis of its measurement that is malformed", fmt.Sprintf("%.200q with base %t, signer %t", b.Trust, b.Base != nil, b.Signer != nil), "computed with a signer, known with a base, or stated"}
	}
	if b.Signer != nil && (e.Signature == nil || e.Signature.MRSIGNER != *b.Signer) {
		return &Error{"has another signer of its measurement than of its program", b.Signer.String(), fmt.Sprintf("%+v", e.Signature)}
	}
	if b.Base == nil {
		return nil
	}
	if _, err := b.Base.Layers(); err != nil {
		return &Error{"has a base that is not proven: " + err.Error(), b.Base.Name, "the manifest of that digest"}
	}
	return nil
}

// stated returns the MRENCLAVE in the value.
func (e Enclave) stated() (measure.MRENCLAVE, error) {
	if e.Format == measure.JSON {
		object, err := measure.ParseObject([]byte(e.Value))
		return object.Fingerprint, err
	}
	fingerprint, err := measure.ParseFingerprint(e.Value)
	return fingerprint.MRENCLAVE, err
}

// WriteFile writes a signed record with [Replace].
func (r Record) WriteFile(path string) (err error) {
	data, err := r.Encode()
	if err != nil {
		return err
	}
	if err := Replace(path, data); err != nil {
		return fmt.Errorf("writing record: %w", err)
	}
	return nil
}

// Replace writes a file so that a reader sees the old file or the new one, never a part. A
// file that is there keeps its mode: it may be one that others must not read.
// The part has one name, so that a run that was killed leaves nothing that the next one
// does not use up; what has that name, a link to somebody's file perhaps, is removed and
// never written to.
func Replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	folder, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(replace(folder, filepath.Base(path), data), folder.Close())
}

// replace puts a new file in the place of what is there.
func replace(folder *os.Root, name string, data []byte) (err error) {
	part := "." + name + ".part"
	if err := folder.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := folder.Lstat(name); err == nil && info.Mode().IsRegular() {
		mode = info.Mode().Perm()
	}
	f, err := folder.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, folder.Remove(part))
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return folder.Rename(part, name)
}

// ReadFile reads a record from a file with [Parse].
func ReadFile(path string) (Record, error) {
	data, err := bounds.ReadFile(path, bounds.Record)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return Record{}, &Error{"cannot be read: " + larger.Reason(), path, "at most " + larger.Most}
	}
	if err != nil {
		return Record{}, fmt.Errorf("reading record: %w", err)
	}
	return Parse(data)
}
