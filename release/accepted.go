package release

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/publish/record"
)

// CheckMeasured compares a measurement that is no release with the lock at the drift's
// path, if there is one: the inputs are looked at when the measurement is another one.
func CheckMeasured(ctx context.Context, d Drift, t Teller, image v1.Image, enclave measure.Enclave) error {
	accepted, err := ReadLock(d.Path)
	if err != nil || accepted == nil || accepted.MRENCLAVE == nil || *accepted.MRENCLAVE == enclave.MRENCLAVE {
		return err
	}
	d.Accepted = *accepted
	return d.Check(ctx, t, image, record.NewEnclave(enclave, d.Settings.Enclave.Spec()))
}

// NoteAccepted tells whether a measurement is the accepted one.
func NoteAccepted(t Teller, path string, found measure.MRENCLAVE) error {
	accepted, err := ReadLock(path)
	switch {
	case err != nil:
		return err
	case accepted == nil:
		t.Note(NoLock)
	case accepted.MRENCLAVE != nil && *accepted.MRENCLAVE != found:
		t.Note(fmt.Sprintf("%s has MRENCLAVE %s: a release would be refused; mrelease accept says what changed", path, accepted.MRENCLAVE))
	}
	return nil
}
