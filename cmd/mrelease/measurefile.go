package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// fileAnswer is the answer of mrelease measure FILE --json.
type fileAnswer struct {
	Schema   string          `json:"schema"`
	File     string          `json:"file"`
	Kind     enclave.Kind    `json:"kind"`
	Enclaves []enclaveAnswer `json:"enclaves"`
}

// enclaveAnswer is one way in which a file can be loaded.
type enclaveAnswer struct {
	Part     string         `json:"part"`
	Computed *sgx.MRENCLAVE `json:"computed,omitempty"` // from the file's pages; absent when that cannot be done
	Signed   *sgx.MRENCLAVE `json:"signed,omitempty"`   // what the SIGSTRUCT says; absent when there is none
	MRSIGNER *sgx.MRSIGNER  `json:"mrsigner,omitempty"`
	Product  uint16         `json:"isvprodid"`
	SVN      uint16         `json:"isvsvn"`
	Debug    bool           `json:"debug"`
	Date     string         `json:"date,omitempty"` // YYYY-MM-DD
	Proven   bool           `json:"proven"`         // the pages measure to what is validly signed
	Problem  string         `json:"problem,omitempty"`
}

// badEnclaveError says that a file is no enclave as its signer made it.
type badEnclaveError struct {
	File string
	Err  error
}

func (e *badEnclaveError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap returns the verdicts.
func (e *badEnclaveError) Unwrap() error { return e.Err }

// measureFile measures an enclave, an SGXS stream or a SIGSTRUCT natively, and
// checks its signatures. It runs nothing and needs no builder.
func (a *app) measureFile(ctx context.Context, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening enclave: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("opening enclave: %w", err)
	}
	var found *enclave.File
	err = a.story.step("measure", func() (string, error) {
		found, err = enclave.Open(ctx, f, info.Size())
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d bytes", found.Kind, info.Size()), nil
	})
	if err != nil {
		return &badEnclaveError{path, err}
	}
	return a.printFile(path, found)
}

func (a *app) printFile(path string, found *enclave.File) error {
	answer := fileAnswer{Schema: "mrelease.measure-file/v1", File: path, Kind: found.Kind}
	for _, e := range found.Enclaves {
		answer.Enclaves = append(answer.Enclaves, describeEnclave(e))
	}
	if a.json {
		if err := printJSON(a.stdout, answer); err != nil {
			return err
		}
	} else {
		a.printEnclaves(answer.Enclaves)
	}
	if err := found.Verdict(); err != nil {
		return &badEnclaveError{path, err}
	}
	return nil
}

func describeEnclave(e enclave.Enclave) enclaveAnswer {
	answer := enclaveAnswer{Part: e.Part, Proven: e.Proven()}
	if e.Unmeasured == nil {
		answer.Computed = &e.Computed
	}
	if e.Verdict != nil {
		answer.Problem = e.Verdict.Error()
	}
	if e.SIGSTRUCT == nil {
		return answer
	}
	body, signer := e.SIGSTRUCT.Body(), e.SIGSTRUCT.MRSIGNER()
	answer.Signed, answer.MRSIGNER = &body.MRENCLAVE, &signer
	answer.Product, answer.SVN, answer.Debug = body.ProductID, body.SecurityVersion, body.Debug()
	if day, ok := body.Day(); ok {
		answer.Date = day.Format("2006-01-02")
	}
	return answer
}

// printEnclaves prints the measurement of each enclave, and tells what is known
// of it.
func (a *app) printEnclaves(all []enclaveAnswer) {
	for _, e := range all {
		value := e.Computed
		if value == nil {
			value = e.Signed
		}
		a.story.note("  %s: %s", e.Part, e.verdict())
		if e.MRSIGNER != nil {
			a.story.note("  MRSIGNER %s, isvprodid %d, isvsvn %d, debug %t", e.MRSIGNER, e.Product, e.SVN, e.Debug)
		}
		if value != nil {
			fmt.Fprintln(a.stdout, value)
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
		return "validly signed; its pages cannot be measured from this file"
	}
	return "measured; not signed"
}
