package bounds

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Error says that something from outside goes beyond a bound.
type Error struct {
	Where string // file, or who answered; empty where the caller says it
	What  string // "its size", "its depth"
	Most  string // with its unit
	Got   string // empty when it is only known to be more
	File  bool   // Where is a file of this machine
}

// Error implements error.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.Reason()
	}
	return e.Where + ": " + e.Reason()
}

// Reason is the error without the place.
func (e *Error) Reason() string {
	return fmt.Sprintf("%s is above the bound of %s", e.What, e.Most)
}

// Evidence returns bound and value.
func (e *Error) Evidence() [][2]string {
	got := e.Got
	if got == "" {
		got = "more"
	}
	facts := [][2]string{{"expected", "at most " + e.Most}, {"actual", got}}
	if e.Where != "" {
		facts = append(facts, [2]string{"where", e.Where})
	}
	return facts
}

// Bytes writes a size as it is told.
func Bytes(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// ReadFile is [os.ReadFile] for a file that somebody else may have written: it
// reads at most a number of bytes, and does not wait for a writer where the file is a
// named pipe, which is an error then. Its error is an [*Error] for a larger file.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if errors.Is(err, syscall.ENXIO) { // open(2)
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is a socket, or a device that is not there")}
	}
	if err != nil {
		return nil, err
	}
	data, err := readOpen(f, path, most)
	return data, errors.Join(err, f.Close())
}

// Open opens a regular file that somebody else may have written, and returns its size:
// it does not wait for a pipe that was put in the file's place.
func Open(path string) (*os.File, int64, error) {
	return open(path, 0)
}

// OpenItself is Open for a path that must be no link, which could lead anywhere.
func OpenItself(path string) (*os.File, int64, error) {
	if NoFollow != 0 {
		return open(path, NoFollow)
	}
	before, err := os.Lstat(path)
	if err != nil {
		return nil, 0, err
	}
	f, size, err := open(path, 0)
	if err != nil {
		return nil, 0, err
	}
	if after, err := f.Stat(); err != nil || !os.SameFile(before, after) {
		return nil, 0, errors.Join(err, f.Close(), &fs.PathError{Op: "open", Path: path, Err: errors.New("is a link")})
	}
	return f, size, nil
}

func open(path string, flag int) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait|flag, 0)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is no regular file")}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func readOpen(f *os.File, path string, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Size() > most {
		return nil, &Error{Where: path, What: "its size", Most: Bytes(most), Got: fmt.Sprintf("%d bytes", info.Size()), File: true}
	}
	data, err := ReadAll(f, most)
	var larger *Error
	if errors.As(err, &larger) {
		larger.Where, larger.File = path, true
	}
	if err == nil && len(data) == 0 && info.Mode()&fs.ModeNamedPipe != 0 {
		err = &fs.PathError{Op: "read", Path: path, Err: errors.New("is a named pipe that nobody writes to")}
	}
	return data, err
}

// ReadAll is [io.ReadAll] for at most a number of bytes. Its error is an [*Error]
// when there are more.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(data)) > most {
		return nil, &Error{What: "its size", Most: Bytes(most)}
	}
	return data, err
}
