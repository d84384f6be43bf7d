package request

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/gofrs/flock"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/request/deal"
	"github.com/mrelease/mrelease/request/result"
)

// partial is the folder in which the results of a deal are until all of them are there:
//
//	lock         held by the call that fetches
//	arriving/    what is on its way; of no use to another call
//	INDEX.json   a [note] of the task with that index
//	results/     its result, whole, in a folder of that name
type partial struct {
	path string
	lock *flock.Flock
	kept int // whole results, of this call and of those before
}

// PartialError says why the folder for results that are not all there yet is not used.
type PartialError struct{ Path, Problem string }

// Error implements error.
func (e *PartialError) Error() string {
	return "keeping results in " + e.Path + ": " + e.Problem
}

// Evidence returns the folder, and what is wrong with it.
func (e *PartialError) Evidence() [][2]string {
	return [][2]string{{"expected", "a folder of the user's own, for nobody else (mode 0700)"}, {"actual", e.Problem}, {"where", e.Path}}
}

// lockRetry is how often the lock of another call is tried again.
const lockRetry = 200 * time.Millisecond

func partialPath(parent string, id common.Hash) string {
	return filepath.Join(parent, ".deal-"+id.Hex()+".partial")
}

// openPartial takes a deal's folder for this call, and waits for another one that has it.
func (f Fetching) openPartial(ctx context.Context, parent string, id common.Hash) (*partial, error) {
	path := partialPath(parent, id)
	for {
		if err := cmp.Or(ctx.Err(), os.MkdirAll(parent, 0o755)); err != nil {
			return nil, fmt.Errorf("making folder: %w", err)
		}
		p, err := f.tryPartial(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // another call has removed it since
			continue
		case err != nil:
			return nil, err
		}
		if _, err := os.Lstat(p.lock.Path()); err == nil {
			return p, p.empty()
		}
		_ = p.lock.Close() // the call that was waited for has removed it
	}
}

func (f Fetching) tryPartial(ctx context.Context, path string) (*partial, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making folder: %w", err)
	}
	if err := checkOwn(path); err != nil {
		return nil, err
	}
	lock := newLock(path)
	held, err := lock.TryLock()
	if err == nil && !held {
		if f.Tell != nil {
			f.Tell("waiting for another call that fetches the results of this deal")
		}
		_, err = lock.TryLockContext(ctx, lockRetry)
	}
	if err != nil {
		return nil, fmt.Errorf("locking folder: %w", err)
	}
	return &partial{path: path, lock: lock}, nil
}

func newLock(path string) *flock.Flock {
	return flock.New(filepath.Join(path, "lock"), flock.SetPermissions(0o600))
}

// checkOwn makes sure that nobody else put the folder there, or can write to it: what is in
// it becomes the result.
func checkOwn(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("looking at folder: %w", err)
	}
	if !info.IsDir() {
		return &PartialError{path, "it is no folder, or a link"}
	}
	if problem := foreign(info); problem != "" {
		return &PartialError{path, problem}
	}
	return nil
}

// empty removes what was on its way to a call that was killed, and counts what is whole.
func (p *partial) empty() error {
	err := os.RemoveAll(filepath.Join(p.path, "arriving"))
	for _, folder := range []string{"arriving", "results"} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(p.path, folder), 0o700)
		}
	}
	if err != nil {
		return fmt.Errorf("making folder: %w", errors.Join(err, p.lock.Close()))
	}
	whole, err := os.ReadDir(p.results())
	p.kept = len(whole)
	if err != nil {
		return fmt.Errorf("reading folder: %w", errors.Join(err, p.lock.Close()))
	}
	return nil
}

func (p *partial) arriving(t deal.Task) string { return filepath.Join(p.path, "arriving", nameOf(t)) }
func (p *partial) results() string             { return filepath.Join(p.path, "results") }
func (p *partial) result(t deal.Task) string   { return filepath.Join(p.results(), nameOf(t)) }
func (p *partial) note(t deal.Task) string     { return filepath.Join(p.path, nameOf(t)+".json") }

// noteSchema names the format of a note: another one is not understood, and the result is
// fetched again.
const noteSchema = "mrelease.fetched/v1"

// note is what was found of a result when it was fetched.
type note struct {
	Schema  string        `json:"schema"`
	Task    common.Hash   `json:"task"`
	Digest  common.Hash   `json:"digest"` // that the chain had of it
	Fetched Fetched       `json:"fetched"`
	Files   []result.File `json:"files"` // all of them, decrypted or not
}

// neverFetched is why a result is fetched that is not there.
const neverFetched = "it is not there"

