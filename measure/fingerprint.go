package measure

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/printable"
)

// Fingerprint is the legacy value that chains store about an enclave whose
// files are sealed by a file-system protection file (FSPF):
//
//	KEY|TAG|MRENCLAVE[|ENTRYPOINT]
//
// in lower-case hex (64|32|64 digits), as iExec's secret service of 2019 to
// 2021 split it (class SconeFingerprint). KEY decrypts the protection file and
// TAG is its AES-GCM tag: together they bind the app's files, while MRENCLAVE
// covers only the interpreter and its settings.
type Fingerprint struct {
	Key        [32]byte
	Tag        [16]byte
	MRENCLAVE  MRENCLAVE
	Entrypoint string // empty: the value has three parts
}

// ParseFingerprint reads a fingerprint of three or four parts. Its error is a
// *FormatError that names the part.
func ParseFingerprint(s string) (Fingerprint, error) {
	parts := strings.Split(s, "|")
	if len(parts) != 3 && len(parts) != 4 {
		return Fingerprint{}, &FormatError{"fingerprint", fmt.Sprintf("has %s, want KEY|TAG|MRENCLAVE or KEY|TAG|MRENCLAVE|ENTRYPOINT", printable.Count(len(parts), "part")), excerpt(s)}
	}
	var f Fingerprint
	if err := decodeHex("KEY", parts[0], f.Key[:]); err != nil {
		return Fingerprint{}, err
	}
	if err := decodeHex("TAG", parts[1], f.Tag[:]); err != nil {
		return Fingerprint{}, err
	}
	if err := decodeHex("MRENCLAVE", parts[2], f.MRENCLAVE[:]); err != nil {
		return Fingerprint{}, err
	}
	if len(parts) == 4 {
		if err := checkEntrypoint(parts[3]); err != nil {
			return Fingerprint{}, err
		}
		f.Entrypoint = parts[3]
	}
	return f, nil
}

// checkEntrypoint refuses what could not be told apart when the fingerprint is
// split again, and what a log line would not carry whole.
func checkEntrypoint(s string) error {
	if strings.TrimSpace(s) == "" {
		return &FormatError{"ENTRYPOINT", "is empty", excerpt(s)}
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r == '|' || r < ' ' || r == 0x7f }) {
		return &FormatError{"ENTRYPOINT", "has a | or a control character", excerpt(s)}
	}
	return nil
}

// String returns the value as chains store it.
func (f Fingerprint) String() string {
	s := hex.EncodeToString(f.Key[:]) + "|" + hex.EncodeToString(f.Tag[:]) + "|" + f.MRENCLAVE.String()
	if f.Entrypoint != "" {
		s += "|" + f.Entrypoint
	}
	return s
}
