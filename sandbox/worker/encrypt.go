package worker

import (
	"archive/zip"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // of 2019
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Format is one in which results are encrypted.
type Format string

// The formats that iExec's post-compute wrote over the years; package request/result of
// mrelease has a table of them.
const (
	OAEP Format = "2019"    // until version 5.0.0 of the SDK
	ECB  Format = "5"       // until 8.14
	CBC  Format = "current" // since 8.15
)

// Formats lists them.
func Formats() []Format { return []Format{OAEP, ECB, CBC} }

// ParseFormat reads a format.
func ParseFormat(text string) (Format, error) {
	if f := Format(text); slices.Contains(Formats(), f) {
		return f, nil
	}
	return "", fmt.Errorf("unknown format of results %q: want one of %v", text, Formats())
}

// keyName is under which a beneficiary's key is in the secret service.
const keyName = "iexec-result-encryption-public-key"

// encrypt encrypts the archive of a result for the deal's beneficiary.
func (j *job) encrypt(archive []byte) ([]byte, error) {
	text, ok := j.Secret("web2", j.Deal.Beneficiary, keyName)
	if !ok {
		return nil, fmt.Errorf("the secret service has no key of the beneficiary %s", j.Deal.Beneficiary)
	}
	key, err := readKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading the beneficiary's key: %w", err)
	}
	packed, err := Encrypt(archive, key, j.Format())
	if err != nil {
		return nil, fmt.Errorf("encrypting result: %w", err)
	}
	return packed, nil
}

// readKey reads a public key as command lines push it: a PEM block since 2019, in base64
// since version 5.
func readKey(text string) (*rsa.PublicKey, error) {
	if !strings.HasPrefix(text, "-----BEGIN") {
		plain, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, err
		}
		text = string(plain)
	}
	block, _ := pem.Decode([]byte(text + "\n"))
	if block == nil {
		return nil, errors.New("it is no PEM block")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is a %T, want RSA", parsed)
	}
	return key, nil
}

// Encrypt encrypts the archive of a result for a key.
func Encrypt(archive []byte, to *rsa.PublicKey, f Format) ([]byte, error) {
	secret := make([]byte, 32)
	if f == ECB {
		secret = secret[:16]
	}
	rand.Read(secret) // never fails
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	padded := pad(archive)
	switch f {
	case OAEP:
		sealed, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, to, secret, nil)
		return envelope("iexec_out/encrypted_key", sealed, "iexec_out/result.zip.aes", cbc(block, padded), err)
	case ECB:
		for at := 0; at < len(padded); at += aes.BlockSize {
			block.Encrypt(padded[at:], padded[at:])
		}
		sealed, err := sealPKCS1(to, inBase64(secret))
		return envelope("aes-key.rsa", inBase64(sealed), "iexec_out.zip.aes", inBase64(padded), err)
	}
	sealed, err := sealPKCS1(to, secret)
	return envelope("aes-key.rsa", sealed, "iexec_out.zip.aes", cbc(block, padded), err)
}

func sealPKCS1(to *rsa.PublicKey, secret []byte) ([]byte, error) {
	//lint:ignore SA1019 the format is that
	return rsa.EncryptPKCS1v15(rand.Reader, to, secret)
}

func inBase64(data []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(data)) }

// pad pads to whole blocks, as in PKCS #7.
func pad(data []byte) []byte {
	n := aes.BlockSize - len(data)%aes.BlockSize
	return append(slices.Clip(data), bytes.Repeat([]byte{byte(n)}, n)...)
}

// cbc encrypts whole blocks, behind their IV.
func cbc(block cipher.Block, padded []byte) []byte {
	out := make([]byte, aes.BlockSize+len(padded))
	rand.Read(out[:aes.BlockSize])
	cipher.NewCBCEncrypter(block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], padded)
	return out
}

// envelope packs the two parts of an encrypted result.
func envelope(keyName string, key []byte, dataName string, data []byte, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, part := range []struct {
		name    string
		content []byte
	}{{keyName, key}, {dataName, data}} {
		w, err := archive.Create(part.name)
		if err == nil {
			_, err = w.Write(part.content)
		}
		if err != nil {
			return nil, err
		}
	}
	err = archive.Close()
	return out.Bytes(), err
}
