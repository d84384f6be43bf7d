package result

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha1" // of 2019
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/mrelease/mrelease/bounds"
)

// WriteArchive decrypts the result to w: the zip archive of what the app wrote. What it
// wrote before an error is of no use. Its error is a [*KeyError], a [*DamagedError], a
// [*bounds.Error], or of w.
func (e *Encrypted) WriteArchive(w io.Writer, key *rsa.PrivateKey) error {
	secret, err := e.dataKey(key)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return fmt.Errorf("decrypting result: %w", err)
	}
	data, err := e.data.Open()
	if err != nil {
		return &DamagedError{e.data.Name, "it cannot be read", err}
	}
	defer data.Close()
	source := &dataReader{r: data, left: bounds.Result, name: e.data.Name}
	if e.Format == ECB {
		return decipher(w, base64.NewDecoder(base64.StdEncoding, source), ecb{block}, e.data.Name)
	}
	iv := make([]byte, aes.BlockSize)
	if _, err := io.ReadFull(source, iv); err != nil {
		return truncated(e.data.Name, err)
	}
	return decipher(w, source, cipher.NewCBCDecrypter(block, iv), e.data.Name)
}

// dataKey decrypts the AES key.
func (e *Encrypted) dataKey(key *rsa.PrivateKey) ([]byte, error) {
	sealed, want := e.key, 32
	if e.Format == ECB {
		sealed, _ = base64.StdEncoding.DecodeString(string(sealed)) // or it would be another format
		want = 16
	}
	bits := key.N.BitLen()
	if len(sealed) != key.Size() {
		return nil, &KeyError{bits, fmt.Sprintf("the result's key is encrypted with RSA-%d", 8*len(sealed))}
	}
	var secret []byte
	var err error
	if e.Format == OAEP {
		secret, err = rsa.DecryptOAEP(sha1.New(), nil, key, sealed, nil)
	} else {
		//lint:ignore SA1019 the format is that; nobody else learns whether a file of the user's decrypts
		secret, err = rsa.DecryptPKCS1v15(nil, key, sealed)
	}
	if err == nil && e.Format == ECB {
		secret, err = base64.StdEncoding.DecodeString(string(secret))
	}
	if err != nil || len(secret) != want {
		return nil, &KeyError{bits, "the result's key does not decrypt with it"}
	}
	return secret, nil
}

// dataReader tells what is wrong with the data entry from what is wrong elsewhere.
type dataReader struct {
	r    io.Reader
	left int64
	name string
}

// Read implements [io.Reader].
func (d *dataReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if d.left -= int64(n); d.left < 0 {
		return 0, &bounds.Error{Where: d.name, What: "its size", Most: bounds.Bytes(bounds.Result)}
	}
	if err != nil && err != io.EOF {
		err = &DamagedError{d.name, "it is not what was written there", err}
	}
	return n, err
}

// chunk is how much is decrypted at a time, in bytes.
const chunk = 128 << 10

// decipher decrypts a stream and takes its padding away.
func decipher(w io.Writer, r io.Reader, mode cipher.BlockMode, name string) error {
	buf := make([]byte, aes.BlockSize+chunk) // what follows the last block of the chunk before
	held := 0
	for {
		n, err := io.ReadFull(r, buf[aes.BlockSize:])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last || n%aes.BlockSize != 0 {
			return truncated(name, err)
		}
		mode.CryptBlocks(buf[aes.BlockSize:aes.BlockSize+n], buf[aes.BlockSize:aes.BlockSize+n])
		plain := buf[aes.BlockSize-held : aes.BlockSize+n]
		if last {
			return writeUnpadded(w, plain, name)
		}
		if _, err := w.Write(plain[:len(plain)-aes.BlockSize]); err != nil {
			return err
		}
		held = copy(buf, plain[len(plain)-aes.BlockSize:])
	}
}

// writeUnpadded writes the end of the data without its padding (PKCS #7).
func writeUnpadded(w io.Writer, plain []byte, name string) error {
	damaged := &DamagedError{Where: name, Problem: "its end is not as encrypting leaves it: it is cut off, or changed"}
	if len(plain) == 0 {
		return damaged
	}
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > aes.BlockSize {
		return damaged
	}
	for _, b := range plain[len(plain)-pad:] {
		if int(b) != pad {
			return damaged
		}
	}
	_, err := w.Write(plain[:len(plain)-pad])
	return err
}

// truncated says why the data ended, if nothing else did.
func truncated(name string, err error) error {
	var known *DamagedError
	var larger *bounds.Error
	if errors.As(err, &known) || errors.As(err, &larger) {
		return err
	}
	var corrupt base64.CorruptInputError
	if errors.As(err, &corrupt) {
		return &DamagedError{name, "it is not in base64 to its end", err}
	}
	return &DamagedError{Where: name, Problem: "it ends within a block: it is cut off"}
}

// ecb decrypts each block by itself, which the standard library does not do for good
// reasons: equal blocks are encrypted to equal ones. The format is as it is.
type ecb struct{ cipher.Block }

// CryptBlocks implements [cipher.BlockMode].
func (e ecb) CryptBlocks(dst, src []byte) {
	for i := 0; i < len(src); i += e.BlockSize() {
		e.Decrypt(dst[i:], src[i:])
	}
}
