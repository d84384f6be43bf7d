package diff

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mrelease/mrelease/measure/rootfs"
)

const (
	absent = "absent"
	// xattr is how archives name an extended attribute.
	xattr = "SCHILY.xattr."
)

// compare reports all that differs between two entries of the same path.
func (w *walk) compare(a, b *item) {
	f := facts{base: w.base, a: &a.Entry, b: &b.Entry}
	same := true // but for what follows from other differences: the header's format
	for _, c := range []struct {
		kind Kind
		show func(rootfs.Entry) string
	}{
		{Type, func(e rootfs.Entry) string { return typeName(e.Typeflag) }},
		{Link, func(e rootfs.Entry) string { return e.Linkname }},
		{Mode, func(e rootfs.Entry) string { return fmt.Sprintf("%04o", e.Mode) }},
		{Owner, owner},
		{Xattrs, func(e rootfs.Entry) string { return records(e.Header, true) }},
		{Device, func(e rootfs.Entry) string { return fmt.Sprintf("%d:%d", e.Devmajor, e.Devminor) }},
		{Mtime, func(e rootfs.Entry) string { return e.ModTime.UTC().Format(time.RFC3339Nano) }},
	} {
		if x, y := c.show(a.Entry), c.show(b.Entry); x != y {
			same = false
			w.report.add(Change{Path: a.Path, Kind: c.kind, A: x, B: y}, f)
		}
	}
	if a.Sum != b.Sum {
		w.compareContent(a.Entry, b.Entry)
	} else if x, y := header(a.Entry), header(b.Entry); same && x != y {
		w.report.add(Change{Path: a.Path, Kind: Header, A: x, B: y}, f)
	}
}

// compareContent reports a package database by its packages. One that lists the
// same ones, in another order perhaps, is a file like others.
func (w *walk) compareContent(a, b rootfs.Entry) {
	if !maps.Equal(a.Packages, b.Packages) {
		maps.Copy(w.packages[0], a.Packages)
		maps.Copy(w.packages[1], b.Packages)
		return
	}
	w.report.add(Change{Path: a.Path, Kind: Content, A: content(a), B: content(b)}, facts{w.base, &a, &b})
}

func content(e rootfs.Entry) string { return fmt.Sprintf("%d bytes, sha256 %x", e.Size, e.Sum[:6]) }

func describeEntry(e rootfs.Entry) string {
	switch e.Typeflag {
	case tar.TypeReg:
		return "file of " + content(e)
	case tar.TypeSymlink, tar.TypeLink:
		return typeName(e.Typeflag) + " to " + e.Linkname
	}
	return typeName(e.Typeflag)
}

func typeName(flag byte) string {
	switch flag {
	case tar.TypeReg:
		return "file"
	case tar.TypeDir:
		return "folder"
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeLink:
		return "hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "pipe"
	}
	return fmt.Sprintf("entry of type %q", flag)
}

func owner(e rootfs.Entry) string {
	text := fmt.Sprintf("%d:%d", e.Uid, e.Gid)
	if e.Uname != "" || e.Gname != "" {
		text += fmt.Sprintf(" (%s:%s)", e.Uname, e.Gname)
	}
	return text
}

// header is what is left of an archive's header: it changes the digest and
// nothing else.
func header(e rootfs.Entry) string {
	var parts []string
	for name, t := range map[string]time.Time{"atime": e.AccessTime, "ctime": e.ChangeTime} {
		if !t.IsZero() {
			parts = append(parts, name+"="+t.UTC().Format(time.RFC3339Nano))
		}
	}
	slices.Sort(parts)
	parts = append(parts, e.Format.String(), records(e.Header, false))
	return strings.TrimSpace(strings.Join(parts, " "))
}

// records lists a header's extended attributes, or its other extra records
// without those that stand for a field of the header.
func records(h *tar.Header, xattrs bool) string {
	var list []string
	for key, value := range h.PAXRecords {
		name, isXattr := strings.CutPrefix(key, xattr)
		if isXattr == xattrs && (isXattr || strings.Contains(key, ".")) {
			list = append(list, fmt.Sprintf("%s=%q", name, value))
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}
