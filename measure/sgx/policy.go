package sgx

import (
	"fmt"
	"slices"
)

// Policy says which signatures are good enough. Its zero value takes every
// valid signature of an enclave that is not signed for debug mode.
type Policy struct {
	AllowDebug         bool       // takes enclaves signed with DEBUG
	RequireDebugLocked bool       // refuses enclaves that the host may start in debug mode
	Signers            []MRSIGNER // the only signers taken; empty: any
	MinISVSVN          uint16     // the lowest security version taken
}

// Check verifies the signature and applies all rules. The error is a
// *PolicyError with every violation.
func (p Policy) Check(s *SIGSTRUCT) error {
	var broken []Violation
	if err := s.Verify(); err != nil {
		broken = append(broken, Violation{"signature", err.Error(), "a valid one"})
	}
	b := s.Body()
	if b.ReleaseType {
		broken = append(broken, Violation{"release type", "Intel's own: no CPU starts the enclave elsewhere", "0"})
	}
	if b.Debug() && !p.AllowDebug {
		broken = append(broken, Violation{"debug", "set: the enclave's memory is open", "not set"})
	}
	if !b.DebugLocked() && p.RequireDebugLocked {
		broken = append(broken, Violation{"debug mask", "open: the host may choose debug mode", "the DEBUG bit in ATTRIBUTEMASK"})
	}
	if len(p.Signers) > 0 && !slices.Contains(p.Signers, s.MRSIGNER()) {
		broken = append(broken, Violation{"signer", s.MRSIGNER().String(), fmt.Sprintf("one of %v", p.Signers)})
	}
	if b.SecurityVersion < p.MinISVSVN {
		broken = append(broken, LowSVN(b.SecurityVersion, p.MinISVSVN))
	}
	if broken != nil {
		return &PolicyError{broken}
	}
	return nil
}

// LowSVN is the violation of a security version that is lower than the least.
func LowSVN(got, least uint16) Violation {
	return Violation{"ISVSVN", fmt.Sprint(got), fmt.Sprintf("at least %d", least)}
}
