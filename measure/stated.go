package measure

import (
	"context"
	"errors"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Stated returns the measurement that an image, and whoever published it, state
// without the image being run. It is what [Image] will find if they are right,
// and worth no more than their word. The second result is false when they do
// not state all that a chain stores.
//
// Errors: *FormatError (wrapped, with its source), *FileError, *MismatchError and
// *UnsignedError, as Image.
func Stated(ctx context.Context, image v1.Image, spec Spec) (Enclave, bool, error) {
	if spec.Format == None {
		return Enclave{Format: None, Portable: true}, true, nil
	}
	stated, err := statements(ctx, image, spec)
	if err != nil {
		return Enclave{}, false, err
	}
	signature, signed, err := signatureOf(ctx, image, spec.Program)
	if err != nil {
		return Enclave{}, false, err
	}
	stated = append(stated, signed...)
	var readings []Reading
	for _, s := range stated {
		readings = append(readings, Reading{s.source, s.text})
	}
	i := slices.IndexFunc(stated, func(s statement) bool { return s.mrenclave != nil })
	if i < 0 {
		return Enclave{}, false, nil
	}
	m := *stated[i].mrenclave
	if !agree(m, stated) {
		return Enclave{}, false, &MismatchError{readings}
	}
	value, err := chainValue(m, stated, spec)
	var none *NoSealError
	if errors.As(err, &none) {
		return Enclave{}, false, nil
	}
	return Enclave{Format: spec.Format, MRENCLAVE: m, Value: value, Readings: readings, Signature: signature, Portable: portable(stated, spec)}, err == nil, err
}

// Unmeasured returns what stands for the measurement of an image that is not
// built yet: of the length and the shape that the real one will have.
func Unmeasured(spec Spec) Enclave {
	full := func(b []byte) {
		for i := range b {
			b[i] = 0xff
		}
	}
	e := Enclave{Format: spec.Format}
	switch spec.Format {
	case Legacy:
		var f Fingerprint
		full(f.Key[:])
		full(f.Tag[:])
		full(f.MRENCLAVE[:])
		e.MRENCLAVE, e.Value = f.MRENCLAVE, f.String()
	case JSON:
		full(spec.Object.Fingerprint[:])
		e.MRENCLAVE, e.Value = spec.Object.Fingerprint, spec.Object.String()
	}
	return e
}
