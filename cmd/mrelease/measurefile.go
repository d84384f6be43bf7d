package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// fileAnswer is the answer of mrelease measure FILE --json.
type fileAnswer struct {
	Schema   string           `json:"schema"`
	File     string           `json:"file"`
	Kind     enclave.Kind     `json:"kind"`
	Enclaves []enclave.Report `json:"enclaves"`
	Failure  *failure         `json:"failure,omitempty"` // why the command does not end with 0
}

// measureFile measures an enclave, an SGXS stream or a SIGSTRUCT natively, and
// checks its signatures. It runs nothing and needs no builder.
func (a *app) measureFile(ctx context.Context, path string) (err error) {
	f, size, err := bounds.Open(path)
	if err != nil {
		return usage.Errorf("mrelease measure", "opening enclave: %w", err)
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
		return &enclave.FileError{File: path, Err: err}
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

func (a *app) printFile(path string, found *enclave.File) error {
	answer := fileAnswer{Schema: "mrelease.measure-file/v2", File: path, Kind: found.Kind}
	for _, e := range found.Enclaves {
		answer.Enclaves = append(answer.Enclaves, e.Report())
	}
	err := found.Judge(path)
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

// printEnclaves prints what was measured, and tells what is known of it. A value
// that is only signed is told and never the answer: a script would take it for
// one that was measured.
func (a *app) printEnclaves(all []enclave.Report) {
	for _, e := range all {
		a.story.note("  %s: %s", e.Part, e.Verdict())
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
