package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

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

// measureFiles measures enclaves, SGXS streams and SIGSTRUCTs natively, and checks their
// signatures. It runs nothing and needs no builder. The error is that of the first file
// that has one.
func (a *app) measureFiles(ctx context.Context, paths []string) error {
	var all []fileAnswer
	var first error
	a.files = len(paths)
	for len(paths) > 0 {
		answer, used, err := a.measureFile(ctx, paths)
		if len(answer.Enclaves) == 0 && len(paths) == 1 && all == nil {
			return err // of one file, nothing else is known
		}
		first = cmp.Or(first, err)
		all, paths = append(all, answer), paths[used:]
	}
	if !a.json {
		return first
	}
	document := any(map[string]any{"schema": "mrelease.measure-files/v1", "files": all})
	if len(all) == 1 {
		document = all[0]
	}
	if err := printJSON(a.stdout, document); err != nil || first == nil {
		return err
	}
	return usage.ToldError{Err: first}
}

// measureFile measures the first of some files, with the second one when that is its
// signature, and returns how many it took.
func (a *app) measureFile(ctx context.Context, paths []string) (answer fileAnswer, used int, err error) {
	answer, used = fileAnswer{Schema: "mrelease.measure-file/v2", File: paths[0]}, 1
	var found *enclave.File
	err = a.story.step("measure", func() (string, error) {
		o := enclave.Options{MaxHashed: a.hashLimit << 30, Progress: a.hashProgress(time.Now)}
		var size int64
		if found, size, used, err = o.OpenSigned(ctx, paths); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d bytes", found.Kind, size), found.Check(paths[0], a.expected)
	})
	if found != nil {
		answer.Kind = found.Kind
		for _, e := range found.Enclaves {
			answer.Enclaves = append(answer.Enclaves, e.Report())
		}
	}
	if err != nil {
		f := explain(err)
		answer.Failure = &f
	}
	if !a.json {
		a.printEnclaves(answer, a.files > used)
	}
	return answer, used, err
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

// printEnclaves prints what was measured, each value once, and tells what is known of
// it. A value that is only signed is told and never the answer: a script would take it
// for one that was measured.
func (a *app) printEnclaves(answer fileAnswer, named bool) {
	var printed []string
	for _, e := range answer.Enclaves {
		for _, line := range e.Lines() {
			a.story.note("  %s", line)
		}
		if e.Computed != nil && !slices.Contains(printed, e.Computed.String()) {
			printed = append(printed, e.Computed.String())
			line := e.Computed.String()
			if named { // as sha256sum has it
				line += "  " + answer.File
			}
			fmt.Fprintln(a.stdout, line)
		}
	}
}
