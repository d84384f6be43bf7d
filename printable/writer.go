package printable

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Own is a text of the program's own, colours among it, that is shown as it is.
type Own string

// Writer is where lines are shown. It can be used by several at once: their lines do
// not mix.
type Writer struct {
	mu      sync.Mutex
	w       io.Writer
	partial []byte // of a line that was not ended yet
	err     error  // the first of w's
}

// NewWriter returns a Writer that shows on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write shows somebody's lines as [Lines] makes them. What comes after the last line
// end waits for the next one, or for Flush.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.partial = append(w.partial, p...)
	end := bytes.LastIndexByte(w.partial, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	whole := Lines(string(w.partial[:end]))
	w.partial = append(w.partial[:0], w.partial[end:]...)
	if err := w.show(whole); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Flush shows what was written since the last line end, and ends the line.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.partial) == 0 {
		return nil
	}
	rest := Lines(string(w.partial)) + "\n"
	w.partial = w.partial[:0]
	return w.show(rest)
}

// show writes what can be shown, and keeps the first error. A reader that went away, as
// head does, has what it wanted: whether a write still finds it is chance, so it is none.
func (w *Writer) show(text string) error {
	_, err := io.WriteString(w.w, text)
	if isGone(err, runtime.GOOS) {
		err = nil
	}
	w.err = cmp.Or(w.err, err)
	return err
}

// isGone tells a write to a pipe that nobody reads any more. Windows has two codes for that,
// which Go does not take for its EPIPE, and which are something else on other systems.
func isGone(err error, system string) bool {
	const brokenPipe, noData syscall.Errno = 109, 232 // ERROR_BROKEN_PIPE, ERROR_NO_DATA
	var code syscall.Errno
	return errors.Is(err, syscall.EPIPE) || system == "windows" && errors.As(err, &code) && (code == brokenPipe || code == noData)
}

// Err returns the first error of the writer below: of a line whose writer did not ask.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Printf shows lines of the program's own, which ends with a line end. Its arguments
// are somebody's, each shown as [Text] makes it, unless they are an [Own].
func (w *Writer) Printf(format string, args ...any) error {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = argument(arg)
	}
	lines := strings.Split(fmt.Sprintf(format, shown...), "\n")
	for i, line := range lines {
		lines[i] = guarded(line)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.show(strings.Join(lines, "\n"))
}

// argument makes an argument one that can be shown, and leaves numbers to their verbs.
func argument(arg any) any {
	switch arg := arg.(type) {
	case Own:
		return string(arg)
	case error, fmt.Stringer:
		return Text(fmt.Sprint(arg))
	}
	switch reflect.ValueOf(arg).Kind() {
	case reflect.Bool, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return arg
	}
	return Text(fmt.Sprint(arg))
}

// Verbatim writes what is no text but for a program that reads the lines: a command of
// a CI system. A line that was not ended is ended before.
func (w *Writer) Verbatim(text string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.flush(); err != nil {
		return err
	}
	return w.show(text)
}
