//go:build unix

package request

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// foreign says why a folder is not the user's alone; "" for one that is.
func foreign(info fs.FileInfo) string {
	if of, ok := info.Sys().(*syscall.Stat_t); ok && int(of.Uid) != os.Geteuid() {
		return fmt.Sprintf("it belongs to user %d", of.Uid)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		return fmt.Sprintf("others may use it (mode %04o)", mode)
	}
	return ""
}
