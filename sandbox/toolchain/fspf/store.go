package fspf

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Magic is the first line of a protection file: it says what the file is to
// whoever looks into it, and that it is not SCONE's.
const Magic = "mrelease stand-in for a SCONE file system protection file, version 1\n"

const (
	keySize   = 32
	nonceSize = 12
	tagSize   = 16
)

// Key encrypts a protection file; zero when it is not encrypted.
type Key [keySize]byte

// Tag is the AES-GCM tag of a protection file.
type Tag [tagSize]byte

func (k Key) String() string { return hex.EncodeToString(k[:]) }

func (t Tag) String() string { return hex.EncodeToString(t[:]) }

// ErrKey says that a protection file cannot be opened: it is damaged, or the
// key is another one.
var ErrKey = errors.New("wrong key, or a damaged file system protection file")

// ParseKey reads 64 hex digits.
func ParseKey(s string) (Key, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != keySize {
		return Key{}, fmt.Errorf("a key has %d hex digits", 2*keySize)
	}
	return Key(b), nil
}

// NewKey draws a key.
func NewKey(random io.Reader) (Key, error) {
	var k Key
	if _, err := io.ReadFull(random, k[:]); err != nil {
		return k, fmt.Errorf("drawing a key: %w", err)
	}
	return k, nil
}

// Read opens a protection file. Its error is ErrKey (wrapped) when the key does
// not fit.
func Read(name string, key Key) (Protection, Tag, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Protection{}, Tag{}, err
	}
	sealed, ok := bytes.CutPrefix(data, []byte(Magic))
	if !ok || len(sealed) < nonceSize+tagSize {
		return Protection{}, Tag{}, fmt.Errorf("%s is no file system protection file", name)
	}
	plain, err := open(sealed, key)
	if err != nil {
		return Protection{}, Tag{}, fmt.Errorf("opening %s: %w", name, err)
	}
	var p Protection
	if err := json.Unmarshal(plain, &p); err != nil {
		return Protection{}, Tag{}, fmt.Errorf("decoding %s: %w", name, err)
	}
	return p, tagOf(sealed), nil
}

// Write seals a protection file and returns its tag, which is another one each
// time.
func (p *Protection) Write(name string, key Key, random io.Reader) (Tag, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return Tag{}, fmt.Errorf("encoding %s: %w", name, err)
	}
	sealed, err := seal(plain, key, random)
	if err != nil {
		return Tag{}, fmt.Errorf("sealing %s: %w", name, err)
	}
	if err := os.WriteFile(name, append([]byte(Magic), sealed...), 0o644); err != nil {
		return Tag{}, err
	}
	return tagOf(sealed), nil
}

func tagOf(sealed []byte) Tag { return Tag(sealed[len(sealed)-tagSize:]) }

// seal returns nonce, ciphertext and tag.
func seal(plain []byte, key [keySize]byte, random io.Reader) ([]byte, error) {
	nonce := make([]byte, nonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("drawing a nonce: %w", err)
	}
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nonce, nonce, plain, nil), nil
}

func open(sealed []byte, key [keySize]byte) ([]byte, error) {
	aead, err := gcm(key)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, sealed[:nonceSize], sealed[nonceSize:], nil)
	if err != nil {
		return nil, ErrKey
	}
	return plain, nil
}

func gcm(key [keySize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
