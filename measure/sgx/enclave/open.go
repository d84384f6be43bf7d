package enclave

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/measure/sgx"
)

// Kind is a kind of file.
type Kind string

// The kinds that Open tells apart.
const (
	KindSIGSTRUCT    Kind = "SIGSTRUCT"
	KindSGXS         Kind = "SGXS stream"
	KindIntel        Kind = "Intel SDK enclave"
	KindOpenEnclave  Kind = "Open Enclave enclave"
	KindWindows      Kind = "Windows binary" // a PE file with SIGSTRUCTs in it
	KindSignedBinary Kind = "signed binary"  // SIGSTRUCTs in a file of another kind
)

// File is what Open found.
type File struct {
	Kind Kind
	// Enclaves has one element for each way in which the file can be loaded,
	// at least one.
	Enclaves []Enclave
}

// Enclave is one way to load a file, or one SIGSTRUCT in it.
type Enclave struct {
	Part      string         // which part of the file it is, and for which loader
	Offset    int64          // of the SIGSTRUCT in the file, in bytes; -1: the kind of file has none
	SIGSTRUCT *sgx.SIGSTRUCT // nil: none, or malformed
	Computed  sgx.MRENCLAVE  // what the pages measure to, if Unmeasured is nil
	Memory    *Memory        // nil where no loader's plan is known

	// Unmeasured says why there is no Computed: *UnmeasurableError. Only files
	// that are no enclaves of a known SDK have it, and unsigned ones of Open
	// Enclave: a signed enclave that cannot be measured is an error of Open.
	Unmeasured error
	// Verdict is nil if nothing speaks against the enclave: the signature
	// verifies, and its MRENCLAVE is Computed as far as that exists. Otherwise
	// *sgx.FormatError, *sgx.SignatureError, *MismatchError or *UnsignedError.
	// Whoever needs to know that the file is what was signed asks Proven.
	Verdict error
}

// Proven reports whether the file's own pages measure to what is validly
// signed.
func (e *Enclave) Proven() bool { return e.SIGSTRUCT != nil && e.Unmeasured == nil && e.Verdict == nil }

// judge compares what was computed with what is signed.
func (e *Enclave) judge() {
	if e.SIGSTRUCT == nil {
		return
	}
	e.Verdict = e.SIGSTRUCT.Verify()
	if signed := e.SIGSTRUCT.Body().MRENCLAVE; e.Verdict == nil && e.Unmeasured == nil && signed != e.Computed {
		e.Verdict = &MismatchError{e.Part, e.Computed, signed}
	}
}

// Verdict joins the verdicts on all enclaves; nil when nothing speaks against
// any of them.
func (f *File) Verdict() error {
	var all []error
	for _, e := range f.Enclaves {
		if e.Verdict != nil {
			all = append(all, fmt.Errorf("%s: %w", e.Part, e.Verdict))
		}
	}
	return errors.Join(all...)
}

// Open finds out what a file is, measures it, and checks its signatures. What
// is wrong with a signature is in the result; an error says that the file
// cannot be read as what it is:
//
//   - *sgx.FormatError: it contradicts its own format, or no CPU could load it
//   - *sgx.LimitError: it asks for more than the limits of this package
//   - *UnmeasurableError: it is an enclave of one of the SDKs, or holds the marks
//     of one, and its pages cannot be measured
//   - *UnsignedError: it is an enclave of Intel's SDK before signing
//   - *NoSignatureError: it is nothing of SGX
//   - the context's error, or the reader's
func Open(ctx context.Context, r io.ReaderAt, size int64) (*File, error) {
	return Options{}.Open(ctx, r, size)
}

// Open is [Open] with other bounds.
func (o Options) Open(ctx context.Context, r io.ReaderAt, size int64) (*File, error) {
	start := make([]byte, min(max(size, 0), 8))
	if _, err := r.ReadAt(start, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading start of file: %w", err)
	}
	return o.open(ctx, r, size, string(start))
}

