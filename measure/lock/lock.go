package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
)

const (
	// Name is the file's name. It lies beside the configuration.
	Name = "enclave.lock"
	// Schema names the layout of a lock.
	Schema = "mrelease.lock/v1"
)

// Lock is what a release was measured from.
type Lock struct {
	Schema string `json:"schema"`
	// MRENCLAVE is absent where the image's digest is the measurement.
	MRENCLAVE *measure.MRENCLAVE `json:"mrenclave,omitempty"`
	// Unsealed is the config digest of the image before it was sealed; absent
	// when the Dockerfile makes a seal that is random. It changes with every
	// commit, so it is told and not compared.
	Unsealed *v1.Hash `json:"unsealed,omitempty"`
	// Image is the released image, "repository:tag@digest", when it was.
	Image string `json:"image,omitempty"`
	// Settings are the enclave's: "format", "heap", "entrypoint", ...
	Settings map[string]string `json:"settings"`
	// Bases and Toolchains are the digests of the images that were used, by name.
	Bases      map[string]string `json:"bases"`
	Toolchains map[string]string `json:"toolchains"`
	// Program holds the SHA-256 of each file that the enclave starts with.
	Program map[string]string `json:"program"`
	// Folders holds a digest over the paths, types, modes and content below each.
	Folders map[string]string `json:"folders"`
	// Packages are the versions of what is installed: "deb libc6".
	Packages map[string]string `json:"packages"`

	// Partial says that the lock was made of an image alone: the settings that
	// only a configuration has are not known. It is not written.
	Partial bool `json:"-"`
}

// Encode writes a lock in its one form: indented JSON, keys sorted, a line feed
// at the end.
func (l Lock) Encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("encoding lock: %w", err)
	}
	return buf.Bytes(), nil
}

// Error says what is wrong with a lock, and where.
type Error struct {
	File    string // empty when the lock was not read from a file
	Line    int    // from 1; 0: the whole file
	Problem string
}

func (e *Error) Error() string { return "enclave.lock " + e.Problem }

// Evidence returns the place.
func (e *Error) Evidence() [][2]string {
	where := e.File
	if where == "" {
		where = Name
	}
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	return [][2]string{{"where", where}, {"problem", e.Problem}}
}

// Parse reads a lock. It takes what Encode writes, byte for byte: a file that a
// merge has left in another form is a *Error with its line.
func Parse(data []byte) (Lock, error) {
	var l Lock
	if err := bounds.CheckJSON(data); err != nil {
		return Lock{}, &Error{Problem: "cannot be read: " + err.Error()}
	}
	if named := document.Of(data).Schema; named != "" && named != Schema {
		return Lock{}, &Error{Line: lineOf(data, `"schema"`), Problem: fmt.Sprintf("has schema %.200q, want %s", named, Schema)}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return Lock{}, &Error{Line: place(data, err), Problem: "cannot be read: " + bounds.Malformed(err)}
	}
	if l.Schema != Schema {
		return Lock{}, &Error{Line: lineOf(data, `"schema"`), Problem: "names no schema, want " + Schema}
	}
	encoded, err := l.Encode()
	if err != nil {
		return Lock{}, err
	}
	if !bytes.Equal(encoded, data) {
		return Lock{}, &Error{Line: firstDifference(encoded, data), Problem: "is not as mrelease writes it from this line on"}
	}
	return l, nil
}

// place finds the line of a decoder's error, which tells it of some only.
func place(data []byte, err error) int {
	var syntax *json.SyntaxError
	var wrongType *json.UnmarshalTypeError
	var value *measure.FormatError
	_, unknown, _ := strings.Cut(err.Error(), "unknown field ")
	switch {
	case errors.As(err, &syntax):
		return lineAt(data, syntax.Offset)
	case errors.As(err, &wrongType):
		return lineAt(data, wrongType.Offset)
	case errors.As(err, &value):
		return lineOf(data, `"mrenclave"`)
	case unknown != "":
		return lineOf(data, unknown)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return lineAt(data, int64(len(data)))
	}
	return lineOf(data, `"unsealed"`)
}

func lineOf(data []byte, word string) int {
	return lineAt(data, int64(max(0, bytes.Index(data, []byte(word)))))
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(int(offset), len(data))], []byte("\n"))
}

func firstDifference(a, b []byte) int {
	same := 0
	for same < min(len(a), len(b)) && a[same] == b[same] {
		same++
	}
	return lineAt(b, int64(same))
}

// ReadFile reads a lock. A file that is not there is an fs.ErrNotExist; one that
// cannot be understood is a *Error.
func ReadFile(path string) (Lock, error) {
	data, err := bounds.ReadFile(path, bounds.Lock)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return Lock{}, &Error{File: path, Problem: "cannot be read: " + larger.Reason()}
	}
	if err != nil {
		return Lock{}, fmt.Errorf("reading lock: %w", err)
	}
	l, err := Parse(data)
	var malformed *Error
	if errors.As(err, &malformed) {
		malformed.File = path
	}
	return l, err
}

// WriteFile writes a lock so that a reader sees the old file or the new one. A file that is
// there keeps its mode.
func (l Lock) WriteFile(path string) (err error) {
	data, err := l.Encode()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing lock: %w", errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(data)
	if err := errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// SVN is the setting that holds a signed enclave's security version (ISVSVN).
const SVN = "isvsvn"

// SecurityVersion returns the ISVSVN of the accepted enclave; 0 when it is not
// signed.
func (l Lock) SecurityVersion() (uint16, error) {
	text, signed := l.Settings[SVN]
	if !signed {
		return 0, nil
	}
	version, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, &Error{Problem: fmt.Sprintf("has %s %q, want a number of 16 bits", SVN, text)}
	}
	return uint16(version), nil
}

// CheckSecurityVersion refuses an ISVSVN that is lower than that of an older
// lock: those who ask for the older one would take the enclave for one whose
// holes are known. The error is a *sgx.PolicyError.
func (l Lock) CheckSecurityVersion(older Lock) error {
	least, err := older.SecurityVersion()
	if err != nil {
		return err
	}
	now, err := l.SecurityVersion()
	if err != nil || now >= least {
		return err
	}
	return &sgx.PolicyError{Violations: []sgx.Violation{sgx.LowSVN(now, least)}}
}

// Keep returns the lock with what it does not know and an older one of the same
// release does: an image alone does not tell what it was made from.
func (l Lock) Keep(older Lock) Lock {
	if len(l.Bases) == 0 {
		l.Bases = older.Bases
	}
	if len(l.Toolchains) == 0 && l.Settings["seal"] == older.Settings["seal"] {
		l.Toolchains = older.Toolchains
	}
	return l
}
