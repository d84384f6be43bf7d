package enclave

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/measure/sgx"
)

// OpenError says that a file cannot be opened to be measured, or that a value that it is
// to be compared with is none.
type OpenError struct{ Err error }

// Error implements error.
func (e *OpenError) Error() string { return "opening enclave: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

// Evidence returns what is wrong.
func (e *OpenError) Evidence() [][2]string {
	return [][2]string{{"expected", "regular files, and --expect with 64 hex digits"}, {"actual", e.Err.Error()}}
}

// OpenPath is [Options.Open] of a file of the machine, whose size in bytes it returns. It
// does not wait for a pipe that was put in the file's place. Further errors: *OpenError.
func (o Options) OpenPath(ctx context.Context, path string) (found *File, size int64, err error) {
	f, size, err := bounds.Open(path)
	if err != nil {
		return nil, 0, &OpenError{err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	found, err = o.Open(ctx, f, size)
	return found, size, err
}

// OpenSigned opens the first of some files, an SGXS stream together with its SIGSTRUCT when
// these are the first two, in either order. It returns how many files it took. Errors:
// *OpenError, and *FileError with those of [Open].
func (o Options) OpenSigned(ctx context.Context, paths []string) (found *File, size int64, used int, err error) {
	if found, size, err = o.OpenPath(ctx, paths[0]); err != nil {
		if _, isOpen := err.(*OpenError); !isOpen {
			err = &FileError{File: paths[0], Err: err}
		}
		return nil, 0, 1, err
	}
	if len(paths) == 1 || found.Kind != KindSGXS && found.Kind != KindSIGSTRUCT {
		return found, size, 1, nil
	}
	next, nextSize, err := o.OpenPath(ctx, paths[1])
	switch {
	case err != nil: // which is told when it is that file's turn
		return found, size, 1, nil
	case found.Sign(next):
		return found, size, 2, nil
	case next.Sign(found):
		return next, nextSize, 2, nil
	}
	return found, size, 1, nil
}

// Sign gives an SGXS stream, which has no signature of its own, the one of another file,
// and judges it. It reports whether that is what the two files are.
func (f *File) Sign(signature *File) bool {
	if f.Kind != KindSGXS || signature.Kind != KindSIGSTRUCT || f.Enclaves[0].SIGSTRUCT != nil {
		return false
	}
	e, s := &f.Enclaves[0], signature.Enclaves[0]
	e.Part, e.SIGSTRUCT, e.Verdict = "SGXS stream with its SIGSTRUCT", s.SIGSTRUCT, s.Verdict
	if e.SIGSTRUCT != nil {
		e.judge()
	}
	return true
}

// ExpectedError says that what was measured is not what was expected.
type ExpectedError struct {
	What string // the file, or the image
	Want string
	Got  []string
}

// Error implements error.
func (e *ExpectedError) Error() string { return e.What + " is not what was expected" }

// Evidence returns what was found.
func (e *ExpectedError) Evidence() [][2]string {
	facts := [][2]string{{"expected", e.Want}}
	if len(e.Got) == 0 {
		facts = append(facts, [2]string{"actual", "neither a measurement nor a valid signature"})
	}
	for _, got := range e.Got {
		facts = append(facts, [2]string{"actual", got})
	}
	return facts
}

// ParseExpected reads 64 hex digits, with or without 0x: an MRENCLAVE or an MRSIGNER.
func ParseExpected(text string) (value [32]byte, err error) {
	var m sgx.MRENCLAVE
	if err := m.UnmarshalText([]byte(strings.ToLower(strings.TrimPrefix(text, "0x")))); err != nil {
		return value, fmt.Errorf("reading the expected value %q: want the 64 hex digits of an MRENCLAVE or an MRSIGNER", text)
	}
	return m, nil
}

// CheckExpected refuses what ParseExpected does not take, with an *OpenError.
func CheckExpected(values []string) error {
	for _, value := range values {
		if _, err := ParseExpected(value); err != nil {
			return &OpenError{err}
		}
	}
	return nil
}

// Expect compares each way in which the file can be loaded with values, as ParseExpected
// takes them: each must be the measurement, or the key that validly signed it. Its error
// is an *ExpectedError.
func (f *File) Expect(name string, wanted []string) error {
	for _, text := range wanted {
		want, err := ParseExpected(text)
		if err != nil {
			return err
		}
		for _, e := range f.Enclaves {
			if values, right := e.compare(want); !right {
				return &ExpectedError{name, fmt.Sprintf("%x", want), values}
			}
		}
	}
	return nil
}

// Check is [File.Judge] and then [File.Expect]. Where nothing was measured, a value that is
// not even signed is an *ExpectedError: it cannot be right.
func (f *File) Check(name string, wanted []string) error {
	judged := f.Judge(name)
	var unmeasured *SignatureOnlyError
	switch {
	case judged == nil:
		return f.Expect(name, wanted)
	case !errors.As(judged, &unmeasured):
		return judged
	}
	signed := File{f.Kind, slices.Clone(f.Enclaves)}
	for i, e := range signed.Enclaves {
		if e.Unmeasured != nil && e.SIGSTRUCT != nil { // as if it measured to that
			signed.Enclaves[i].Computed, signed.Enclaves[i].Unmeasured = e.SIGSTRUCT.Body().MRENCLAVE, nil
		}
	}
	return cmp.Or(signed.Expect(name, wanted), judged)
}

// compare returns what an enclave is known by, and whether a value is among that.
func (e *Enclave) compare(want [32]byte) (values []string, right bool) {
	if e.Unmeasured == nil {
		values = append(values, "MRENCLAVE "+e.Computed.String())
		right = e.Computed == want
	}
	if e.SIGSTRUCT != nil && e.SIGSTRUCT.Verify() == nil {
		signer := e.SIGSTRUCT.MRSIGNER()
		values = append(values, "MRSIGNER "+signer.String())
		right = right || signer == want
	}
	return values, right
}
