package sgx

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// SIGSTRUCTSize is the length of every SIGSTRUCT in bytes.
const SIGSTRUCTSize = 1808

// Where a SIGSTRUCT has what (Intel SDM volume 3D, "Layout of Enclave Signature
// Structure"). The signature covers the first 128 bytes and 900..1028.
const (
	atType       = 12
	atVendor     = 16
	atDate       = 20
	atHeader2    = 24
	atSWDefined  = 40
	endHeader    = 128
	atModulus    = 128
	atExponent   = 512
	atSignature  = 516
	atBody       = 900
	atMiscMask   = 904
	atCET        = 908
	atCETMask    = 909
	atFamilyID   = 912
	atAttributes = 928
	atMask       = 944
	atHash       = 960
	atExtProdID  = 1008
	atISVProdID  = 1024
	atISVSVN     = 1026
	endBody      = 1028
	atQ1         = 1040
	atQ2         = 1424

	keySize  = 384 // bytes of modulus, signature, Q1 and Q2
	keyBits  = keySize * 8
	exponent = 3
)

// releaseBit is bit 31 of the four bytes at 12 (intel/linux-sgx:
// common/inc/internal/arch.h, css_header_t.type), in the last of them.
const releaseBit = 0x80

// The constants at 0, but for the release bit, and at 24.
const (
	header  = "\x06\x00\x00\x00\xe1\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"
	header2 = "\x01\x01\x00\x00\x60\x00\x00\x00\x60\x00\x00\x00\x01\x00\x00\x00"
)

// Attributes are flags and the XSAVE features of an enclave (Intel SDM volume
// 3D, "ATTRIBUTES"). In a mask, a set bit says that the enclave must have that
// bit as signed.
type Attributes struct{ Flags, XFRM uint64 }

// Bits of Attributes.Flags.
const (
	Debug         uint64 = 1 << 1 // the enclave's memory can be read from outside
	Mode64Bit     uint64 = 1 << 2 // 64-bit code
	ProvisionKey  uint64 = 1 << 4 // may get the provisioning key
	EInitTokenKey uint64 = 1 << 5 // may get the key that makes launch tokens
	KeySeparation uint64 = 1 << 7 // KSS: has family, extended product and configuration ids
)

// Body is what a SIGSTRUCT says about an enclave, without key and signature.
type Body struct {
	// ReleaseType marks what Intel signs for its own use, such as its launch
	// enclave. EINIT refuses it elsewhere: the header must be without it (Intel
	// SDM volume 3D, "EINIT").
	ReleaseType bool

	Vendor    uint32 // 0x8086 for Intel's enclaves, else 0
	Date      uint32 // BCD: 0x20240811 is the 11th of August 2024; some tools write 0
	SWDefined uint32 // for the signer's use

	MiscSelect, MiscMask        uint32
	CETAttributes, CETMask      uint8
	FamilyID, ExtendedProductID [16]byte // with KeySeparation only
	Attributes, AttributesMask  Attributes
	MRENCLAVE                   MRENCLAVE
	ProductID                   uint16 // ISVPRODID
	SecurityVersion             uint16 // ISVSVN
}

// Debug reports whether the enclave is signed to run in debug mode.
func (b Body) Debug() bool { return b.Attributes.Flags&Debug != 0 }

// DebugLocked reports whether the signer fixed the debug bit. If not, whoever
// starts the enclave chooses, and only the attestation of the running enclave
// tells.
func (b Body) DebugLocked() bool { return b.AttributesMask.Flags&Debug != 0 }

// DebugMode says whether whoever starts the enclave gets it in debug mode, as
// EINIT compares its attributes under the mask.
func (b Body) DebugMode() DebugMode {
	switch {
	case b.Debug():
		return DebugSigned
	case b.DebugLocked():
		return DebugRefused
	}
	return DebugAllowed
}

// DebugMode is what a signature says about debug mode.
type DebugMode string

// The values of DebugMode.
const (
	DebugRefused DebugMode = "refused" // the CPU starts it without debug mode only
	DebugAllowed DebugMode = "allowed" // whoever starts it chooses
	DebugSigned  DebugMode = "signed"  // it is signed for debug mode
)

// Day returns Date as a day; false when it is no calendar day.
func (b Body) Day() (time.Time, bool) {
	day, err := time.Parse("20060102", fmt.Sprintf("%08x", b.Date))
	return day, err == nil
}

// SIGSTRUCT is a signed statement about an enclave. Its zero value is not one;
// they come from [ParseSIGSTRUCT] and [Sign].
type SIGSTRUCT struct {
	body Body
	raw  [SIGSTRUCTSize]byte
}

// Body returns what the structure says about the enclave.
func (s *SIGSTRUCT) Body() Body { return s.body }

// Bytes returns the structure as EINIT takes it.
func (s *SIGSTRUCT) Bytes() []byte { return slices.Clone(s.raw[:]) }

// MRSIGNER identifies the key that the structure holds. It is the signer only
// if Verify succeeds.
func (s *SIGSTRUCT) MRSIGNER() MRSIGNER {
	return MRSIGNER(sha256.Sum256(s.raw[atModulus:][:keySize]))
}

// SignerOf identifies a key of 3072 bits, as the processor does: by the SHA-256 of its modulus,
// the lowest byte first.
func SignerOf(key *rsa.PublicKey) MRSIGNER {
	modulus := key.N.FillBytes(make([]byte, keySize))
	slices.Reverse(modulus)
	return MRSIGNER(sha256.Sum256(modulus))
}