// before returns what is told of a result that was fetched by a call before, or why it is
// not used: it must be whole, as it was written then, and compare with the chain now. What a
// note says of that is not taken for it, since a folder may have come with somebody's archive:
// what cannot be compared is fetched again.
func (f Fetching) before(ctx context.Context, p *partial, t deal.Task) (got Fetched, why string) {
	if _, err := os.Lstat(p.result(t)); err != nil {
		return got, neverFetched
	}
	text, err := bounds.ReadJSON(p.note(t), bounds.Record)
	var n note
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil || n.Schema != noteSchema {
		return got, "what was noted of it cannot be read"
	}
	location, err := t.Location()
	if err != nil || n.Task != t.ID || n.Digest != t.Digest || n.Fetched.Location != location {
		return got, "the chain has another result than then"
	}
	files, err := listing(p.result(t))
	if err != nil || !slices.Equal(files, n.Files) {
		return got, "its files are not as they were written then"
	}
	got = Fetched{Location: location, Before: true}
	got.Got.Size, got.Got.Gateway = n.Fetched.Got.Size, n.Fetched.Got.Gateway
	if n.Fetched.Archive != "" {
		why = f.archived(ctx, p.result(t), files, &got)
		return got, why
	}
	got.Got.Unchecked = "it was fetched by an earlier call, and what of it computed.json does not name is as it lies on this disk"
	got.Result, why = compared(t, p.result(t))
	got.Result.Format = n.Fetched.Result.Format
	return got, why
}

// archived compares a result that is kept as it came with its address.
func (f Fetching) archived(ctx context.Context, folder string, files []result.File, got *Fetched) (why string) {
	if f.Key != nil {
		return "it was not decrypted, and there is a key now"
	}
	if len(files) != 1 || files[0].Name != archiveName {
		return "there is more than what was downloaded"
	}
	got.Archive = filepath.Join(folder, archiveName)
	file, _, err := bounds.Open(got.Archive)
	if err != nil {
		return "it cannot be read"
	}
	defer file.Close()
	unchecked, err := f.Gateways.Check(ctx, got.Location.Place, file)
	if err != nil {
		return "it is not what its address names"
	}
	if unchecked != "" {
		return "it cannot be compared with its address: " + unchecked
	}
	got.Got.Checked = true
	got.Result.Format, err = result.FormatOf(got.Archive)
	if err != nil || got.Result.Format == result.Clear {
		return "it is no encrypted result"
	}
	got.Result.Unchecked = "it is encrypted, and there is no key"
	return ""
}

// forget removes what there is of a result.
func (p *partial) forget(t deal.Task) error {
	if _, err := os.Lstat(p.result(t)); err == nil {
		p.kept--
	}
	err := errors.Join(os.RemoveAll(p.result(t)), os.RemoveAll(p.note(t)))
	if err != nil {
		err = fmt.Errorf("removing result: %w", err)
	}
	return err
}

// keep keeps a result that has arrived: what is in the folder of results is whole, and was
// noted.
func (p *partial) keep(t deal.Task, got Fetched) error {
	files, err := listing(p.arriving(t))
	if err != nil {
		return err
	}
	text, err := json.Marshal(note{noteSchema, t.ID, t.Digest, got, files})
	if err != nil {
		return fmt.Errorf("encoding note: %w", err)
	}
	if err := os.WriteFile(p.note(t), text, 0o600); err != nil {
		return fmt.Errorf("writing note: %w", err)
	}
	if err := os.Rename(p.arriving(t), p.result(t)); err != nil {
		return fmt.Errorf("keeping result: %w", err)
	}
	p.kept++
	return nil
}

// tellKept tells how far a call came that goes no further.
func (p *partial) tellKept(tell func(text string), of int) {
	if p.kept > 0 && tell != nil {
		tell(fmt.Sprintf("%d of %d results are kept in %s: the same command goes on with them", p.kept, of, p.path))
	}
}

// clear removes all but the lock, once the results are where they belong.
func (p *partial) clear() error {
	p.kept = 0
	entries, err := os.ReadDir(p.path)
	for _, e := range entries {
		if e.Name() != filepath.Base(p.lock.Path()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(p.path, e.Name())))
		}
	}
	if err != nil {
		err = fmt.Errorf("removing folder: %w", err)
	}
	return err
}

// close gives the folder free, and removes it if no result is kept in it. That it could not
// be removed is of no matter: the next call removes it.
func (p *partial) close() {
	if p.kept == 0 {
		_ = p.clear()
	}
	if p.kept == 0 && os.Remove(p.lock.Path()) != nil { // Windows removes no file that is open
		defer os.Remove(p.path)
		defer os.Remove(p.lock.Path())
	}
	if p.kept == 0 {
		_ = os.Remove(p.path) // which fails when another call has taken it
	}
	_ = p.lock.Close()
}

// listing returns the files in a folder and below, by their names.
func listing(folder string) ([]result.File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("opening folder: %w", err)
	}
	defer root.Close()
	files := []result.File{}
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		one := result.File{Name: name}
		one.SHA256, one.Size, err = sum(root, name)
		files = append(files, one)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading folder: %w", err)
	}
	return files, nil
}

// sum returns the SHA-256 of a file, and its size.
func sum(root *os.Root, name string) (digest string, size int64, err error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
