//go:build unix

package bounds_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

func TestAttackFileThatNobodyWrites(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := bounds.ReadFile(fifo, 1000)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "is a named pipe that nobody writes to") {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for a writer")
	}
}
