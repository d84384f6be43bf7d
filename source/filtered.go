package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// filtered says which of the changes are none: a filter of the configuration (as
// git-lfs is one) stands between the file and the commit. The filter is a program that
// the repository may name, and is not run. What it made is known otherwise:
//
//   - a pointer of git-lfs holds the SHA-256 of the file;
//   - the user's git, which ran the filter, wrote into its index how the file looked
//     when it was as in the commit.
//
// The unjudged are files with a filter of which neither is known. They count as
// changed; the user's git can judge them.
func (s *status) filtered(ctx context.Context, changed []change) (clean, unjudged []string, err error) {
	drivers := s.repo.config.drivers()
	var asked []string
	for _, c := range changed {
		if c.only {
			asked = append(asked, c.name)
		}
	}
	if len(drivers) == 0 || len(asked) == 0 {
		return nil, nil, nil
	}
	filters, err := s.attribute(ctx, "filter", asked)
	if err != nil {
		return nil, nil, err
	}
	var looks map[string]look
	for _, name := range asked {
		if !drivers[filters[name]] {
			continue
		}
		same, known, err := s.isPointedAt(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		if !known {
			if looks == nil {
				if looks, err = s.readLooks(ctx); err != nil {
					return nil, nil, err
				}
			}
			same = s.looksAs(name, looks[name])
		}
		if same {
			clean = append(clean, name)
		} else if !known {
			unjudged = append(unjudged, name)
		}
	}
	return clean, unjudged, nil
}

// drivers are the filters that the configuration has a program for.
func (v values) drivers() map[string]bool {
	names := map[string]bool{}
	for key, value := range v {
		name, ok := strings.CutPrefix(key, "filter.")
		for _, kind := range []string{".clean", ".smudge", ".process"} {
			if driver, is := strings.CutSuffix(name, kind); ok && is && value != "" {
				names[driver] = true
			}
		}
	}
	return names
}

// attribute returns the value that files have of an attribute.
func (s *status) attribute(ctx context.Context, attribute string, names []string) (map[string]string, error) {
	parts, err := s.repo.shadow.fields(ctx, zeroEnded(names), "check-attr", "-z", "--stdin", attribute)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for i := 0; i+2 < len(parts); i += 3 {
		found[parts[i]] = parts[i+2]
	}
	return found, nil
}

// maxPointer is more than a pointer of git-lfs has: the specification wants less.
const maxPointer = 1024

// pointer is what git-lfs puts into a repository in place of a file.
var pointer = regexp.MustCompile(`^version https://git-lfs\.github\.com/spec/v1\n(?:[a-z0-9.-]+ .*\n)*?oid sha256:([0-9a-f]{64})\nsize ([0-9]+)\n$`)

// isPointedAt reports whether a file is the one that the commit's pointer names, and
// whether there is a pointer at all.
func (s *status) isPointedAt(ctx context.Context, name string) (same, known bool, err error) {
	object := s.files[name].object
	size, err := s.repo.shadow.line(ctx, "cat-file", "-s", object)
	if n, parseErr := strconv.Atoi(size); err != nil || parseErr != nil || n > maxPointer {
		return false, false, err
	}
	blob, err := s.repo.shadow.run(ctx, nil, "cat-file", "blob", object)
	parts := pointer.FindSubmatch(blob)
	if err != nil || parts == nil {
		return false, false, err
	}
	sum, length, err := hashOf(filepath.Join(s.repo.root, name))
	same = bytes.Equal(parts[1], sum) && string(parts[2]) == strconv.FormatInt(length, 10)
	return same, true, err
}

// hashOf is the SHA-256 of a file's content in hex, and its length.
func hashOf(file string) (sum []byte, length int64, err error) {
	f, _, err := bounds.OpenItself(file)
	if err != nil {
		return nil, 0, fmt.Errorf("reading file: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if length, err = io.Copy(h, f); err != nil {
		return nil, 0, fmt.Errorf("reading file: %w", err)
	}
	return []byte(hex.EncodeToString(h.Sum(nil))), length, nil
}

// look is how a file looked when the user's git found it to be an object.
type look struct {
	object          string
	changed, status time.Time // mtime and ctime
	inode, size     uint32    // as far as an index holds them
}

// debugLine matches an entry of git ls-files --debug: two times, the inode, the size.
var debugLine = regexp.MustCompile(`^  ctime: (\d+):(\d+)\n  mtime: (\d+):(\d+)\n  dev: \d+\tino: (\d+)\n  uid: \d+\tgid: \d+\n  size: (\d+)\tflags: [0-9a-f]+\n`)

// readLooks reads the user's index. Marked files have no look.
func (s *status) readLooks(ctx context.Context) (map[string]look, error) {
	own := s.repo.own()
	lines, err := own.fields(ctx, nil, "ls-files", "-v", "--stage", "-z")
	if err != nil {
		return nil, err
	}
	objects := map[string]string{}
	for _, line := range lines {
		entry, name, _ := strings.Cut(line, "\t")
		if parts := strings.Fields(entry); len(parts) == 4 && parts[0] == "H" && parts[3] == "0" {
			objects[name] = parts[2]
		}
	}
	out, err := own.run(ctx, nil, "ls-files", "--debug", "-z")
	if err != nil {
		return nil, err
	}
	looks := map[string]look{}
	for rest := string(out); rest != ""; {
		name, after, _ := strings.Cut(rest, "\x00")
		m := debugLine.FindStringSubmatch(after)
		if m == nil {
			return nil, &GitError{Where: s.repo.root, Problem: "git ls-files --debug has another form than is known"}
		}
		if object, ok := objects[name]; ok {
			looks[name] = look{object, moment(m[3], m[4]), moment(m[1], m[2]), number(m[5]), number(m[6])}
		}
		rest = after[len(m[0]):]
	}
	return looks, nil
}

func number(text string) uint32 {
	n, _ := strconv.ParseUint(text, 10, 32) // digits; what is too large equals nothing
	return uint32(n)
}

func moment(seconds, nanoseconds string) time.Time {
	return time.Unix(int64(number(seconds)), int64(number(nanoseconds)))
}

// looksAs reports whether a file is untouched since the user's git found it to be as in
// the commit. Git itself compares whole seconds, and reads the file again when the index
// is as young; here the times are compared as the file system has them.
func (s *status) looksAs(name string, l look) bool {
	info, err := os.Lstat(filepath.Join(s.repo.root, name))
	index, indexErr := os.Stat(filepath.Join(s.repo.folder, "index"))
	if err != nil || indexErr != nil || l.object != s.files[name].object {
		return false
	}
	status, inode, known := statusOf(info)
	return known && info.ModTime().Equal(l.changed) && status.Equal(l.status) &&
		inode == l.inode && uint32(info.Size()) == l.size && !index.ModTime().Before(l.changed)
}
