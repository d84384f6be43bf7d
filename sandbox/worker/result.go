package worker

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
)

// The limits of a result.
const (
	maxResult   = 512 << 20 // bytes that the program wrote
	maxComputed = 1 << 20   // bytes of computed.json
	maxName     = 31        // of a file, as iExec's post-compute has it
)

// computed is what a program says of its result, in the file computed.json.
type computed struct {
	Path     string `json:"deterministic-output-path"`
	Callback string `json:"callback-data"`
}

// deliver reads what the program wrote, stores it, and says what the contracts are told:
// where it is, and the digest that a second run would have too.
func (j *job) deliver(context.Context) error {
	root, err := os.OpenRoot(j.out())
	if err != nil {
		return err
	}
	defer root.Close()
	c, err := readComputed(root)
	if err != nil {
		return err
	}
	if j.Deal.Callback != (common.Address{}) {
		return j.callback(c)
	}
	if j.result.Digest, err = c.digest(root); err != nil {
		return err
	}
	archive, err := pack(root.FS())
	if err != nil {
		return fmt.Errorf("packing result: %w", err)
	}
	if j.params.Encrypt {
		if archive, err = j.encrypt(archive); err != nil {
			return err
		}
	}
	location, err := j.Store.Add(archive)
	if err != nil {
		return err
	}
	j.result.Location, err = json.Marshal(map[string]string{"storage": "ipfs", "location": location})
	return err
}

// callback makes the result of a run for a contract, which is on the chain itself.
func (j *job) callback(c computed) error {
	data, err := hexutil.Decode(c.Callback)
	if err != nil {
		return fmt.Errorf("reading callback-data in computed.json: %w", err)
	}
	j.result.Callback, j.result.Digest = data, crypto.Keccak256Hash(data)
	j.result.Location, err = json.Marshal(map[string]string{"storage": "ethereum", "location": j.Deal.Callback.Hex()})
	return err
}

func readComputed(root *os.Root) (c computed, err error) {
	data, err := readFile(root, "computed.json", maxComputed)
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, fmt.Errorf("reading computed.json: %w", err)
	}
	return c, nil
}

// readFile reads a regular file that is in the folder.
func readFile(root *os.Root, name string, most int64) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", name, most)
	}
	return root.ReadFile(name)
}

// digest is that of the file or folder which the program says is the same in each run. Of
// a folder it is Keccak-256 over the SHA-256 of each file that lies in it, by name;
// folders in it do not count, and without files it is that of nothing. So it is in
// FileHashUtils of iexec-common.
func (c computed) digest(root *os.Root) (common.Hash, error) {
	name, ok := strings.CutPrefix(path.Clean(c.Path), outside)
	if name = strings.TrimPrefix(name, "/"); !ok || name == "" && path.Clean(c.Path) != outside {
		return common.Hash{}, fmt.Errorf("deterministic-output-path %q is not in %s", c.Path, outside)
	}
	if name == "" {
		name = "."
	}
	info, err := root.Lstat(name)
	if err != nil {
		return common.Hash{}, fmt.Errorf("looking at deterministic-output-path: %w", err)
	}
	if !info.IsDir() {
		return fileDigest(root, name)
	}
	entries, err := fs.ReadDir(root.FS(), name)
	if err != nil {
		return common.Hash{}, err
	}
	var all []byte
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		hash, err := fileDigest(root, path.Join(name, e.Name()))
		if err != nil {
			return common.Hash{}, err
		}
		all = append(all, hash[:]...)
	}
	return crypto.Keccak256Hash(all), nil
}

func fileDigest(root *os.Root, name string) (common.Hash, error) {
	data, err := readFile(root, name, maxResult)
	return sha256.Sum256(data), err
}

// pack makes the archive of all regular files that a program wrote.
func pack(files fs.FS) ([]byte, error) {
	var out bytes.Buffer
	archive, left := zip.NewWriter(&out), int64(maxResult)
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if len(e.Name()) > maxName {
			return fmt.Errorf("the file name %q is longer than %d bytes", e.Name(), maxName)
		}
		to, err := archive.Create(name)
		if err != nil {
			return err
		}
		from, err := files.Open(name)
		if err != nil {
			return err
		}
		n, err := io.Copy(to, io.LimitReader(from, left+1))
		if left -= n; left < 0 {
			err = fmt.Errorf("it is larger than %d bytes", int64(maxResult))
		}
		return errors.Join(err, from.Close())
	})
	err = errors.Join(err, archive.Close())
	return out.Bytes(), err
}
