package measure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure/sgx"
)

// UnsignedError says that a program that should be a signed enclave holds no
// valid signature.
type UnsignedError struct {
	Program string
	Err     error // why what looks like a signature is none; nil when nothing does
}

func (e *UnsignedError) Error() string {
	return fmt.Sprintf("the program %s holds no valid SIGSTRUCT", e.Program)
}

// Unwrap returns the cause.
func (e *UnsignedError) Unwrap() error { return e.Err }

// Evidence returns where it was looked for.
func (e *UnsignedError) Evidence() [][2]string {
	actual := "none"
	if e.Err != nil {
		actual = e.Err.Error()
	}
	return [][2]string{{"where", e.Program + " in the image"}, {"expected", "a SIGSTRUCT that verifies"}, {"actual", actual}}
}

// signatureOf reads the first SIGSTRUCT of a program in an image: signers put
// the one for an enclave that does not grow first. It proves what was signed
// without running anything.
func signatureOf(ctx context.Context, image v1.Image, program string) (*sgx.SIGSTRUCT, []statement, error) {
	if program == "" {
		return nil, nil, nil
	}
	var found []sgx.Found
	there, err := openFile(ctx, image, program, func(r io.Reader, _ int64) (err error) {
		found, err = findSignatures(ctx, r)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading the signature of %s: %w", program, err)
	}
	if !there || len(found) == 0 {
		return nil, nil, &UnsignedError{Program: program}
	}
	if found[0].Err != nil {
		return nil, nil, &UnsignedError{program, found[0].Err}
	}
	signature := found[0].SIGSTRUCT
	m := MRENCLAVE(signature.Body().MRENCLAVE)
	return signature, []statement{{source: "the signature in " + program, text: m.String(), mrenclave: &m}}, nil
}

// findSignatures puts the program into a file first: it may be large, and is
// searched out of order.
func findSignatures(ctx context.Context, r io.Reader) (found []sgx.Found, err error) {
	spool, err := os.CreateTemp("", "mrelease-*")
	if err != nil {
		return nil, fmt.Errorf("making work file: %w", err)
	}
	defer func() { err = errors.Join(err, spool.Close(), os.Remove(spool.Name())) }()
	size, err := io.Copy(spool, r)
	if err != nil {
		return nil, fmt.Errorf("copying program: %w", err)
	}
	return sgx.Find(ctx, spool, size)
}
