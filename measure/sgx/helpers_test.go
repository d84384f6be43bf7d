package sgx_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

func curveKey(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// otherKey is a key of exponent 65537, the only one that crypto/rsa makes.
func otherKey(t *testing.T, bits int) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

// testBody has another value in each field.
func testBody() sgx.Body {
	return sgx.Body{
		Vendor: 0x8086, Date: 0x20250714, SWDefined: 7, MiscSelect: 1, MiscMask: 0xffffffff,
		CETAttributes: 2, CETMask: 3, FamilyID: [16]byte{1, 2, 3}, ExtendedProductID: [16]byte{4, 5, 6},
		Attributes: sgx.Attributes{Flags: sgx.Mode64Bit, XFRM: 3}, AttributesMask: sgx.Attributes{Flags: ^sgx.Debug, XFRM: ^uint64(0x1b)},
		MRENCLAVE: sgx.MRENCLAVE{0xaa, 31: 0xbb}, ProductID: 0x1234, SecurityVersion: 9,
	}
}

func sign(t testing.TB, body sgx.Body) *sgx.SIGSTRUCT {
	t.Helper()
	s, err := sgx.Sign(body, testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// blocks writes the measured blocks one by one, as the processor's manual has
// them: the plain way, to compare the fast one with.
type blocks []byte

func (b *blocks) block(name string, numbers ...any) {
	*b = append(*b, name...)
	*b = append(*b, make([]byte, 8-len(name))...)
	n := 8
	for _, v := range numbers {
		switch v := v.(type) {
		case uint32:
			*b = binary.LittleEndian.AppendUint32(*b, v)
			n += 4
		case uint64:
			*b = binary.LittleEndian.AppendUint64(*b, v)
			n += 8
		}
	}
	*b = append(*b, make([]byte, 64-n)...)
}

func (b *blocks) create(size uint64) { b.block("ECREATE", uint32(1), size) }

func (b *blocks) add(at uint64, flags sgx.PageFlags) { b.block("EADD", at, uint64(flags)) }

func (b *blocks) extend(name string, at uint64, chunk []byte) {
	b.block(name, at)
	*b = append(*b, chunk...)
}

func (b *blocks) page(at uint64, flags sgx.PageFlags, content []byte) {
	b.add(at, flags)
	for i := 0; i < sgx.PageSize; i += sgx.ChunkSize {
		b.extend("EEXTEND", at+uint64(i), content[i:i+sgx.ChunkSize])
	}
}

func (b blocks) sum() sgx.MRENCLAVE { return sha256.Sum256(b) }

// pattern fills pages with bytes that differ from chunk to chunk.
func pattern(pages int) []byte {
	b := make([]byte, pages*sgx.PageSize)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>13)
	}
	return b
}

const (
	code = sgx.REGPage | sgx.Read | sgx.Execute
	data = sgx.REGPage | sgx.Read | sgx.Write
)
