package printable

import (
	"fmt"
	"os"
	"syscall"
	"testing"
)

// A reader that went away is told by other codes on Windows than elsewhere, where those mean
// something that is to be told.
func TestGoneReader(t *testing.T) {
	for _, c := range []struct {
		system string
		code   syscall.Errno
		want   bool
	}{
		{"linux", syscall.EPIPE, true},
		{"darwin", syscall.EPIPE, true},
		{"windows", syscall.EPIPE, true},
		{"windows", 109, true},  // ERROR_BROKEN_PIPE
		{"windows", 232, true},  // ERROR_NO_DATA
		{"windows", 112, false}, // ERROR_DISK_FULL
		{"linux", 109, false},
		{"linux", 232, false},
		{"linux", syscall.ENOSPC, false},
	} {
		err := fmt.Errorf("showing: %w", &os.PathError{Op: "write", Path: "|1", Err: c.code})
		if isGone(err, c.system) != c.want {
			t.Errorf("%d on %s: want %t", c.code, c.system, c.want)
		}
	}
	if isGone(nil, "windows") || isGone(os.ErrClosed, "windows") {
		t.Error("what has no code is a reader that went away")
	}
}
