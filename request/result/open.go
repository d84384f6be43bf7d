package result

import (
	"archive/zip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/mrelease/mrelease/bounds"
)

// Format says how a result is encrypted.
type Format string

// The formats, by their ciphers.
const (
	OAEP Format = "rsa-oaep, aes-256-cbc"
	ECB  Format = "rsa-pkcs1v15, aes-128-ecb, base64"
	CBC  Format = "rsa-pkcs1v15, aes-256-cbc"
	// Clear is a result whose request did not ask for encryption: the zip archive itself.
	Clear Format = "none"
)

// Encrypted is a result that was opened. It reads from where it was opened.
type Encrypted struct {
	Format Format

	key  []byte // encrypted, and in base64 for ECB
	data *zip.File
}

// Open finds the two parts of a result of a size, and its format. Its error is a
// [*DamagedError], a [*ClearError] or a [*bounds.Error].
func Open(r io.ReaderAt, size int64) (*Encrypted, error) {
	if size > bounds.Result {
		return nil, &bounds.Error{What: "its size", Most: bounds.Bytes(bounds.Result), Got: fmt.Sprintf("%d bytes", size)}
	}
	archive, err := openZip(r, size, bounds.ResultDirectory, "the archive")
	if err != nil {
		return nil, err
	}
	found := map[string]*zip.File{}
	for _, f := range archive.File {
		if _, again := found[f.Name]; again {
			return nil, &DamagedError{Where: "the archive", Problem: "it has an entry twice"}
		}
		found[f.Name] = f
	}
	key, data := found["aes-key.rsa"], found["iexec_out.zip.aes"]
	old := found["iexec_out/encrypted_key"] != nil || found["iexec_out/result.zip.aes"] != nil
	switch {
	case old && (key != nil || data != nil):
		return nil, &DamagedError{Where: "the archive", Problem: "it has entries of two formats"}
	case old:
		key, data = found["iexec_out/encrypted_key"], found["iexec_out/result.zip.aes"]
	case key == nil && data == nil && found["computed.json"] != nil:
		return nil, &ClearError{}
	}
	if key == nil || data == nil {
		return nil, &DamagedError{Where: "the archive", Problem: "it lacks an encrypted key (aes-key.rsa, iexec_out/encrypted_key) or encrypted data (iexec_out.zip.aes, iexec_out/result.zip.aes)"}
	}
	e := &Encrypted{Format: OAEP, data: data}
	if e.key, err = readEntry(key); err != nil {
		return nil, err
	}
	if !old {
		e.Format = formatOf(e.key)
	}
	return e, nil
}

// formatOf tells the formats by the key entry, which is binary or base64.
func formatOf(key []byte) Format {
	if _, err := base64.StdEncoding.DecodeString(string(key)); err == nil {
		return ECB
	}
	return CBC
}

// readEntry returns the content of a small entry.
func readEntry(f *zip.File) (content []byte, err error) {
	const most = 4 * bounds.RSA / 8 // in base64, and then some
	r, err := f.Open()
	if err == nil {
		content, err = bounds.ReadAll(r, most)
		err = errors.Join(err, r.Close())
	}
	if err != nil {
		return nil, &DamagedError{f.Name, "it cannot be read", err}
	}
	return content, nil
}

// openZip reads the directory of an archive, of at most so many bytes: what stands in
// it is held in memory.
func openZip(r io.ReaderAt, size, most int64, what string) (*zip.Reader, error) {
	const search = 66 << 10 // in which the directory's own end is looked for, a few times
	b := &budgeted{r: r, left: most + 4*search}
	archive, err := zip.NewReader(b, size)
	if b.left < 0 {
		return nil, &bounds.Error{Where: what, What: "the size of its directory", Most: bounds.Bytes(most)}
	}
	if err != nil {
		return nil, &DamagedError{what, "it is no zip archive, or not all of it", err}
	}
	b.open = true
	for _, f := range archive.File {
		if !slices.Contains([]uint16{zip.Store, zip.Deflate}, f.Method) {
			return nil, &DamagedError{Where: what, Problem: fmt.Sprintf("it is compressed in a way (%d) that no result is", f.Method)}
		}
		if f.Flags&1 != 0 {
			return nil, &DamagedError{Where: what, Problem: "an entry is locked with a password of its own"}
		}
	}
	return archive, nil
}

// budgeted reads at most a number of bytes, until it is open.
type budgeted struct {
	r    io.ReaderAt
	left int64
	open bool
}

var errBudget = errors.New("too large")

// ReadAt implements [io.ReaderAt].
func (b *budgeted) ReadAt(p []byte, at int64) (int, error) {
	if !b.open {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errBudget
		}
	}
	return b.r.ReadAt(p, at)
}
