package measure_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/sgx"
)

// The line of "scone fspf encrypt" states KEY and TAG; the run of the image
// states the rest.
func TestKeytag(t *testing.T) {
	line := "Encrypted file system protection file /seal/fspf.pb AES-GCM tag: " + tag + " key: " + key + "\n"
	spec := legacy()
	spec.File = "/conf/keytag"
	got, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, map[string]string{"conf/keytag": line}), spec)
	if err != nil {
		t.Fatal(err)
	}
	if want := key + "|" + tag + "|" + hash; got.Value != want || !got.Portable {
		t.Errorf("value = %s, portable %t, want %s", got.Value, got.Portable, want)
	}
	for name, text := range map[string]string{
		"KEY":  strings.Replace(line, key, key[1:], 1),
		"TAG":  strings.Replace(line, tag, tag+"0", 1),
		"seal": strings.Replace(line, "AES-GCM", "AES", 1),
	} {
		_, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, map[string]string{"conf/keytag": text}), spec)
		var format *measure.FormatError
		if !errors.As(err, &format) || format.Part != name {
			t.Errorf("%q: %v, want a FormatError about %s", text, err, name)
		}
	}
}

// enclaveKey makes a key that enclaves can be signed with; crypto/rsa makes none
// with exponent 3.
func enclaveKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	three, one := big.NewInt(3), big.NewInt(1)
	prime := func() *big.Int {
		for {
			p, err := rand.Prime(rand.Reader, 1536)
			if err != nil {
				t.Fatal(err)
			}
			if new(big.Int).Mod(new(big.Int).Sub(p, one), three).Sign() != 0 {
				return p
			}
		}
	}
	for {
		p, q := prime(), prime()
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 3}, D: new(big.Int).ModInverse(three, phi), Primes: []*big.Int{p, q}}
		if k.N.BitLen() == 3072 {
			k.Precompute()
			return k
		}
	}
}

func TestSignedProgram(t *testing.T) {
	m, err := measure.ParseMRENCLAVE(hash)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := sgx.Sign(sgx.Body{Attributes: sgx.Attributes{Flags: 4, XFRM: 3}, MRENCLAVE: sgx.MRENCLAVE(m), ProductID: 7, SecurityVersion: 2}, enclaveKey(t))
	if err != nil {
		t.Fatal(err)
	}
	raw := signature.Bytes()
	elf := "\x7fELF" + strings.Repeat("x", 5000) + string(raw) + "rest"
	damaged := []byte(elf)
	damaged[5004+960] ^= 1 // in ENCLAVEHASH
	spec := object()
	spec.Program = "/usr/bin/python3"
	spec.Log = []byte("SIGSTRUCT:\n\tMRENCLAVE: " + hash + "\n\tMRENCLAVE: " + other + "\n")
	good := map[string]string{"usr/bin/python3": elf}

	got, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, good), spec)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Readings) != 4 || got.Signature.Body().SecurityVersion != 2 || !bytes.Equal(raw, got.Signature.Bytes()) {
		t.Errorf("%d readings, want 4 (run, run with heap, signer's description, signature): %v", len(got.Readings), got.Readings)
	}

	var mismatch *measure.MismatchError
	if _, err := measure.Image(t.Context(), program{stdout: other + "\n"}, image(t, good), spec); !errors.As(err, &mismatch) {
		t.Errorf("signed for another measurement: %v, want a MismatchError", err)
	}
	spec.Log = []byte("\tMRENCLAVE: " + other + "\n")
	if _, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, good), spec); !errors.As(err, &mismatch) {
		t.Errorf("described as another measurement: %v, want a MismatchError", err)
	}
	spec.Log = nil
	for name, files := range map[string]map[string]string{
		"no signature":      {"usr/bin/python3": "\x7fELF"},
		"damaged signature": {"usr/bin/python3": string(damaged)},
		"no program":        {"usr/bin/other": elf},
	} {
		var unsigned *measure.UnsignedError
		if _, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, files), spec); !errors.As(err, &unsigned) {
			t.Errorf("%s: %v, want an UnsignedError", name, err)
		}
	}
}
