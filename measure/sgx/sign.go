package sgx

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
)

// Sign makes a SIGSTRUCT with an RSA-3072 key of exponent 3. It is a function
// of its arguments: PKCS#1 v1.5 has no randomness, so a fixed Date gives the
// same bytes each time. An unfit key is a *KeyError.
func Sign(body Body, key *rsa.PrivateKey) (*SIGSTRUCT, error) {
	if err := checkKey(&key.PublicKey); err != nil {
		return nil, err
	}
	s := &SIGSTRUCT{body: body}
	copy(s.raw[:], header)
	copy(s.raw[atHeader2:], header2)
	body.put(&s.raw)
	copy(s.raw[atModulus:], littleEndian(key.N))
	s.raw[atExponent] = exponent
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, s.digest())
	if err != nil {
		return nil, fmt.Errorf("signing SIGSTRUCT: %w", err)
	}
	copy(s.raw[atSignature:], reversed(signature))
	q1, q2 := s.quotients()
	copy(s.raw[atQ1:], littleEndian(q1))
	copy(s.raw[atQ2:], littleEndian(q2))
	return s, nil
}

// Verify checks the signature with the key that the structure holds, and the
// two quotients that EINIT takes on trust from outside the signature. Whose key
// it is, is for [Policy] to say. The error is a *SignatureError.
func (s *SIGSTRUCT) Verify() error {
	key := rsa.PublicKey{N: s.number(atModulus), E: exponent}
	signature := reversed(s.raw[atSignature:][:keySize])
	if err := rsa.VerifyPKCS1v15(&key, crypto.SHA256, s.digest(), signature); err != nil {
		return &SignatureError{"RSA signature", s.MRSIGNER(), err}
	}
	q1, q2 := s.quotients()
	if q1.Cmp(s.number(atQ1)) != 0 {
		return &SignatureError{Part: "Q1", MRSIGNER: s.MRSIGNER()}
	}
	if q2.Cmp(s.number(atQ2)) != 0 {
		return &SignatureError{Part: "Q2", MRSIGNER: s.MRSIGNER()}
	}
	return nil
}

// digest is the SHA-256 over the two ranges that are signed.
func (s *SIGSTRUCT) digest() []byte {
	h := sha256.New()
	h.Write(s.raw[:endHeader])
	h.Write(s.raw[atBody:endBody])
	return h.Sum(nil)
}

// quotients returns Q1 = S²/N and Q2 = (S³ - Q1·S·N)/N, rounded down: they
// spare the CPU two divisions.
func (s *SIGSTRUCT) quotients() (q1, q2 *big.Int) {
	n, signature := s.number(atModulus), s.number(atSignature)
	q1, rest := new(big.Int).QuoRem(new(big.Int).Mul(signature, signature), n, new(big.Int))
	return q1, rest.Mul(rest, signature).Quo(rest, n)
}

// littleEndian fills 384 bytes.
func littleEndian(n *big.Int) []byte { return reversed(n.FillBytes(make([]byte, keySize))) }

const remedy = "make one with: openssl genrsa -3 -out enclave-key.pem 3072"

// LoadKey reads an enclave signing key from PEM: PKCS#1 or PKCS#8, not
// encrypted. The error is a *KeyError that says what the key is instead of RSA
// with 3072 bits and exponent 3.
func LoadKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, &KeyError{Problem: "is no PEM", Remedy: remedy}
	}
	if block.Headers["DEK-Info"] != "" || block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, &KeyError{"is encrypted", block.Type, "decrypt it with: openssl rsa -in KEY -out enclave-key.pem"}
	}
	key, err := parseKey(block)
	if err == nil {
		err = checkKey(&key.PublicKey)
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

func parseKey(block *pem.Block) (*rsa.PrivateKey, error) {
	var parsed any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, &KeyError{"is no private RSA key", "PEM block " + block.Type, remedy}
	}
	if err != nil {
		return nil, &KeyError{"cannot be read", err.Error(), remedy}
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, &KeyError{"is no RSA key", fmt.Sprintf("%T", parsed), remedy}
	}
	return key, nil
}

func checkKey(key *rsa.PublicKey) error {
	if key.N.BitLen() != keyBits || key.E != exponent {
		return &KeyError{"is not RSA-3072 with exponent 3", fmt.Sprintf("RSA-%d with exponent %d", key.N.BitLen(), key.E), remedy}
	}
	return nil
}
