package sgx_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// testKey is an RSA-3072 key with exponent 3, which crypto/rsa does not
// generate. Its primes are public: it signs nothing but tests.
func testKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile("testdata/primes.txt")
	if err != nil {
		t.Fatal(err)
	}
	var primes []*big.Int
	for _, line := range strings.Fields(string(text)) {
		p, ok := new(big.Int).SetString(line, 62)
		if !ok {
			t.Fatalf("no number: %s", line)
		}
		primes = append(primes, p)
	}
	return keyOf(t, primes, 3)
}

// keyOf makes a private key from its primes.
func keyOf(t testing.TB, primes []*big.Int, exponent int64) *rsa.PrivateKey {
	t.Helper()
	one := big.NewInt(1)
	n, phi := big.NewInt(1), big.NewInt(1)
	for _, p := range primes {
		n.Mul(n, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(exponent)}, D: new(big.Int).ModInverse(big.NewInt(exponent), phi), Primes: primes}
	key.Precompute()
	if err := key.Validate(); err != nil {
		t.Fatal(err)
	}
	return key
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestLoadKey(t *testing.T) {
	key := testKey(t)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"PKCS#1": pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)),
		"PKCS#8": pemOf("PRIVATE KEY", pkcs8),
	} {
		if got, err := sgx.LoadKey(text); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	key := testKey(t)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text []byte
		got  string
	}{
		"nothing":        {nil, ""},
		"no PEM":         {[]byte("RSA PRIVATE KEY"), ""},
		"public key":     {pemOf("PUBLIC KEY", public), "PEM block PUBLIC KEY"},
		"encrypted":      {pemOf("ENCRYPTED PRIVATE KEY", nil), "ENCRYPTED PRIVATE KEY"},
		"garbage":        {pemOf("RSA PRIVATE KEY", []byte("x")), "asn1"},
		"curve":          {pemOf("PRIVATE KEY", curveKey(t)), "*ed25519.PrivateKey"},
		"2048 bits":      {otherKey(t, 2048), "RSA-2048 with exponent 65537"},
		"exponent 65537": {otherKey(t, 3072), "RSA-3072 with exponent 65537"},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := sgx.LoadKey(tt.text)
			var unfit *sgx.KeyError
			if key != nil || !errors.As(err, &unfit) || !strings.Contains(unfit.Got, strings.TrimPrefix(tt.got, "*")) || !strings.Contains(unfit.Remedy, "openssl") {
				t.Errorf("%v, %#v, want a KeyError about %q", key, err, tt.got)
			}
		})
	}
}

func TestSignRefusesOtherKeys(t *testing.T) {
	key, err := rsa.GenerateKey(nil, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var unfit *sgx.KeyError
	if _, err := sgx.Sign(sgx.Body{}, key); !errors.As(err, &unfit) {
		t.Errorf("signing with RSA-2048: %v", err)
	}
}
