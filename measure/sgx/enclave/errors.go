package enclave

import (
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// MismatchError says that an enclave does not measure to what was signed: the
// file was changed after signing, or the signature is of another enclave. No
// CPU would start it.
type MismatchError struct {
	Part     string // which part of the file was measured
	Computed sgx.MRENCLAVE
	Signed   sgx.MRENCLAVE
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s measures to %s, but %s is signed", e.Part, e.Computed, e.Signed)
}

// Evidence returns both values.
func (e *MismatchError) Evidence() [][2]string {
	return [][2]string{{"part", e.Part}, {"computed MRENCLAVE", e.Computed.String()}, {"signed MRENCLAVE", e.Signed.String()}}
}

// UnmeasurableError says why the MRENCLAVE cannot be computed from the file
// alone. In [Enclave] it says nothing against the file; as an error of [Open] it
// says that the file is, or was, an enclave of one of the SDKs, of which the
// signature alone must not be taken for a measurement.
type UnmeasurableError struct {
	Part   string // "file", "Open Enclave image", ...
	Reason string
}

func (e *UnmeasurableError) Error() string {
	return "the MRENCLAVE cannot be computed: the " + e.Part + " " + e.Reason
}

// Evidence returns the part and the reason.
func (e *UnmeasurableError) Evidence() [][2]string {
	return [][2]string{{"part", e.Part}, {"reason", e.Reason}}
}

// UnsignedError says that the place of a SIGSTRUCT is empty.
type UnsignedError struct {
	Part   string
	Offset int64 // of that place in the file, in bytes
}

func (e *UnsignedError) Error() string { return "the " + e.Part + " is not signed" }

// Evidence returns where the signature is missing.
func (e *UnsignedError) Evidence() [][2]string {
	return [][2]string{{"part", e.Part}, {"offset", fmt.Sprintf("%#x", e.Offset)}}
}

// NoSignatureError says that a file is no enclave and holds no SIGSTRUCT.
type NoSignatureError struct{ Size int64 }

func (e *NoSignatureError) Error() string {
	return "the file is no SGX enclave that is known here and holds no SIGSTRUCT"
}

// Evidence returns how much was searched.
func (e *NoSignatureError) Evidence() [][2]string {
	return [][2]string{{"bytes searched", fmt.Sprint(e.Size)}}
}
