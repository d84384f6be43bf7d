package rootfs

import (
	"bytes"
	"path"
	"strings"
)

const (
	// maxPackages bounds what a database can make of a hostile file.
	maxPackages = 1 << 17
	// maxLine bounds a line that is looked at; names and versions are short.
	maxLine = 4 << 10
)

// database reads the packages from a file that lists them as blocks of "key:
// value" lines. The three formats in use differ in the names of the keys.
type database struct {
	kind          string // "deb", "apk", "pip"
	name, version string // keys
	status        string // key; a block in which it does not say "installed" is none
	single        bool   // the block ends what counts: a description follows

	line  []byte
	block map[string]string
	found map[string]string
	done  bool
}

// newDatabase returns nil for a file that is no package database.
func newDatabase(file string) *database {
	d := &database{block: map[string]string{}, found: map[string]string{}}
	dir, base := path.Split(file)
	switch {
	case file == "/var/lib/dpkg/status", dir == "/var/lib/dpkg/status.d/" && !strings.HasSuffix(base, ".md5sums"):
		d.kind, d.name, d.version, d.status = "deb", "Package", "Version", "Status"
	case file == "/lib/apk/db/installed", file == "/usr/lib/apk/db/installed":
		d.kind, d.name, d.version = "apk", "P", "V"
	case base == "METADATA" && strings.HasSuffix(dir, ".dist-info/"), base == "PKG-INFO" && strings.HasSuffix(dir, ".egg-info/"):
		d.kind, d.name, d.version, d.single = "pip", "Name", "Version", true
	default:
		return nil
	}
	return d
}

// Write implements io.Writer.
func (d *database) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(d.line); room > 0 {
			d.line = append(d.line, line[:min(room, len(line))]...)
		}
		rest = after
		if whole {
			d.read(strings.TrimSuffix(string(d.line), "\r"))
			d.line = d.line[:0]
		}
	}
	return len(p), nil
}

// read takes a line; an empty one ends a block.
func (d *database) read(line string) {
	if line == "" {
		d.end()
		return
	}
	key, value, ok := strings.Cut(line, ":")
	if ok && (key == d.name || key == d.version || key == d.status) {
		d.block[key] = strings.TrimSpace(value)
	}
}

func (d *database) end() {
	name, version := d.block[d.name], d.block[d.version]
	status, stated := d.block[d.status]
	installed := !stated || strings.HasSuffix(status, " installed")
	if name != "" && installed && !d.done && len(d.found) < maxPackages {
		d.found[d.kind+" "+name] = version
		d.done = d.single
	}
	clear(d.block)
}

// close returns what was found.
func (d *database) close() map[string]string {
	d.read(strings.TrimSuffix(string(d.line), "\r"))
	d.end()
	return d.found
}
