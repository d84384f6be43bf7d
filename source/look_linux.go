package source

import (
	"io/fs"
	"syscall"
	"time"
)

// statusOf returns when a file's status changed, and the part of its inode that an index
// holds.
func statusOf(info fs.FileInfo) (changed time.Time, inode uint32, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return time.Time{}, 0, false
	}
	return time.Unix(stat.Ctim.Unix()), uint32(stat.Ino), true
}
