package vectors

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/mrelease/mrelease/publish/evidence"
)

// The exit codes and codes of mrelease verify that vectors want.
const (
	exitUsage = 2

	malformed    = "E-EVIDENCE"
	badRecord    = "E-RECORD"
	badProof     = "E-PROOF"
	unchecked    = "E-UNCHECKED"
	unmeasured   = "E-UNMEASURED"
	conflict     = "E-APP-CONFLICT"
	moved        = "E-IMAGE-MOVED"
	content      = "E-IMAGE-CONTENT"
	noSignature  = "E-SIGNATURE"
	noProvenance = "E-PROVENANCE"
	revoked      = "E-REVOKED"
	spent        = "E-ORDER-SPENT"
	noOrder      = "E-ORDER-MISSING"
	badReference = "E-REFERENCE"
	badSBOM      = "E-SBOM"
	badVEX       = "E-VEX"
	badPolicy    = "E-POLICY"
)

func accepted() Want { return Want{} }

func refused(exit int, code string, fails ...string) Want { return Want{exit, code, fails} }

func unmeasuredOnly() Want { return Want{Exit: 15, Code: unmeasured} }

func incomplete() Want { return Want{Exit: 12, Code: unchecked} }

// set collects vectors.
type set struct{ all []Vector }

// raw adds a vector of these bytes.
func (s *set) raw(clause, says string, file []byte, want Want, args ...string) {
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return '-'
	}, says)
	s.all = append(s.all, Vector{fmt.Sprintf("%03d-%s", len(s.all)+1, name), clause, says, args, want, file})
}

// add adds a vector of a base, verified with the hash of its block.
func (s *set) add(clause, says string, b base, want Want, args ...string) error {
	file, err := b.file.Encode()
	if err != nil {
		return err
	}
	s.raw(clause, says, file, want, append([]string{"--block", b.block}, args...)...)
	return nil
}

// forge adds a vector of a base that somebody changed.
func (s *set) forge(clause, says string, b base, want Want, change func(f *evidence.File) error) error {
	b = b.fork()
	if err := change(&b.file); err != nil {
		return fmt.Errorf("%s: %w", says, err)
	}
	return s.add(clause, says, b, want)
}
