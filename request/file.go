package request

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/poco"
)

// orderSchema names the format of a file with a request.
const orderSchema = "mrelease.request-order/v1"

// orderFile is a request on a disk. The hash is there for people: what counts is that of
// the order.
type orderFile struct {
	Schema  string                  `json:"schema"`
	ChainID uint64                  `json:"chainId"`
	Hash    common.Hash             `json:"hash"`
	Order   poco.SignedRequestOrder `json:"order"`
}

// FileError says why a file with a request cannot be used.
type FileError struct {
	Path    string
	Problem string
	Err     error
}

// Error implements error.
func (e *FileError) Error() string { return "request in " + e.Path + ": " + e.Problem }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// Evidence returns where and why.
func (e *FileError) Evidence() [][2]string {
	return [][2]string{{"where", e.Path}, {"problem", e.Problem}}
}

// CheckNew makes sure that there is no file yet in the place of a new request's. Its error
// is a [*FileError].
func CheckNew(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return thereAlready(path, fs.ErrExist)
	}
	return nil // what else is wrong with the place shows when the file is written
}

func thereAlready(path string, err error) error {
	return &FileError{path, "it is there already: a request is written once", err}
}

// WriteOrder writes a request into a file that is not there yet, whole, before anybody is
// told of it: whoever has the file can go on with the request, and finds the deal that was
// made of it. Its error is a [*FileError].
func WriteOrder(path string, d poco.Domain, o poco.SignedRequestOrder) error {
	text, err := json.MarshalIndent(orderFile{orderSchema, d.ChainID, o.Hash(d), o}, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding request: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return &FileError{path, "its folder cannot be made", err}
	}
	err = create(path, append(text, '\n'))
	if errors.Is(err, fs.ErrExist) {
		return thereAlready(path, err)
	}
	if err != nil {
		return &FileError{path, "it cannot be written: " + err.Error(), err}
	}
	return nil
}

// ReadOrder reads a request from a file of [WriteOrder], or from the orders.json of iExec's
// command line, for a chain. Its error is a [*FileError], which is an [fs.ErrNotExist] for
// a file that is not there.
func ReadOrder(path string, d poco.Domain) (poco.SignedRequestOrder, error) {
	fail := func(problem string, err error) (poco.SignedRequestOrder, error) {
		return poco.SignedRequestOrder{}, &FileError{path, problem, err}
	}
	text, err := bounds.ReadJSON(path, bounds.Project)
	var larger *bounds.Error
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail("there is no such file", err)
	case errors.As(err, &larger):
		return fail(larger.Reason(), err)
	case err != nil:
		return fail("it cannot be read", err)
	}
	var file orderFile
	if err := json.Unmarshal(text, &file); err != nil {
		return fail("it is no request: "+bounds.Malformed(err), err)
	}
	if file.Schema != orderSchema {
		return theirs(path, text, d)
	}
	if file.ChainID != d.ChainID {
		return fail(fmt.Sprintf("it is for the chain with the id %d, not %d", file.ChainID, d.ChainID), nil)
	}
	if hash := file.Order.Hash(d); hash != file.Hash {
		return fail(fmt.Sprintf("its order has the hash %s on this hub, and it says %s", hash, file.Hash), nil)
	}
	return file.Order, nil
}

// theirs reads an orders.json: for each chain by its id the order of each kind that was
// signed last.
func theirs(path string, text []byte, d poco.Domain) (poco.SignedRequestOrder, error) {
	var chains map[string]struct {
		Request *poco.SignedRequestOrder `json:"requestorder"`
	}
	if err := json.Unmarshal(text, &chains); err != nil {
		return poco.SignedRequestOrder{}, &FileError{path, "it is neither a request of mrelease nor an orders.json", err}
	}
	order := chains[strconv.FormatUint(d.ChainID, 10)].Request
	if order == nil {
		return poco.SignedRequestOrder{}, &FileError{Path: path, Problem: fmt.Sprintf("it has no request for the chain with the id %d", d.ChainID)}
	}
	return *order, nil
}
