package result

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
)

// computed is the file in which an app says which of what it wrote is the same on every
// worker.
const computed = "computed.json"

// outFolder is where the app saw the folder of its result.
const outFolder = "/iexec_out"

// errUncheckable says why a result has no digest.
type errUncheckable struct{ error }

// Compare computes the digest of an unpacked result and compares it with the one that is
// wanted, where both are known, and notes it. Its error is a [*DigestError], or of the file
// system.
func (u Unpacking) Compare(folder string, d *Decrypted) error {
	if u.Want == ([32]byte{}) {
		d.Unchecked = "no digest to compare with"
		return nil
	}
	got, err := digest(folder)
	if why, is := errors.AsType[errUncheckable](err); is {
		d.Unchecked = why.Error()
		return nil
	}
	if err != nil {
		return err
	}
	d.Digest = "0x" + hex.EncodeToString(got[:])
	if got != u.Want {
		return &DigestError{d.Digest, "0x" + hex.EncodeToString(u.Want[:])}
	}
	return nil
}

// digest computes what workers contribute of a result, as computeWeb2ResultDigest of
// iexec-common does: of what computed.json names as deterministic-output-path the SHA-256
// if that is a file; of a folder
//
//	keccak256(SHA-256 of the first file ‖ SHA-256 of the second file ‖ …)
//
// of the files that lie in it, in the order of their names. Folders in it do not count,
// nor what is in them; of a folder without files it is that of nothing.
func digest(folder string) (sum [32]byte, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return sum, fmt.Errorf("opening folder: %w", err)
	}
	defer root.Close()
	text, err := readSmall(root, computed)
	if err != nil {
		return sum, err
	}
	var c struct {
		Path string `json:"deterministic-output-path"`
	}
	if err := json.Unmarshal(text, &c); err != nil || c.Path == "" {
		return sum, errUncheckable{errors.New(computed + " names no deterministic-output-path")}
	}
	name := strings.TrimPrefix(path.Clean("/"+c.Path), outFolder)
	name = filepath.FromSlash(strings.TrimPrefix(name, "/"))
	if name == "" {
		name = "."
	}
	info, err := root.Stat(name)
	if err != nil {
		return sum, errUncheckable{errors.New("what " + computed + " names is not in the result")}
	}
	if !info.IsDir() {
		return fileDigest(root, name)
	}
	return folderDigest(root, name)
}

func folderDigest(root *os.Root, name string) (sum [32]byte, err error) {
	entries, err := fs.ReadDir(root.FS(), filepath.ToSlash(name))
	if err != nil {
		return sum, fmt.Errorf("reading folder: %w", err)
	}
	var sums []byte
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		if e.IsDir() { // for which FileHashUtils has no bytes
			continue
		}
		one, err := fileDigest(root, filepath.Join(name, e.Name()))
		if err != nil {
			return sum, err
		}
		sums = append(sums, one[:]...)
	}
	return crypto.Keccak256Hash(sums), nil
}

func fileDigest(root *os.Root, name string) (sum [32]byte, err error) {
	f, err := root.Open(name)
	if err != nil {
		return sum, fmt.Errorf("reading file: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("reading file: %w", err)
	}
	return [32]byte(h.Sum(nil)), nil
}

// readSmall reads computed.json, which has a few lines.
func readSmall(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, errUncheckable{errors.New("the result has no " + name)}
	}
	defer f.Close()
	text, err := bounds.ReadAll(f, bounds.Project)
	if err == nil {
		err = bounds.CheckJSON(text)
	}
	if err != nil {
		return nil, errUncheckable{errors.New(name + " is too large to be read")}
	}
	return text, nil
}
