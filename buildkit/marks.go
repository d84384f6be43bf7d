package buildkit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tonistiigi/fsutil/types"

	"github.com/mrelease/mrelease/buildkit/engine"
)

// marks give each file that is sent a time that follows from its content.
//
// A builder keeps what was sent of a folder, and asks only for files whose size, mode
// or time changed (fsutil, diff_containerd.go). The times of a checkout tell nothing of
// content, and one time for all would hide a change. The time of a mark is a keyed hash:
// who does not have the key cannot make two contents of one time, of which a builder
// would take the older for the newer. Nothing that is built sees such a time (see
// stamper).
type marks struct{ key [sha256.Size]byte }

// markRange is how many times there are, in nanoseconds: 31 bits of seconds, which file
// systems hold that end in 2038. By chance two contents have one time once in 2·10^18.
const markRange = uint64(time.Second) << 31

// of is the time of a content, by its SHA-256 in hex.
func (m marks) of(content string) int64 {
	return int64(binary.BigEndian.Uint64(m.sum("content", content)) % markRange)
}

// folder names what a builder keeps of a source's folders: another checkout, and another
// client, which has another key, have another name.
func (m marks) folder(s Source) (string, error) {
	named := shortened(s.Contexts)
	folders := []string{s.Context, s.path()}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if value := named[name]; !strings.HasPrefix(value, schemeImage) && !strings.HasPrefix(value, schemeLayout) {
			folders = append(folders, value)
		}
	}
	parts := []string{"folder"}
	for _, path := range folders {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", fmt.Errorf("naming folder: %w", err)
		}
		parts = append(parts, path)
	}
	return hex.EncodeToString(m.sum(parts...)), nil
}

func (m marks) sum(parts ...string) []byte {
	f := fields{hmac.New(sha256.New, m.key[:])}
	f.writeList(parts)
	return f.Sum(nil)
}

// mark gives a file its time.
func (m marks) mark(e entry) *types.Stat {
	stat := e.stat.CloneVT()
	if e.kind == "file" || e.kind == "executable" {
		stat.ModTime = m.of(e.value)
	}
	return stat
}

// newMarks makes a key.
func newMarks() (m marks) {
	rand.Read(m.key[:]) // which never fails
	return m
}

// openMarks reads the key that is kept beside the finished layers, and makes it if there
// is none. A client that has no folder to keep one in sends all files each time.
func (b *Builder) openMarks() (marks, error) {
	if b.layers == "" {
		return newMarks(), nil
	}
	state := filepath.Dir(b.layers)
	if err := engine.CheckState(state); err != nil {
		return marks{}, err
	}
	path := filepath.Join(state, "marks")
	if m, ok := readMarks(path); ok {
		return m, nil
	}
	m := newMarks()
	writeMarks(path, m)
	if there, ok := readMarks(path); ok { // of a parallel run, perhaps
		return there, nil
	}
	return m, nil
}

func readMarks(path string) (m marks, ok bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return marks{}, false
	}
	key, err := os.ReadFile(path)
	return m, err == nil && copy(m.key[:], key) == len(m.key) && len(key) == len(m.key)
}

// writeMarks replaces a file at once, as far as that can be done.
func writeMarks(path string, m marks) {
	trial, err := os.CreateTemp(filepath.Dir(path), ".marks-*") // with mode 0600
	if err != nil {
		return
	}
	defer os.Remove(trial.Name())
	_, err = trial.Write(m.key[:])
	if trial.Close() == nil && err == nil {
		_ = os.Rename(trial.Name(), path) // if not, all files are sent again
	}
}
