package result

import (
	"archive/zip"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// File is a file of a result, as it was written.
type File struct {
	Name   string `json:"name"` // path in the folder, with slashes
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Decrypted is what became of a result.
type Decrypted struct {
	Format Format `json:"format"`
	Files  []File `json:"files"` // in the order of their names
	// Digest is that of the result, 0x and 64 hex digits, where it was compared with the
	// one that was wanted; else Unchecked says why not.
	Digest    string `json:"digest,omitempty"`
	Unchecked string `json:"unchecked,omitempty"`
}

// Unpacking says how a result is written to this machine.
type Unpacking struct {
	Folder string // a new one
	Most   int64  // bytes of all files together
	// Want is the digest that the contracts have of the result; zero: nobody knows. A
	// result with another one is not written.
	Want [32]byte
}

// DecryptFile decrypts a result in a file, and writes what the app wrote into a new
// folder: all of it, or nothing. Files and folders are the user's own (0600, 0700).
// The errors are those of [Open] and [Encrypted.Decrypt].
func (u Unpacking) DecryptFile(ctx context.Context, file string, key *rsa.PrivateKey) (Decrypted, error) {
	f, size, err := bounds.Open(file)
	if err != nil {
		return Decrypted{}, fmt.Errorf("reading result: %w", err)
	}
	defer f.Close()
	e, err := Open(f, size)
	if larger, ok := errors.AsType[*bounds.Error](err); ok {
		larger.Where, larger.File = file, true
	}
	if err != nil {
		return Decrypted{}, err
	}
	return u.Decrypt(ctx, e, key)
}

// UnpackFile is DecryptFile for a result that may not be encrypted, which needs no key.
func (u Unpacking) UnpackFile(ctx context.Context, file string, key *rsa.PrivateKey) (Decrypted, error) {
	d, err := u.DecryptFile(ctx, file, key)
	if _, isClear := errors.AsType[*ClearError](err); !isClear {
		return d, err
	}
	f, size, err := bounds.Open(file)
	if err != nil {
		return Decrypted{}, fmt.Errorf("reading result: %w", err)
	}
	defer f.Close()
	return u.write(Clear, func(folder string) ([]File, error) { return u.fillFrom(ctx, folder, f, size) })
}

// FormatOf finds the format of a result in a file. Its errors are those of [Open], but for
// a result that is not encrypted, whose format is [Clear].
func FormatOf(file string) (Format, error) {
	f, size, err := bounds.Open(file)
	if err != nil {
		return "", fmt.Errorf("reading result: %w", err)
	}
	defer f.Close()
	e, err := Open(f, size)
	if _, isClear := errors.AsType[*ClearError](err); isClear {
		return Clear, nil
	}
	if err != nil {
		return "", err
	}
	return e.Format, nil
}

// Decrypt is DecryptFile for a result that was opened. Its error is one of
// [Encrypted.WriteArchive], an [*ExistsError], a [*RefusedError], a [*DigestError], or of
// the file system.
func (u Unpacking) Decrypt(ctx context.Context, e *Encrypted, key *rsa.PrivateKey) (Decrypted, error) {
	return u.write(e.Format, func(folder string) ([]File, error) { return u.fill(ctx, folder, e, key) })
}

// write makes the folder, once it is filled and is what was wanted.
func (u Unpacking) write(format Format, fill func(folder string) ([]File, error)) (d Decrypted, err error) {
	if _, err := os.Lstat(u.Folder); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = &ExistsError{Path: u.Folder}
		}
		return d, err
	}
	path := filepath.Clean(u.Folder)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return d, fmt.Errorf("making folder: %w", err)
	}
	partial, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".partial-")
	if err != nil {
		return d, fmt.Errorf("making folder: %w", err)
	}
	defer os.RemoveAll(partial) // which is gone when all went well
	d.Format = format
	if d.Files, err = fill(partial); err != nil {
		return d, err
	}
	if err := u.Compare(partial, &d); err != nil {
		return d, err
	}
	if err := os.Rename(partial, path); err != nil { // fails where there is something by now
		return d, fmt.Errorf("making folder: %w", err)
	}
	return d, nil
}

// fill writes the files of a result into a folder. The archive between is in a file
// that has no name: it goes with the process.
func (u Unpacking) fill(ctx context.Context, folder string, e *Encrypted, key *rsa.PrivateKey) (files []File, err error) {
	plain, err := os.CreateTemp(folder, "archive-")
	if err != nil {
		return nil, fmt.Errorf("making file: %w", err)
	}
	defer plain.Close()
	if err := os.Remove(plain.Name()); err != nil {
		return nil, fmt.Errorf("making file: %w", err)
	}
	if err := e.WriteArchive(interruptible{ctx, plain}, key); err != nil {
		return nil, err
	}
	size, err := plain.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("writing file: %w", err)
	}
	return u.fillFrom(ctx, folder, plain, size)
}

