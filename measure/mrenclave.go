package measure

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/mrelease/mrelease/printable"
)

// MRENCLAVE is the SHA-256 that the CPU computes over an enclave's initial
// pages (Intel SDM volume 3D, "Measurement of enclave").
type MRENCLAVE [32]byte

// SyntheticPrefix begins each value that a stand-in toolchain prints. It marks
// the value where the mark cannot be lost: in the value itself, on every chain
// and in every record. A real measurement begins so with probability 2^-72.
const SyntheticPrefix = "SYNTHETIC"

// ParseMRENCLAVE reads 64 lower-case hex digits, the form in which runtimes
// print the value and chains store it.
func ParseMRENCLAVE(s string) (MRENCLAVE, error) {
	var m MRENCLAVE
	err := decodeHex("MRENCLAVE", s, m[:])
	return m, err
}

// String returns 64 lower-case hex digits.
func (m MRENCLAVE) String() string { return hex.EncodeToString(m[:]) }

// IsSynthetic reports whether a stand-in toolchain made the value.
func (m MRENCLAVE) IsSynthetic() bool { return bytes.HasPrefix(m[:], []byte(SyntheticPrefix)) }

// MarshalText implements [encoding.TextMarshaler] by String.
func (m MRENCLAVE) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] by [ParseMRENCLAVE].
func (m *MRENCLAVE) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMRENCLAVE(string(text))
	return err
}

// FormatError says which part of a value is malformed, and how.
type FormatError struct {
	Part    string // "KEY", "TAG", "MRENCLAVE", "heapSize", ...
	Problem string
	Value   string // the part as it was found, shortened
}

func (e *FormatError) Error() string { return fmt.Sprintf("%s %s", e.Part, e.Problem) }

// Evidence returns what was found.
func (e *FormatError) Evidence() [][2]string {
	return [][2]string{{"part", e.Part}, {"problem", e.Problem}, {"found", e.Value}}
}

// decodeHex reads exactly len(dst) bytes of lower-case hex. Its errors name the
// part, so that a key of 63 digits is not taken for a bad measurement.
func decodeHex(part, s string, dst []byte) error {
	if want := hex.EncodedLen(len(dst)); len(s) != want {
		return &FormatError{part, fmt.Sprintf("has %s, want %d hex digits", printable.Count(len(s), "character"), want), excerpt(s)}
	}
	for i, c := range []byte(s) {
		if !isLowerHex(c) {
			return &FormatError{part, fmt.Sprintf("has %q at position %d, want lower-case hex digits", c, i+1), excerpt(s)}
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err
}

func isLowerHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' }

// excerpt shortens what an error shows of a value that may be of any length.
func excerpt(s string) string {
	const limit = 200
	if len(s) <= limit {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q and %s more", s[:limit], printable.Count(len(s)-limit, "byte"))
}
