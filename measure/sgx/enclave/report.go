package enclave

import (
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Report is one way in which a file can be loaded. What a signature says
// is absent when there is none.
type Report struct {
	Part       string         `json:"part"`
	Computed   *sgx.MRENCLAVE `json:"computed,omitempty"`   // from the file's pages; absent when that cannot be done
	Unmeasured string         `json:"unmeasured,omitempty"` // why it cannot
	Signed     *sgx.MRENCLAVE `json:"signed,omitempty"`     // what the SIGSTRUCT says
	MRSIGNER   *sgx.MRSIGNER  `json:"mrsigner,omitempty"`
	Product    *uint16        `json:"isvprodid,omitempty"`
	SVN        *uint16        `json:"isvsvn,omitempty"`
	Debug      sgx.DebugMode  `json:"debug,omitempty"` // refused, allowed (the host chooses) or signed
	Date       string         `json:"date,omitempty"`  // YYYY-MM-DD
	Details    *Details       `json:"details,omitempty"`
	Memory     *Memory        `json:"memory,omitempty"`
	Note       string         `json:"note,omitempty"`
	Proven     bool           `json:"proven"` // the pages measure to what is validly signed
	Problem    string         `json:"problem,omitempty"`
}

// releaseNote is said of signatures that Intel makes for itself.
const releaseNote = "ReleaseType is 1: EINIT refuses this signature outside Intel's own use"

// FileError says that a file is no enclave as its signer made it.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the verdicts.
func (e *FileError) Unwrap() error { return e.Err }

// SignatureOnlyError says that the signatures in a file are valid and that nothing
// in it was measured.
type SignatureOnlyError struct {
	File string
	Kind Kind
	Err  error // why nothing was
}

func (e *SignatureOnlyError) Error() string {
	return fmt.Sprintf("%s (%s): only its signature was checked: %s", e.File, e.Kind, e.Err)
}

// Remedy says how the measurement can be had.
func (e *SignatureOnlyError) Remedy() string {
	switch e.Kind {
	case KindSIGSTRUCT:
		return "measure the enclave that it signs: mrelease measure FILE, with the enclave's own file"
	case KindWindows:
		return "measure the build for Linux, or this one with the SDK's tool on Windows"
	}
	return "measure it with the tool of the runtime that starts it; for an image, mrelease measure IMAGE"
}

// Unwrap returns why nothing was measured.
func (e *SignatureOnlyError) Unwrap() error { return e.Err }

// Evidence returns what kind of file it is, and what would have been needed.
func (e *SignatureOnlyError) Evidence() [][2]string {
	return [][2]string{{"kind", string(e.Kind)}, {"expected", "pages that measure to the signed MRENCLAVE"}, {"actual", e.Err.Error()}}
}

// Judge says what speaks against taking the file's measurement for proven; the name is
// for the error. Errors: *FileError, *SignatureOnlyError.
func (f *File) Judge(name string) error {
	if err := f.Verdict(); err != nil {
		return &FileError{name, err}
	}
	for _, e := range f.Enclaves {
		if e.Unmeasured != nil {
			return &SignatureOnlyError{name, f.Kind, e.Unmeasured}
		}
	}
	return nil
}

// Report says of an enclave what is known of it, as JSON has it.
func (e Enclave) Report() Report {
	r := Report{Part: e.Part, Proven: e.Proven(), Memory: e.Memory}
	if e.Unmeasured == nil {
		r.Computed = &e.Computed
	} else {
		r.Unmeasured = e.Unmeasured.Error()
	}
	if e.Verdict != nil {
		r.Problem = e.Verdict.Error()
	}
	if e.SIGSTRUCT == nil {
		return r
	}
	body, signer := e.SIGSTRUCT.Body(), e.SIGSTRUCT.MRSIGNER()
	r.Signed, r.MRSIGNER = &body.MRENCLAVE, &signer
	r.Product, r.SVN, r.Debug = &body.ProductID, &body.SecurityVersion, body.DebugMode()
	r.Details = newDetails(body)
	if body.ReleaseType {
		r.Note = releaseNote
	}
	if day, ok := body.Day(); ok {
		r.Date = day.Format("2006-01-02")
	}
	return r
}

// Verdict says in words what the report says.
func (e Report) Verdict() string {
	switch {
	case e.Problem != "":
		return e.Problem
	case e.Proven:
		return "its pages measure to what is signed"
	case e.Signed != nil:
		return "validly signed; " + e.Unmeasured
	}
	return "measured; not signed"
}

// maxShown bounds the lines of a memory map that are shown; the document has all.
const maxShown = 40

// Lines say for people what is known, but for a measurement, which is an answer.
func (e Report) Lines() []string {
	all := []string{e.Part + ": " + e.Verdict()}
	if e.MRSIGNER != nil {
		all = append(all, fmt.Sprintf("MRSIGNER %s, isvprodid %d, isvsvn %d, debug %s", e.MRSIGNER, *e.Product, *e.SVN, e.Debug))
		all = append(all, e.Details.lines()...)
	}
	if e.Note != "" {
		all = append(all, e.Note)
	}
	if e.Memory != nil {
		lines := e.Memory.lines()
		all = append(all, lines[:min(maxShown, len(lines))]...)
		if more := len(lines) - maxShown; more > 0 {
			all = append(all, fmt.Sprintf("and %d runs of pages more (--json has all)", more))
		}
	}
	if e.Computed == nil && e.Signed != nil {
		all = append(all, fmt.Sprintf("signed, not measured: MRENCLAVE %s", e.Signed))
	}
	return all
}
