package sgx

import (
	"fmt"
	"strings"
)

// FormatError says which part of a file or structure is malformed, and how.
type FormatError struct {
	Part    string // "SIGSTRUCT EXPONENT", "SGXS EADD", "SGX metadata layout", ...
	Problem string
	Offset  int64  // byte in the file or structure; negative: no single place
	Got     string // what stands there; empty: not one value
	Want    string // what would be right; empty: many values
}

func (e *FormatError) Error() string {
	text := e.Part + " " + e.Problem
	if e.Got != "" {
		text += ": got " + e.Got
	}
	if e.Want != "" {
		text += ", want " + e.Want
	}
	return text
}

// Evidence returns the place and both values, as far as there are any.
func (e *FormatError) Evidence() [][2]string {
	facts := [][2]string{{"part", e.Part}, {"problem", e.Problem}}
	if e.Offset >= 0 {
		facts = append(facts, [2]string{"offset", fmt.Sprintf("%#x", e.Offset)})
	}
	for _, fact := range [][2]string{{"got", e.Got}, {"want", e.Want}} {
		if fact[1] != "" {
			facts = append(facts, fact)
		}
	}
	return facts
}

// LimitError says that a file asks for more work than this package does for
// any file. It keeps hostile files from using up time or memory.
type LimitError struct {
	What  string // "enclave size in bytes", "measured pages", ...
	Got   uint64
	Limit uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: %d is above the limit of %d", e.What, e.Got, e.Limit)
}

// Evidence returns the number and the limit.
func (e *LimitError) Evidence() [][2]string {
	return [][2]string{{"what", e.What}, {"got", fmt.Sprint(e.Got)}, {"limit", fmt.Sprint(e.Limit)}}
}

// SignatureError says that a well-formed SIGSTRUCT is not signed by the key
// that it holds.
type SignatureError struct {
	Part     string // "RSA signature", "Q1" or "Q2"
	MRSIGNER MRSIGNER
	Cause    error // the RSA check's own error; nil for Q1 and Q2
}

func (e *SignatureError) Error() string {
	text := "SIGSTRUCT " + e.Part + " does not fit its content and key"
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns the RSA check's own error.
func (e *SignatureError) Unwrap() error { return e.Cause }

// Evidence returns which part failed and whose key the structure names.
func (e *SignatureError) Evidence() [][2]string {
	return [][2]string{{"part", e.Part}, {"MRSIGNER of the key", e.MRSIGNER.String()}}
}

// KeyError says why a key cannot sign enclaves, and what to do.
type KeyError struct {
	Problem string
	Got     string // what the file or key is; empty: unknown
	Remedy  string
}

func (e *KeyError) Error() string {
	text := "enclave signing key " + e.Problem
	if e.Got != "" {
		text += ": got " + e.Got
	}
	return text + "; " + e.Remedy
}

// Evidence returns what was found, what SGX needs, and the remedy.
func (e *KeyError) Evidence() [][2]string {
	return [][2]string{{"problem", e.Problem}, {"got", e.Got}, {"want", "RSA, 3072 bits, exponent 3"}, {"remedy", e.Remedy}}
}

// Violation is one rule of a [Policy] that a SIGSTRUCT breaks.
type Violation struct {
	Rule      string // "signature", "debug", "signer", "ISVSVN", ...
	Got, Want string
}

// PolicyError lists all rules that a SIGSTRUCT breaks.
type PolicyError struct{ Violations []Violation }

func (e *PolicyError) Error() string {
	var rules []string
	for _, v := range e.Violations {
		rules = append(rules, fmt.Sprintf("%s is %s, want %s", v.Rule, v.Got, v.Want))
	}
	return "the enclave's signature breaks the policy: " + strings.Join(rules, "; ")
}

// Evidence returns each violated rule with both values.
func (e *PolicyError) Evidence() [][2]string {
	var facts [][2]string
	for _, v := range e.Violations {
		facts = append(facts, [2]string{v.Rule, "got " + v.Got + ", want " + v.Want})
	}
	return facts
}
