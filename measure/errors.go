package measure

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// MismatchError says that the sources of a measurement disagree.
type MismatchError struct{ Readings []Reading }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%d sources state different measurements", len(e.Readings))
}

// Evidence returns each source with its value.
func (e *MismatchError) Evidence() [][2]string {
	var facts [][2]string
	for _, r := range e.Readings {
		facts = append(facts, [2]string{r.Source, r.Value})
	}
	return facts
}

// OutputError says that the image, run in hash mode, printed something other
// than one measurement.
type OutputError struct {
	Problem        string
	Stdout, Stderr string // as far as they were kept
	ExitCode       int
}

func (e *OutputError) Error() string { return "the image, run in hash mode, " + e.Problem }

// Evidence returns what the program printed.
func (e *OutputError) Evidence() [][2]string {
	return [][2]string{{"exit code", fmt.Sprint(e.ExitCode)}, {"stdout", excerpt(e.Stdout)}, {"stderr", excerpt(e.Stderr)}}
}

// TimeoutError says that the image, run in hash mode, did not end.
type TimeoutError struct {
	After          time.Duration
	Stdout, Stderr string
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the image, run in hash mode, did not end within %s", e.After)
}

// Evidence returns what the program had printed.
func (e *TimeoutError) Evidence() [][2]string {
	return [][2]string{{"stdout", excerpt(e.Stdout)}, {"stderr", excerpt(e.Stderr)}}
}

// NoSealError says that a legacy fingerprint is wanted, and the image measures,
// but nothing states the KEY and TAG of its seal.
type NoSealError struct {
	MRENCLAVE MRENCLAVE
	File      string // where the image was searched
}

func (e *NoSealError) Error() string {
	return "no KEY and TAG: neither the image's fingerprint file nor the build's output states them"
}

// Evidence returns what was found and where the rest was looked for.
func (e *NoSealError) Evidence() [][2]string {
	return [][2]string{{"MRENCLAVE", e.MRENCLAVE.String()}, {"fingerprint file", e.File + " (not in the image)"}, {"build output", "no MREnclave: line"}}
}

// output is what a run of the image left behind.
type output struct {
	stdout, stderr head
	exitCode       int
}

func (o output) problem(what string) error {
	return &OutputError{Problem: what, Stdout: o.stdout.String(), Stderr: o.stderr.String(), ExitCode: o.exitCode}
}

// head keeps the beginning of what is written to it: an image may print
// without end.
type head struct{ buf bytes.Buffer }

const headLimit = 64 << 10

func (h *head) Write(p []byte) (int, error) {
	if room := headLimit - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string { return h.buf.String() }

// UnmeasuredError says that an image could not be run: what it and others state of its
// measurement agrees, as far as it is stated, and nothing was measured.
type UnmeasuredError struct{ Err error }

// Error implements error.
func (e *UnmeasuredError) Error() string {
	if errors.As(e.Err, new(*NotRunError)) {
		return "not checked: " + e.Err.Error()
	}
	return "not checked: no builder: " + e.Err.Error()
}

// NotRunError says that an image could have been run, and was not to be.
type NotRunError struct{ Flag string }

func (e *NotRunError) Error() string { return "nothing was to be run" }

// Evidence returns who said so.
func (e *NotRunError) Evidence() [][2]string {
	return [][2]string{{"expected", "a run of the image"}, {"actual", e.Flag}}
}

// Unwrap returns why there is nothing to run an image with.
func (e *UnmeasuredError) Unwrap() error { return e.Err }
