package request

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
)

// KeyFolder is where iExec's command line has result keys, from the folder it runs in.
const KeyFolder = ".secrets/beneficiary"

// keyBits is the size of a new key: all versions of iExec's command line make such.
const keyBits = 4096

// Key is the result key of a beneficiary, in its two files.
type Key struct {
	Beneficiary common.Address
	Private     *rsa.PrivateKey
	Files       KeyFiles
}

// KeyFiles are where a key is.
type KeyFiles struct{ Private, Public, note string }

// FilesOf returns where the key of a beneficiary is in a folder.
func FilesOf(folder string, beneficiary common.Address) KeyFiles {
	path := filepath.Join(folder, beneficiary.Hex()+"_key")
	return KeyFiles{path, path + ".pub", path + ".pushed"}
}

// KeyError says why a key file cannot be used. It holds nothing of the key.
type KeyError struct {
	Path    string
	Problem string
	Err     error
}

// Error implements error.
func (e *KeyError) Error() string { return "reading result key " + e.Path + ": " + e.Problem }

// Unwrap returns the cause, if there is one that may be shown.
func (e *KeyError) Unwrap() error { return e.Err }

// Evidence returns where and why.
func (e *KeyError) Evidence() [][2]string {
	return [][2]string{{"where", e.Path}, {"problem", e.Problem}}
}

// NewKey returns the key of a beneficiary in a folder. One that is there is read, never
// written; only its public file is written where it is missing. Else a key is made,
// readable by the user alone, and appears whole; then made is true. Its error is a
// [*KeyError], or of the file system.
func NewKey(folder string, beneficiary common.Address) (k Key, made bool, err error) {
	k = Key{Beneficiary: beneficiary, Files: FilesOf(folder, beneficiary)}
	_, lone := os.Lstat(k.Files.Public) // first: another job that makes a key writes it last
	k.Private, err = ReadPrivateKey(k.Files.Private)
	if errors.Is(err, fs.ErrNotExist) {
		if !errors.Is(lone, fs.ErrNotExist) {
			return k, false, &KeyError{k.Files.Public, "it is there and its private half is not", lone}
		}
		made, err = true, k.make(folder)
		if errors.Is(err, fs.ErrExist) { // another job was faster
			made = false
			k.Private, err = ReadPrivateKey(k.Files.Private)
		}
	}
	if err != nil {
		return k, false, err
	}
	if lone != nil {
		err = create(k.Files.Public, k.Public())
	}
	if lone == nil || errors.Is(err, fs.ErrExist) { // there before, or since
		err = k.compare(bounds.ReadFile(k.Files.Public, bounds.Key))
	}
	return k, made, err
}

// ReadKey returns the key of a beneficiary in a folder, of which both halves must be
// there. Its error is a [*KeyError].
func ReadKey(folder string, beneficiary common.Address) (Key, error) {
	k := Key{Beneficiary: beneficiary, Files: FilesOf(folder, beneficiary)}
	var err error
	if k.Private, err = ReadPrivateKey(k.Files.Private); err != nil {
		return k, err
	}
	public, err := bounds.ReadFile(k.Files.Public, bounds.Key)
	return k, k.compare(public, err)
}

// compare checks that the public file holds the private one's other half.
func (k Key) compare(public []byte, err error) error {
	if err != nil {
		return unread(k.Files.Public, err)
	}
	block, _ := pem.Decode(public)
	if block == nil {
		return &KeyError{Path: k.Files.Public, Problem: "it is no PEM"}
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !k.Private.PublicKey.Equal(parsed) {
		return &KeyError{Path: k.Files.Public, Problem: "it is not the other half of " + k.Files.Private}
	}
	return nil
}

// make makes the private key and writes it.
func (k *Key) make(folder string) (err error) {
	if k.Private, err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
		return fmt.Errorf("making result key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return fmt.Errorf("encoding result key: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	return create(k.Files.Private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// create writes a file that is not there yet, whole, for the user alone. A link has
// no way to take another file's place, as a renaming has.
func create(path string, content []byte) error {
	part, err := os.CreateTemp(filepath.Dir(path), ".key-*.part") // 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	defer os.Remove(part.Name())
	_, err = part.Write(content)
	if err := errors.Join(err, part.Sync(), part.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	if err := os.Link(part.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

// Public returns the public half in PEM, as it is pushed.
func (k Key) Public() []byte {
	der, err := x509.MarshalPKIXPublicKey(&k.Private.PublicKey)
	if err != nil { // which RSA keys have none of
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// Fingerprint returns the SHA-256 of the public half's DER, in hex.
func (k Key) Fingerprint() string {
	block, _ := pem.Decode(k.Public())
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}

// IsOpen reports whether others than the user can read the private key, as iExec's
// command line leaves it.
func (k Key) IsOpen() bool {
	info, err := os.Stat(k.Files.Private)
	return err == nil && info.Mode().Perm()&0o077 != 0
}

// ReadPrivateKey reads an RSA key in PEM: PKCS #8, or PKCS #1. Its error is a
// [*KeyError], which is an [fs.ErrNotExist] for a file that is not there.
func ReadPrivateKey(path string) (*rsa.PrivateKey, error) {
	text, err := bounds.ReadFile(path, bounds.Key)
	if err != nil {
		return nil, unread(path, err)
	}
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, &KeyError{Path: path, Problem: "it is no PEM"}
	case bytes.Contains(text, []byte("ENCRYPTED")):
		return nil, &KeyError{Path: path, Problem: "it is locked with a password, which no result key is"}
	case block.Type == "PUBLIC KEY":
		return nil, &KeyError{Path: path, Problem: "it is the public half"}
	}
	key, err := parse(block)
	if err != nil { // the cause may tell of the key
		return nil, &KeyError{Path: path, Problem: "it holds no RSA key (PKCS #8)"}
	}
	if bits := key.N.BitLen(); bits > bounds.RSA {
		return nil, &KeyError{Path: path, Problem: fmt.Sprintf("it has %d bits, more than %d", bits, bounds.RSA)}
	}
	return key, nil
}

func parse(block *pem.Block) (*rsa.PrivateKey, error) {
	if block.Type == "RSA PRIVATE KEY" {
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	if key, ok := parsed.(*rsa.PrivateKey); ok {
		return key, nil
	}
	return nil, errors.New("another kind of key")
}

// unread says why a key file could not be read, without its path, which stands beside it.
func unread(path string, err error) error {
	problem := "it cannot be read"
	var larger *bounds.Error
	var failed *fs.PathError
	switch {
	case errors.As(err, &larger):
		problem = larger.Reason()
	case errors.As(err, &failed):
		problem = failed.Err.Error()
	}
	return &KeyError{path, problem, err}
}
