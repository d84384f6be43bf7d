package corim_test

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure/corim"
	"github.com/mrelease/mrelease/measure/sgx"
)

var update = flag.Bool("update", false, "write the golden files")

func references() map[string]corim.Reference {
	signer, product, version := sgx.MRSIGNER{7, 8, 9}, uint16(258), uint16(3)
	plain := corim.Reference{MRENCLAVE: sgx.MRENCLAVE{1, 2, 3}}
	synthetic, signed := plain, plain
	synthetic.Synthetic = true
	signed.MRSIGNER, signed.ProductID, signed.SecurityVersion = &signer, &product, &version
	signed.Attributes = &corim.Masked{Value: append([]byte{4}, make([]byte, 15)...), Mask: bytes.Repeat([]byte{0xfc}, 16)}
	signed.MiscSelect = &corim.Masked{Value: make([]byte, 4), Mask: bytes.Repeat([]byte{0xff}, 4)}
	return map[string]corim.Reference{"plain": plain, "synthetic": synthetic, "signed": signed}
}

// The bytes are those of the golden files, which sandbox/publishtest lets veraison's library
// read the like of; and the JSON says the same when it is read again.
func TestEncode(t *testing.T) {
	for name, r := range references() {
		data, err := r.Encode([32]byte{0xaa})
		if err != nil {
			t.Fatal(err)
		}
		text := hex.EncodeToString(data) + "\n"
		golden := filepath.Join("testdata", name+".hex")
		if *update {
			if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || text != string(want) {
			t.Errorf("%s: %v, got\n%swant\n%s", name, err, text, want)
		}
		written, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var read corim.Reference
		if err := json.Unmarshal(written, &read); err != nil {
			t.Fatal(err)
		}
		if again, err := read.Encode([32]byte{0xaa}); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: read again it is %x, %v", name, again, err)
		}
		if other, err := r.Encode([32]byte{0xab}); err != nil || bytes.Equal(other, data) {
			t.Errorf("%s: of another image it is the same, %v", name, err)
		}
	}
}

// A signature's mask may cover INIT, which is 0 in it and 1 in a quote.
func TestSign(t *testing.T) {
	body := sgx.Body{
		MRENCLAVE: sgx.MRENCLAVE{1}, ProductID: 7, SecurityVersion: 9, MiscSelect: 0x01020304, MiscMask: 0xffffffff,
		Attributes: sgx.Attributes{Flags: sgx.Mode64Bit | sgx.Debug, XFRM: 3}, AttributesMask: sgx.Attributes{Flags: ^uint64(0), XFRM: 0xff},
	}
	s, err := sgx.Sign(body, key(t))
	if err != nil {
		t.Fatal(err)
	}
	r := corim.Reference{MRENCLAVE: body.MRENCLAVE}
	r.Sign(s)
	for what, c := range map[string][2]string{
		"attributes":       {hex.EncodeToString(r.Attributes.Value), "06000000000000000300000000000000"},
		"attributes' mask": {hex.EncodeToString(r.Attributes.Mask), "feffffffffffffffff00000000000000"},
		"MISCSELECT":       {hex.EncodeToString(r.MiscSelect.Value), "04030201"},
		"signer":           {r.MRSIGNER.String(), s.MRSIGNER().String()},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: got %s, want %s", what, c[0], c[1])
		}
	}
	if *r.ProductID != 7 || *r.SecurityVersion != 9 || !r.Debug() {
		t.Errorf("got %s, debug %t", r, r.Debug())
	}
}

// key is the one that package sgx is tested with, from its primes.
func key(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("../sgx/testdata/primes.txt")
	if err != nil {
		t.Fatal(err)
	}
	one, n, phi := big.NewInt(1), big.NewInt(1), big.NewInt(1)
	var primes []*big.Int
	for _, line := range strings.Fields(string(text)) {
		p, ok := new(big.Int).SetString(line, 62)
		if !ok {
			t.Fatalf("no number: %s", line)
		}
		primes = append(primes, p)
		n.Mul(n, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: new(big.Int).ModInverse(big.NewInt(3), phi), Primes: primes}
	key.Precompute()
	return key
}
