package kms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// known is a key that openssl 3 wrote: openssl pkey -pubout -outform DER, of the private key
// 32 times 0x11, whose address ethers 6 says.
const (
	known        = "3056301006072a8648ce3d020106052b8104000a034200044f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa385b6b1b8ead809ca67454d9683fcf2ba03456d6fe2c4abe2b07f0fbdbb2f1c1"
	knownAddress = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
)

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAddress(t *testing.T) {
	if got, err := addressOf(fromHex(t, known)); err != nil || got.Hex() != knownAddress {
		t.Errorf("%s, %v, want %s", got, err, knownAddress)
	}
}

func TestAttackPublicKeys(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := x509.MarshalPKIXPublicKey(other.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ der, want string }{
		"nothing":         {"", "not in DER"},
		"half":            {known[:80], "not in DER"},
		"more":            {known + "00", "1 bytes follow"},
		"another curve":   {hex.EncodeToString(p256), "its curve is 1.2.840.10045.3.1.7"},
		"not on it":       {known[:len(known)-2] + "c2", "no point of the curve"},
		"another purpose": {strings.Replace(known, "2a8648ce3d0201", "2a8648ce3d0202", 1), "its algorithm is 1.2.840.10045.2.2"},
		"no curve":        {strings.Replace(known, "06052b8104000a", "04052b8104000a", 1), "names no curve"},
		"half a byte":     {strings.Replace(known, "03420004", "03420404", 1), ""},
	} {
		_, err := addressOf(fromHex(t, c.der))
		var r *refusal
		if !errors.As(err, &r) || !strings.Contains(r.problem, c.want) || !strings.Contains(r.advice, "ECC_SECG_P256K1") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func privateKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.HexToECDSA(strings.Repeat("11", 32))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// encode writes a signature of 65 bytes in DER, with the higher s if that is asked for.
func encode(t testing.TB, signature []byte, higher bool) []byte {
	t.Helper()
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:64])
	if higher {
		s.Sub(crypto.S256().Params().N, s)
	}
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Of both forms that a signature has one is taken by contracts, and it is found with its v.
func TestSignature(t *testing.T) {
	for i := range 64 {
		hash := crypto.Keccak256Hash([]byte{byte(i)})
		want, err := crypto.Sign(hash[:], privateKey(t))
		if err != nil {
			t.Fatal(err)
		}
		want[64] += 27
		for _, higher := range []bool{false, true} {
			if got, err := signature(encode(t, want, higher), hash, common.HexToAddress(knownAddress)); err != nil || string(got) != string(want) {
				t.Errorf("%x, %v, want %x", got, err, want)
			}
		}
	}
}

func TestAttackSignatures(t *testing.T) {
	hash := crypto.Keccak256Hash([]byte("text"))
	made, err := crypto.Sign(hash[:], privateKey(t))
	if err != nil {
		t.Fatal(err)
	}
	der := encode(t, made, false)
	zero := append(make([]byte, 32), made[32:]...)
	for name, c := range map[string]struct {
		der  []byte
		hash common.Hash
		by   string
		want string
	}{
		"nothing":        {nil, hash, knownAddress, "no signature in DER"},
		"half":           {der[:30], hash, knownAddress, "no signature in DER"},
		"more":           {append(append([]byte(nil), der...), 0), hash, knownAddress, "no signature in DER"},
		"zero":           {encode(t, zero, false), hash, knownAddress, "no signature in DER"},
		"another hash":   {der, common.Hash{1}, knownAddress, "not a signature of this"},
		"somebody else":  {der, hash, common.Address{1}.Hex(), "not a signature of this"},
		"the 65 bytes":   {made, hash, knownAddress, "no signature in DER"},
		"beyond 32 byte": {append([]byte{0x30, 0x44, 2, 0x21}, make([]byte, 66)...), hash, knownAddress, "no signature in DER"},
	} {
		_, err := signature(c.der, c.hash, common.HexToAddress(c.by))
		var r *refusal
		if !errors.As(err, &r) || !strings.Contains(r.problem, c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Whatever comes, what is taken for a key or a signature is one.
func FuzzAnswers(f *testing.F) {
	hash, signer := crypto.Keccak256Hash([]byte("text")), common.HexToAddress(knownAddress)
	made, err := crypto.Sign(hash[:], privateKey(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(fromHex(f, known))
	f.Add(encode(f, made, false))
	f.Add(encode(f, made, true))
	f.Fuzz(func(t *testing.T, der []byte) {
		if address, err := addressOf(der); err == nil && address == (common.Address{}) {
			t.Errorf("no address of %x", der)
		}
		if s, err := signature(der, hash, signer); err == nil {
			r, low := new(big.Int).SetBytes(s[:32]), new(big.Int).SetBytes(s[32:64])
			if !crypto.VerifySignature(crypto.FromECDSAPub(&privateKey(t).PublicKey), hash[:], s[:64]) || !crypto.ValidateSignatureValues(s[64]-27, r, low, true) {
				t.Errorf("took %x for a signature", der)
			}
		}
	})
}
