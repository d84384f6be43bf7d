package buildkit

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// logFile is the file of a build's display, in place of one that is there. It is made
// with its first line: a build that is dropped leaves none.
type logFile struct {
	path string
	file *os.File
	err  error // the first; a display takes no notice of it
}

// logBeside returns the log of what is made in the folder dir.
func logBeside(dir string) *logFile { return &logFile{path: dir + ".log"} }

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	if l.file == nil && l.err == nil {
		l.err = l.open()
	}
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.file.Write(p)
	if err != nil {
		l.err = fmt.Errorf("writing log of the build: %w", err)
	}
	return n, l.err
}

// open makes the file anew, since what is there may be somebody's link.
func (l *logFile) open() error {
	if info, err := os.Lstat(l.path); err == nil && info.IsDir() {
		return &OutputError{l.path, "it is a folder, and the log of the build would be there"}
	}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing log of the build: %w", err)
	}
	var err error
	if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return fmt.Errorf("making log of the build: %w", err)
	}
	return nil
}

// name returns the path of the file; empty when nothing was written.
func (l *logFile) name() string {
	if l.file == nil {
		return ""
	}
	return l.path
}

// Close closes the file, if there is one. Its error is the first of all.
func (l *logFile) Close() error {
	if l.file != nil {
		l.err = cmp.Or(l.err, l.file.Close())
	}
	return l.err
}
