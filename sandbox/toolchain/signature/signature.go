// Package signature signs programs as scone-signer does: with two SIGSTRUCTs,
// one for an enclave whose pages are all added before it starts and one for an
// enclave that grows (EDMM).
//
// The SIGSTRUCTs are real ones, with a real RSA signature; only the ENCLAVEHASH in
// them is synthetic. Where SCONE stores them in a program is not public. Here
// they are appended to the starter that stands for the program:
//
//	starter | SIGSTRUCT | SIGSTRUCT (EDMM) | settings as JSON | their length (4 bytes, little endian) | magic
package signature

import (
	"bytes"
	"crypto/rsa"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
)

const magic = "mrelease stand-in for a SCONE signature, version 1\n"

// Signature is what a signed program carries.
type Signature struct {
	Static, EDMM *sgx.SIGSTRUCT
	Settings     enclave.Settings // that the program was measured with
}

// Production reports whether the enclave is signed to run in production mode.
func (s *Signature) Production() bool { return !s.Static.Body().Debug() }

// Options say how to sign.
type Options struct {
	Key             *rsa.PrivateKey // nil: the built-in key, whose private half is public
	Production      bool
	ProductID       uint16
	SecurityVersion uint16
	XFRM            uint64
	MiscSelect      uint32
}

// DefaultXFRM is x87 and SSE state, which every enclave has.
const DefaultXFRM = 3

// debugKey is RSA-3072 with exponent 3, made once by openssl; it protects
// nothing.
//
//go:embed debug-key.pem
var debugKey []byte

// Sign makes both SIGSTRUCTs. The result is a function of the arguments: like
// SCONE's own, it has no date.
func Sign(m enclave.Measurement, s enclave.Settings, o Options) (*Signature, error) {
	key := o.Key
	if key == nil {
		var err error
		if key, err = sgx.LoadKey(debugKey); err != nil {
			return nil, fmt.Errorf("loading the built-in key: %w", err)
		}
	}
	static, err := sgx.Sign(o.body(m.Static), key)
	if err != nil {
		return nil, err
	}
	edmm, err := sgx.Sign(o.body(m.EDMM), key)
	if err != nil {
		return nil, err
	}
	return &Signature{Static: static, EDMM: edmm, Settings: s}, nil
}

// body sets what the sample in SCONE's documentation has: 64-bit mode and the
// debug bit are fixed by the mask.
func (o Options) body(hash enclave.Hash) sgx.Body {
	b := sgx.Body{
		MiscSelect:      o.MiscSelect,
		Attributes:      sgx.Attributes{Flags: sgx.Mode64Bit | sgx.Debug, XFRM: o.XFRM},
		AttributesMask:  sgx.Attributes{Flags: sgx.Mode64Bit | sgx.Debug, XFRM: ^uint64(4)},
		MRENCLAVE:       sgx.MRENCLAVE(hash),
		ProductID:       o.ProductID,
		SecurityVersion: o.SecurityVersion,
	}
	if o.Production {
		b.Attributes.Flags &^= sgx.Debug
	}
	return b
}

// Read returns a program's signature, and the program without it. An unsigned
// program has none.
func Read(name string) (signature *Signature, program []byte, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	rest, ok := bytes.CutSuffix(data, []byte(magic))
	if !ok {
		return nil, data, nil
	}
	signature, program, err = parse(rest)
	if err != nil {
		return nil, nil, fmt.Errorf("reading signature of %s: %w", name, err)
	}
	return signature, program, nil
}

// Of returns a program's signature, and reads the program only if it has one:
// starters ask for their own at every start.
func Of(name string) (*Signature, error) {
	signed, err := isSigned(name)
	if err != nil || !signed {
		return nil, err
	}
	s, _, err := Read(name)
	return s, err
}

func isSigned(name string) (signed bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.Size() < int64(len(magic)) {
		return false, err
	}
	last := make([]byte, len(magic))
	if _, err := f.ReadAt(last, info.Size()-int64(len(last))); err != nil {
		return false, err
	}
	return string(last) == magic, nil
}

// parse takes a signed program apart, from its end.
func parse(data []byte) (*Signature, []byte, error) {
	cut := func(n int) (last []byte) {
		n = min(n, len(data))
		data, last = data[:len(data)-n], data[len(data)-n:]
		return last
	}
	length := cut(4)
	if len(length) < 4 {
		return nil, nil, fmt.Errorf("it is cut off")
	}
	var s Signature
	if err := json.Unmarshal(cut(int(binary.LittleEndian.Uint32(length))), &s.Settings); err != nil {
		return nil, nil, fmt.Errorf("decoding settings: %w", err)
	}
	var err error
	if s.EDMM, err = sgx.ParseSIGSTRUCT(cut(sgx.SIGSTRUCTSize)); err != nil {
		return nil, nil, err
	}
	if s.Static, err = sgx.ParseSIGSTRUCT(cut(sgx.SIGSTRUCTSize)); err != nil {
		return nil, nil, err
	}
	return &s, data, nil
}

// Write writes a program with its signature. It replaces the file as a whole:
// other names of the old one, and processes that run it, keep it.
func (s *Signature) Write(name string, program []byte) error {
	settings, err := json.Marshal(s.Settings)
	if err != nil {
		return fmt.Errorf("encoding settings: %w", err)
	}
	length := binary.LittleEndian.AppendUint32(nil, uint32(len(settings)))
	data := bytes.Join([][]byte{program, s.Static.Bytes(), s.EDMM.Bytes(), settings, length, []byte(magic)}, nil)
	if err := os.WriteFile(name+".signed", data, 0o755); err != nil {
		return err
	}
	return os.Rename(name+".signed", name)
}
