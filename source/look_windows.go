package source

import (
	"io/fs"
	"time"
)

// statusOf knows nothing: Windows has no time of a status, and git puts others in its
// place. The user's git judges the file.
func statusOf(fs.FileInfo) (changed time.Time, inode uint32, known bool) {
	return time.Time{}, 0, false
}
