package sgx

import (
	"encoding/hex"
	"fmt"
)

// MRENCLAVE is the SHA-256 over the instructions that build an enclave (Intel
// SDM volume 3D, "MRENCLAVE"). It converts to any other [32]byte type.
type MRENCLAVE [32]byte

// String returns 64 lower-case hex digits.
func (m MRENCLAVE) String() string { return hex.EncodeToString(m[:]) }

// MarshalText implements [encoding.TextMarshaler] by String.
func (m MRENCLAVE) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: 64 lower-case hex
// digits. The error is a *FormatError.
func (m *MRENCLAVE) UnmarshalText(text []byte) error { return decodeHash("MRENCLAVE", text, m[:]) }

// MRSIGNER is the SHA-256 over a signing key's modulus as a SIGSTRUCT stores
// it: 384 bytes, little endian (Intel SDM volume 3D, "MRSIGNER").
type MRSIGNER [32]byte

// String returns 64 lower-case hex digits.
func (m MRSIGNER) String() string { return hex.EncodeToString(m[:]) }

// MarshalText implements [encoding.TextMarshaler] by String.
func (m MRSIGNER) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]: 64 lower-case hex
// digits. The error is a *FormatError.
func (m *MRSIGNER) UnmarshalText(text []byte) error { return decodeHash("MRSIGNER", text, m[:]) }

// decodeHash takes the one spelling that String prints, so that two texts that
// differ are two values.
func decodeHash(part string, text, dst []byte) error {
	if len(text) != hex.EncodedLen(len(dst)) {
		return &FormatError{Part: part, Problem: "has the wrong length", Offset: -1, Got: fmt.Sprintf("a length of %d", len(text)), Want: "64 lower-case hex digits"}
	}
	for i, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return &FormatError{Part: part, Problem: "has a character that is no lower-case hex digit", Offset: int64(i), Got: fmt.Sprintf("%q", c)}
		}
	}
	_, err := hex.Decode(dst, text)
	return err
}
