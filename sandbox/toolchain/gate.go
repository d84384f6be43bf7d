package toolchain

import (
	"fmt"

	"github.com/mrelease/mrelease/sandbox/toolchain/binaryfs"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
	"github.com/mrelease/mrelease/sandbox/toolchain/signature"
)

// admit decides whether a program may start: its files must be those that were
// sealed, and its measurement the one that was signed.
func (w World) admit(program string, s enclave.Settings, signed *signature.Signature) error {
	if err := w.checkFiles(); err != nil {
		return err
	}
	for _, library := range s.Extensions {
		if err := binaryfs.Verify(library); err != nil {
			return err
		}
	}
	if signed == nil {
		return nil
	}
	return w.matchSignature(program, s, signed)
}

// matchSignature compares a program's measurement with the signed one. When they
// differ, SCONE's runtime signs the program anew: with no key in production that
// fails, and else it makes a debug enclave, which no attestation accepts.
func (w World) matchSignature(program string, s enclave.Settings, signed *signature.Signature) error {
	m, err := enclave.Measure(program, s)
	if err != nil {
		return err
	}
	want := signed.Static.Body().MRENCLAVE
	if [32]byte(m.Static) == [32]byte(want) {
		return nil
	}
	differs := fmt.Sprintf("the enclave measures to %s, signed is %s", m.Static, want)
	if signed.Production() {
		return fmt.Errorf("%s, and there is no key to sign it", differs)
	}
	w.warn("stand-in: " + differs + ": it runs as a debug enclave")
	return nil
}