// fillFrom writes the files of an archive into a folder.
func (u Unpacking) fillFrom(ctx context.Context, folder string, archive io.ReaderAt, size int64) ([]File, error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("opening folder: %w", err)
	}
	defer root.Close()
	return u.unpack(ctx, archive, size, root)
}

// unpack writes the files of an archive below a root, after a look at all of them.
func (u Unpacking) unpack(ctx context.Context, r io.ReaderAt, size int64, root *os.Root) ([]File, error) {
	archive, err := openZip(r, size, bounds.ResultNames, decrypted)
	if err != nil {
		return nil, err
	}
	if err := u.inspect(archive.File); err != nil {
		return nil, err
	}
	files := []File{}
	buf := make([]byte, chunk)
	for _, f := range archive.File {
		if isFolder(f) {
			if err := root.MkdirAll(filepath.FromSlash(f.Name[:len(f.Name)-1]), 0o700); err != nil {
				return nil, fmt.Errorf("making folder: %w", err)
			}
			continue
		}
		written, err := writeFile(ctx, f, root, buf)
		if err != nil {
			return nil, err
		}
		files = append(files, written)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

const decrypted = "the decrypted archive"

// inspect looks at all entries, before any is written.
func (u Unpacking) inspect(entries []*zip.File) error {
	names := tree{}
	var total uint64
	var spans []span
	for _, f := range entries {
		if err := checkEntry(f); err != nil {
			return err
		}
		if err := names.add(f.Name); err != nil {
			return err
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > uint64(u.Most) || total > uint64(u.Most) {
			return &bounds.Error{Where: decrypted, What: "the size of its files together", Most: bounds.Bytes(u.Most)}
		}
		at, err := f.DataOffset()
		if err != nil {
			return &DamagedError{decrypted, "an entry is not where its directory says", err}
		}
		spans = append(spans, span{at, f.CompressedSize64, f.Name})
	}
	return checkSpans(spans)
}

func isFolder(f *zip.File) bool { return f.Name != "" && f.Name[len(f.Name)-1] == '/' }

// checkEntry refuses what is neither file nor folder.
func checkEntry(f *zip.File) error {
	mode := f.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return &RefusedError{f.Name, "it is a link"}
	case !mode.IsRegular() && !mode.IsDir():
		return &RefusedError{f.Name, "it is neither file nor folder"}
	case mode.IsDir() != isFolder(f) || isFolder(f) && f.UncompressedSize64 > 0:
		return &RefusedError{f.Name, "it is a folder and a file at once"}
	}
	return nil
}

// span is where the data of an entry stands.
type span struct {
	at   int64
	size uint64
	name string
}

// checkSpans refuses entries that share data, with which a small archive holds endless
// files.
func checkSpans(spans []span) error {
	slices.SortFunc(spans, func(a, b span) int { return int(min(max(a.at-b.at, -1), 1)) })
	for i, s := range spans[:max(len(spans)-1, 0)] {
		if next := spans[i+1]; s.size > uint64(next.at-s.at) {
			return &RefusedError{next.name, "it shares its data with another entry"}
		}
	}
	return nil
}

// writeFile writes one file.
func writeFile(ctx context.Context, f *zip.File, root *os.Root, buf []byte) (File, error) {
	name := filepath.FromSlash(f.Name)
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return File{}, fmt.Errorf("making folder: %w", err)
		}
	}
	from, err := f.Open()
	if err != nil {
		return File{}, &DamagedError{decrypted, "an entry cannot be read", err}
	}
	defer from.Close()
	to, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return File{}, fmt.Errorf("making file: %w", err)
	}
	digest := sha256.New()
	size, err := copyEntry(io.MultiWriter(interruptible{ctx, to}, digest), from, buf)
	if err := errors.Join(err, to.Close()); err != nil {
		return File{}, err
	}
	return File{f.Name, size, hex.EncodeToString(digest.Sum(nil))}, nil
}

// copyEntry copies the content of an entry, and tells its errors from those of the disk.
func copyEntry(w io.Writer, r io.Reader, buf []byte) (size int64, err error) {
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return size, err
			}
			size += int64(n)
		}
		switch {
		case err == io.EOF:
			return size, nil
		case err != nil:
			return size, &DamagedError{decrypted, "a file is not what was written there", err}
		}
	}
}

// interruptible is a writer that ends with a context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // of the call that the writer lives in
	w   io.Writer
}

// Write implements [io.Writer].
func (i interruptible) Write(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := i.w.Write(p)
	if err != nil {
		err = fmt.Errorf("writing file: %w", err)
	}
	return n, err
}
