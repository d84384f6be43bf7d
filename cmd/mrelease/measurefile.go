package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// fileAnswer is the answer of mrelease measure FILE --json.
type fileAnswer struct {
	Schema   string          `json:"schema"`
	File     string          `json:"file"`
	Kind     enclave.Kind    `json:"kind"`
	Enclaves []enclaveAnswer `json:"enclaves"`
	Failure  *failure        `json:"failure,omitempty"` // why the command does not end with 0
}

// enclaveAnswer is one way in which a file can be loaded. What a signature says
// is absent when there is none.
type enclaveAnswer struct {
	Part       string         `json:"part"`
	Computed   *sgx.MRENCLAVE `json:"computed,omitempty"`   // from the file's pages; absent when that cannot be done
	Unmeasured string         `json:"unmeasured,omitempty"` // why it cannot
	Signed     *sgx.MRENCLAVE `json:"signed,omitempty"`     // what the SIGSTRUCT says
	MRSIGNER   *sgx.MRSIGNER  `json:"mrsigner,omitempty"`
	Product    *uint16        `json:"isvprodid,omitempty"`
	SVN        *uint16        `json:"isvsvn,omitempty"`
	Debug      sgx.DebugMode  `json:"debug,omitempty"` // refused, allowed (the host chooses) or signed
	Date       string         `json:"date,omitempty"`  // YYYY-MM-DD
	Note       string         `json:"note,omitempty"`
	Proven     bool           `json:"proven"` // the pages measure to what is validly signed
	Problem    string         `json:"problem,omitempty"`
}

// releaseNote is said of signatures that Intel makes for itself.
const releaseNote = "ReleaseType is 1: EINIT refuses this signature outside Intel's own use"

// badEnclaveError says that a file is no enclave as its signer made it.
type badEnclaveError struct {
	File string
	Err  error
}

func (e *badEnclaveError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the verdicts.
func (e *badEnclaveError) Unwrap() error { return e.Err }

// signatureOnlyError says that the signatures in a file are valid and that nothing
// in it was measured.
type signatureOnlyError struct {
	File string
	Kind enclave.Kind
	Err  error // why nothing was
}

func (e *signatureOnlyError) Error() string {
	return fmt.Sprintf("%s (%s): only its signature was checked: %s", e.File, e.Kind, e.Err)
}

// Unwrap returns why nothing was measured.
func (e *signatureOnlyError) Unwrap() error { return e.Err }

// Evidence returns what kind of file it is, and what would have been needed.
func (e *signatureOnlyError) Evidence() [][2]string {
	return [][2]string{{"kind", string(e.Kind)}, {"expected", "pages that measure to the signed MRENCLAVE"}, {"actual", e.Err.Error()}}
}

// measureFile measures an enclave, an SGXS stream or a SIGSTRUCT natively, and
// checks its signatures. It runs nothing and needs no builder.
func (a *app) measureFile(ctx context.Context, path string) (err error) {
	f, size, err := openRegular(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var found *enclave.File
	err = a.story.step("measure", func() (string, error) {
		o := enclave.Options{MaxHashed: a.hashLimit << 30, Progress: a.hashProgress(time.Now)}
		found, err = o.Open(ctx, f, size)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d bytes", found.Kind, size), nil
	})
	if err != nil {
		return &badEnclaveError{path, err}
	}
	return a.printFile(path, found)
}

// progressEvery is how often it is told how far a measurement is.
const progressEvery = 5 * time.Second

// hashProgress tells from time to time how much was hashed. Most files are
// measured before the first time.
func (a *app) hashProgress(now func() time.Time) func(hashed, known uint64) {
	last := now()
	return func(hashed, known uint64) {
		if t := now(); t.Sub(last) >= progressEvery {
			last = t
			a.story.note("  %d MB of %d MB hashed (--hash-limit %d GiB)", hashed>>20, known>>20, a.hashLimit)
		}
	}
}

// openRegular opens a file and returns its size. It does not wait for a pipe that
// was put in the file's place in the meantime.
func openRegular(path string) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, &usageError{fmt.Errorf("opening enclave: %w", err), "mrelease measure"}
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is no regular file")}
	}
	if err != nil {
		return nil, 0, &usageError{errors.Join(fmt.Errorf("opening enclave: %w", err), f.Close()), "mrelease measure"}
	}
	return f, info.Size(), nil
}

func (a *app) printFile(path string, found *enclave.File) error {
	answer := fileAnswer{Schema: "mrelease.measure-file/v2", File: path, Kind: found.Kind}
	for _, e := range found.Enclaves {
		answer.Enclaves = append(answer.Enclaves, describeEnclave(e))
	}
	err := judgeFile(path, found)
	if err != nil {
		f := explain(err)
		answer.Failure = &f
	}
	if !a.json {
		a.printEnclaves(answer.Enclaves)
		return err
	}
	if err := printJSON(a.stdout, answer); err != nil {
		return err
	}
	if err != nil {
		return toldError{err}
	}
	return nil
}

// judgeFile says what speaks against taking a file's measurement for proven.
func judgeFile(path string, found *enclave.File) error {
	if err := found.Verdict(); err != nil {
		return &badEnclaveError{path, err}
	}
	for _, e := range found.Enclaves {
		if e.Unmeasured != nil {
			return &signatureOnlyError{path, found.Kind, e.Unmeasured}
		}
	}
	return nil
}

func describeEnclave(e enclave.Enclave) enclaveAnswer {
	answer := enclaveAnswer{Part: e.Part, Proven: e.Proven()}
	if e.Unmeasured == nil {
		answer.Computed = &e.Computed
	} else {
		answer.Unmeasured = e.Unmeasured.Error()
	}
	if e.Verdict != nil {
		answer.Problem = e.Verdict.Error()
	}
	if e.SIGSTRUCT == nil {
		return answer
	}
	body, signer := e.SIGSTRUCT.Body(), e.SIGSTRUCT.MRSIGNER()
	answer.Signed, answer.MRSIGNER = &body.MRENCLAVE, &signer
	answer.Product, answer.SVN, answer.Debug = &body.ProductID, &body.SecurityVersion, body.DebugMode()
	if body.ReleaseType {
		answer.Note = releaseNote
	}
	if day, ok := body.Day(); ok {
		answer.Date = day.Format("2006-01-02")
	}
	return answer
}

// printEnclaves prints what was measured, and tells what is known of it. A value
// that is only signed is told and never the answer: a script would take it for
// one that was measured.
func (a *app) printEnclaves(all []enclaveAnswer) {
	for _, e := range all {
		a.story.note("  %s: %s", e.Part, e.verdict())
		if e.MRSIGNER != nil {
			a.story.note("  MRSIGNER %s, isvprodid %d, isvsvn %d, debug %s", e.MRSIGNER, *e.Product, *e.SVN, e.Debug)
		}
		if e.Note != "" {
			a.story.note("  %s", e.Note)
		}
		if e.Computed != nil {
			fmt.Fprintln(a.stdout, e.Computed)
		} else if e.Signed != nil {
			a.story.note("  signed, not measured: MRENCLAVE %s", e.Signed)
		}
	}
}

func (e enclaveAnswer) verdict() string {
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
