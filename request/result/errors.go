package result

import (
	"fmt"

	"github.com/mrelease/mrelease/printable"
)

// DamagedError says that a result is not as it was written, or no result at all.
type DamagedError struct {
	Where   string // which part of it
	Problem string
	Err     error // the cause; may be nil
}

// Error implements error.
func (e *DamagedError) Error() string { return "reading result: " + e.Where + ": " + e.Problem }

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Evidence returns where and what.
func (e *DamagedError) Evidence() [][2]string {
	facts := [][2]string{{"where", e.Where}, {"problem", e.Problem}}
	if e.Err != nil {
		facts = append(facts, [2]string{"because", e.Err.Error()})
	}
	return facts
}

// KeyError says that a result is encrypted for another key.
type KeyError struct {
	Bits    int // of the key that was tried
	Problem string
}

// Error implements error.
func (e *KeyError) Error() string { return "decrypting result: it is for another key" }

// Evidence returns which key was tried, and how that ended.
func (e *KeyError) Evidence() [][2]string {
	return [][2]string{{"key", fmt.Sprintf("RSA-%d", e.Bits)}, {"problem", e.Problem}}
}

// ClearError says that an archive is the result of a run without encryption.
type ClearError struct{}

// Error implements error.
func (*ClearError) Error() string { return "reading result: it is not encrypted" }

// Evidence returns by what that is seen.
func (*ClearError) Evidence() [][2]string {
	return [][2]string{{"expected", "an encrypted key and encrypted data"}, {"actual", "computed.json in the clear"}}
}

// RefusedError says that an entry of the decrypted archive is not written: no app needs
// it, and it could harm.
type RefusedError struct {
	Name   string // as the archive has it
	Reason string
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("unpacking result: %s: refused: %s", printable.Text(e.Name), e.Reason)
}

// Evidence returns entry and reason.
func (e *RefusedError) Evidence() [][2]string {
	return [][2]string{{"entry", printable.Text(e.Name)}, {"problem", e.Reason}}
}

// ExistsError says that there is something in the place of the new folder.
type ExistsError struct {
	Path    string
	Problem string // why it is not the result itself; "" when that was not looked at
}

// Error implements error.
func (e *ExistsError) Error() string { return "unpacking result: " + e.Path + " is there already" }

// Evidence returns the place.
func (e *ExistsError) Evidence() [][2]string {
	facts := [][2]string{{"expected", "nothing in the place of the new folder"}}
	if e.Problem != "" {
		facts = [][2]string{{"expected", "nothing in the place of the new folder, or this very result"}, {"actual", e.Problem}}
	}
	return append(facts, [2]string{"where", e.Path})
}

// DigestError says that a result is not the one that the contracts have the digest of.
type DigestError struct{ Got, Want string }

// Error implements error.
func (e *DigestError) Error() string {
	return "reading result: its digest is another one than the workers agreed on"
}

// Evidence returns both digests.
func (e *DigestError) Evidence() [][2]string {
	return [][2]string{{"expected digest", e.Want}, {"actual digest", e.Got}}
}