// ParseSIGSTRUCT reads the 1808 bytes of a SIGSTRUCT. It refuses all that EINIT
// refuses before it looks at the signature: other constants, reserved bytes
// that are not zero, an exponent that is not 3, a modulus that has not 3072
// bits. Only Body.ReleaseType is left to the caller. The error is a *FormatError.
func ParseSIGSTRUCT(data []byte) (*SIGSTRUCT, error) {
	if len(data) != SIGSTRUCTSize {
		return nil, &FormatError{Part: "SIGSTRUCT", Problem: "has the wrong length", Offset: -1, Got: fmt.Sprintf("%d bytes", len(data)), Want: "1808"}
	}
	s := &SIGSTRUCT{raw: [SIGSTRUCTSize]byte(data)}
	if err := s.check(); err != nil {
		return nil, err
	}
	s.body = parseBody(&s.raw)
	return s, nil
}

// check looks at all that has one right value.
func (s *SIGSTRUCT) check() error {
	for _, part := range []struct {
		name string
		at   int
		want []byte
	}{
		{"HEADER", 0, s.wantHeader()}, {"HEADER2", atHeader2, []byte(header2)},
		{"EXPONENT", atExponent, []byte{exponent, 0, 0, 0}},
		{"reserved bytes", atSWDefined + 4, make([]byte, endHeader-atSWDefined-4)},
		{"reserved bytes", atCETMask + 1, make([]byte, atFamilyID-atCETMask-1)},
		{"reserved bytes", atHash + 32, make([]byte, atExtProdID-atHash-32)},
		{"reserved bytes", endBody, make([]byte, atQ1-endBody)},
	} {
		if got := s.raw[part.at:][:len(part.want)]; !bytes.Equal(got, part.want) {
			return &FormatError{Part: "SIGSTRUCT " + part.name, Problem: "has another value", Offset: int64(part.at), Got: fmt.Sprintf("%x", got), Want: fmt.Sprintf("%x", part.want)}
		}
	}
	if n := s.number(atModulus).BitLen(); n != keyBits {
		return &FormatError{Part: "SIGSTRUCT MODULUS", Problem: "has the wrong size", Offset: atModulus, Got: fmt.Sprintf("%d bits", n), Want: fmt.Sprint(keyBits)}
	}
	return nil
}

// wantHeader is the constant with the release bit as it is.
func (s *SIGSTRUCT) wantHeader() []byte {
	want := []byte(header)
	want[atType+3] |= s.raw[atType+3] & releaseBit
	return want
}

// number reads 384 bytes at an offset.
func (s *SIGSTRUCT) number(at int) *big.Int {
	return new(big.Int).SetBytes(reversed(s.raw[at:][:keySize]))
}

func parseBody(raw *[SIGSTRUCTSize]byte) Body {
	le := binary.LittleEndian
	return Body{
		ReleaseType:       raw[atType+3]&releaseBit != 0,
		Vendor:            le.Uint32(raw[atVendor:]),
		Date:              le.Uint32(raw[atDate:]),
		SWDefined:         le.Uint32(raw[atSWDefined:]),
		MiscSelect:        le.Uint32(raw[atBody:]),
		MiscMask:          le.Uint32(raw[atMiscMask:]),
		CETAttributes:     raw[atCET],
		CETMask:           raw[atCETMask],
		FamilyID:          [16]byte(raw[atFamilyID:]),
		Attributes:        Attributes{le.Uint64(raw[atAttributes:]), le.Uint64(raw[atAttributes+8:])},
		AttributesMask:    Attributes{le.Uint64(raw[atMask:]), le.Uint64(raw[atMask+8:])},
		MRENCLAVE:         MRENCLAVE(raw[atHash:]),
		ExtendedProductID: [16]byte(raw[atExtProdID:]),
		ProductID:         le.Uint16(raw[atISVProdID:]),
		SecurityVersion:   le.Uint16(raw[atISVSVN:]),
	}
}

// put is the inverse of parseBody.
func (b Body) put(raw *[SIGSTRUCTSize]byte) {
	le := binary.LittleEndian
	if raw[atType+3] = 0; b.ReleaseType {
		raw[atType+3] = releaseBit
	}
	le.PutUint32(raw[atVendor:], b.Vendor)
	le.PutUint32(raw[atDate:], b.Date)
	le.PutUint32(raw[atSWDefined:], b.SWDefined)
	le.PutUint32(raw[atBody:], b.MiscSelect)
	le.PutUint32(raw[atMiscMask:], b.MiscMask)
	raw[atCET], raw[atCETMask] = b.CETAttributes, b.CETMask
	copy(raw[atFamilyID:], b.FamilyID[:])
	le.PutUint64(raw[atAttributes:], b.Attributes.Flags)
	le.PutUint64(raw[atAttributes+8:], b.Attributes.XFRM)
	le.PutUint64(raw[atMask:], b.AttributesMask.Flags)
	le.PutUint64(raw[atMask+8:], b.AttributesMask.XFRM)
	copy(raw[atHash:], b.MRENCLAVE[:])
	copy(raw[atExtProdID:], b.ExtendedProductID[:])
	le.PutUint16(raw[atISVProdID:], b.ProductID)
	le.PutUint16(raw[atISVSVN:], b.SecurityVersion)
}

// reversed turns little endian into big endian and back.
func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}
