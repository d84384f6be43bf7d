package printable_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/mrelease/mrelease/printable"
)

// Whoever reads may go, as head does: that is no error, and a full disk is one.
func TestWriterWithoutAReader(t *testing.T) {
	for want, cause := range map[error]error{nil: &os.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}, syscall.ENOSPC: syscall.ENOSPC} {
		w := printable.NewWriter(failing{cause})
		if _, err := w.Write([]byte("line\n")); !errors.Is(err, want) || !errors.Is(w.Err(), want) {
			t.Errorf("%v: %v, %v", cause, err, w.Err())
		}
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
