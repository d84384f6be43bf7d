package request

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/gateway"
	"github.com/mrelease/mrelease/request/result"
)

// Fetching says where results of tasks are fetched from, and to.
type Fetching struct {
	Gateways  gateway.Gateways
	Key       *rsa.PrivateKey // of the beneficiary; nil: a result that is encrypted stays so
	Unpacking result.Unpacking
	Tell      func(text string) // is told how FetchAll goes on; may be nil
}

// Fetched is a result that was fetched.
type Fetched struct {
	Folder   string // that it is in
	Location deal.Location
	Got      gateway.Got
	Result   result.Decrypted
	Archive  string // the file with the result as it came, when it was not decrypted
	// Before says that it was fetched by an earlier call. What is told of it was compared by
	// this one: of a decrypted result the digest, of an archive its address.
	Before bool
}

// archiveName is the file in the new folder that a result without a key is in.
const archiveName = "result.zip"

// Fetch downloads the result of a completed task, compares it with what the chain has of
// it, decrypts it if there is a key, and writes it into a new folder: all of it, or
// nothing. Errors: *deal.LocationError, *gateway.Error, *gateway.ForgedError,
// *bounds.Error, and those of package result.
func (f Fetching) Fetch(ctx context.Context, t deal.Task) (got Fetched, err error) {
	got.Folder = f.Unpacking.Folder
	if got.Location, err = t.Location(); err != nil {
		return got, err
	}
	if err := f.CheckFree(); err != nil {
		return got, err
	}
	parent := filepath.Dir(filepath.Clean(f.Unpacking.Folder))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return got, fmt.Errorf("making folder: %w", err)
	}
	partial, err := os.MkdirTemp(parent, ".result-*.partial")
	if err != nil {
		return got, fmt.Errorf("making folder: %w", err)
	}
	defer os.RemoveAll(partial) // which is gone when it became the result
	archive, err := os.OpenFile(filepath.Join(partial, archiveName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return got, fmt.Errorf("making file: %w", err)
	}
	got.Got, err = f.Gateways.Download(ctx, got.Location.Place, archive)
	if err := errors.Join(err, archive.Close()); err != nil {
		return got, err
	}
	f.Unpacking.Want = wanted(t).Want
	got.Result, err = f.unpack(ctx, archive.Name())
	var closed *lockedError
	if !errors.As(err, &closed) {
		return got, err
	}
	got.Result.Unchecked = "it is encrypted, and there is no key"
	got.Archive = filepath.Join(f.Unpacking.Folder, archiveName)
	if err := os.Rename(partial, f.Unpacking.Folder); err != nil {
		return got, fmt.Errorf("making folder: %w", err)
	}
	return got, nil
}

// wanted is what the chain has of a task's result.
func wanted(t deal.Task) result.Unpacking {
	if len(t.Callback) > 0 { // then the digest is that of what the callback was called with
		return result.Unpacking{}
	}
	return result.Unpacking{Want: t.Digest}
}

// lockedError says that a result is encrypted, and there is no key.
type lockedError struct{ format result.Format }

// Error implements error.
func (e *lockedError) Error() string { return "the result is encrypted (" + string(e.format) + ")" }

func (f Fetching) unpack(ctx context.Context, file string) (result.Decrypted, error) {
	if f.Key == nil {
		format, err := result.FormatOf(file)
		if err != nil {
			return result.Decrypted{}, err
		}
		if format != result.Clear {
			return result.Decrypted{Format: format}, &lockedError{format}
		}
	}
	return f.Unpacking.UnpackFile(ctx, file, f.Key)
}