func (o Options) open(ctx context.Context, r io.ReaderAt, size int64, start string) (*File, error) {
	switch {
	case start == "ECREATE\x00" || start == "UNSIZED\x00":
		return openSGXS(ctx, r, size, o.work())
	case strings.HasPrefix(start, "\x7fELF"):
		return openELF(ctx, r, size, o.work())
	case size == sgx.SIGSTRUCTSize:
		return openOther(ctx, r, size, o.work(), other{KindSIGSTRUCT, "is a signature without its enclave"})
	case isPE(r, size):
		return openOther(ctx, r, size, o.work(), other{KindWindows, "is for Windows, whose loader's page layout is not known here"})
	}
	return openOther(ctx, r, size, o.work(), otherRuntime())
}

// other is a kind of file whose signatures are all that can be checked.
type other struct {
	kind Kind
	why  string
}

func otherRuntime() other {
	return other{KindSignedBinary, "is started by a runtime whose page layout is not known here"}
}

// result keeps what was found apart from an error.
func result(kind Kind, all []Enclave, err error) (*File, error) {
	if err != nil {
		return nil, err
	}
	return &File{kind, all}, nil
}

// openELF looks for the two kinds of ELF file that can be measured. A
// malformed one is an error, never a mere signed binary: else a changed byte in
// its tables would spare it the measurement.
func openELF(ctx context.Context, r io.ReaderAt, size int64, w *work) (*File, error) {
	f, err := readELF(fileReader(ctx, r), uint64(size))
	if err != nil {
		return nil, err
	}
	f.work = w
	note, isIntel, err := f.mark(noteSection)
	if err != nil {
		return nil, err
	}
	info, isOE, err := f.mark(infoSection)
	switch {
	case err != nil:
		return nil, err
	case isIntel && isOE:
		return nil, &sgx.FormatError{Part: "ELF file", Problem: "is marked for two loaders, which would start two enclaves", Offset: -1, Got: noteSection + " and " + infoSection, Want: "one of them"}
	case isIntel:
		all, err := openIntel(ctx, f, note)
		return result(KindIntel, all, err)
	case isOE:
		e, err := openOpenEnclave(ctx, f, info)
		return result(KindOpenEnclave, []Enclave{e}, err)
	}
	return openOther(ctx, r, size, w, otherRuntime())
}

// nothingIn says that a file holds no signature, or what it is in place of a program.
func nothingIn(r io.ReaderAt, size int64) error {
	if text := make([]byte, min(size, bounds.Record)); size <= bounds.Record {
		if _, err := r.ReadAt(text, 0); (err == nil || err == io.EOF) && bounds.CheckJSON(text) == nil {
			if is := document.Of(text); is.IsText() {
				return &document.Error{File: "the file", Want: "enclave, SGXS stream or SIGSTRUCT", Is: is.String()}
			}
		}
	}
	return &NoSignatureError{size}
}

// openOther searches a file of any kind for SIGSTRUCTs. A file of no known kind
// that holds marks of an enclave was one before somebody damaged it.
func openOther(ctx context.Context, r io.ReaderAt, size int64, w *work, o other) (*File, error) {
	if err := w.plan(uint64(size)); err != nil { // what is searched takes as long as what is hashed
		return nil, err
	}
	found, err := sgx.Find(ctx, r, size)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, nothingIn(r, size)
	}
	if o.kind == KindSignedBinary {
		if err := findMarks(fileReader(ctx, r), uint64(size), found); err != nil {
			return nil, err
		}
	}
	file := &File{Kind: o.kind}
	for _, s := range found {
		part := fmt.Sprintf("SIGSTRUCT at %#x", s.Offset)
		file.Enclaves = append(file.Enclaves, Enclave{Part: part, Offset: s.Offset, SIGSTRUCT: s.SIGSTRUCT, Unmeasured: &UnmeasurableError{"file", o.why}, Verdict: s.Err})
	}
	return file, nil
}
