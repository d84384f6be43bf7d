package rootfs

import (
	"archive/tar"
	"fmt"
	"path"
	"strings"
)

// LayerError says that a layer cannot be extracted, or means different things to
// different programs that extract it.
type LayerError struct {
	Entry   string // as the archive names it; empty when it is about all of it
	Problem string
}

// Error implements error.
func (e *LayerError) Error() string {
	if e.Entry == "" {
		return "the layer cannot be extracted: " + e.Problem
	}
	return fmt.Sprintf("the layer cannot be extracted: entry %q: %s", e.Entry, e.Problem)
}

// Limits of a layer: entries, and links on the way to one.
const (
	maxEntries  = 1 << 21
	maxTreeHops = 255
)

// node is what extracting a layer leaves at a path.
type node struct {
	file     *File // of its own entry; nil: a folder that only others need, or a whiteout
	number   int   // of the entry in the archive that holds the content; hard links share it
	at       string
	packages map[string]string
	children map[string]*node // of a folder, else nil
	opaque   bool             // a folder that hides what is below
	whiteout bool
	parent   *node
}

func (n *node) isDir() bool { return n.children != nil }

// tree is one layer, extracted as containerd does it for BuildKit (pkg/archive,
// Apply with OverlayConvertWhiteout): entry by entry, into an empty folder, so that
// the last one of a name counts, and links that the layer made before lead on to
// where its files go. What is below, the kernel's overlay adds.
//
// The lowest layer is extracted by containerd without an overlay: a whiteout in it
// removes what the layer itself had there before.
type tree struct {
	root    *node
	entries int
	placed  map[string]bool // of the lowest layer: where its entries went; else nil
}

func newTree(isLowest bool) *tree {
	t := &tree{root: &node{children: map[string]*node{}, number: -1, at: "/"}}
	if isLowest {
		t.placed = map[string]bool{}
	}
	return t
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
	// overlayRecord begins the name of a record that would set an attribute by which
	// the overlay itself says what a file is.
	overlayRecord = "SCHILY.xattr.trusted.overlay."
)

// add extracts an entry; number counts the archive's entries from 0.
func (t *tree) add(h *tar.Header, f *File, packages map[string]string) error {
	number := t.entries
	if t.entries++; t.entries > maxEntries {
		return &LayerError{h.Name, fmt.Sprintf("more than %d entries", maxEntries)}
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, overlayRecord) {
			return &LayerError{h.Name, "it sets " + record + ", which belongs to the file system"}
		}
	}
	dir, base := path.Split(path.Clean(h.Name))
	if base == ".." || base == "." || base == "" {
		return nil // the root itself
	}
	folder, err := t.folder(dir, h.Name)
	if err != nil {
		return err
	}
	at := path.Join(folder.at, base)
	emptied := t.placed[at] // a second one counts for nothing
	if t.placed != nil {
		t.placed[at] = true
	}
	switch {
	case base == opaque && emptied:
	case base == opaque && t.placed != nil:
		folder.empty(t.placed)
	case base == opaque:
		folder.opaque = folder != t.root // of a layer's root the kernel does not look at it
	case strings.HasPrefix(base, whiteout):
		return folder.remove(strings.TrimPrefix(base, whiteout), h.Name, t.placed != nil)
	default:
		return t.put(folder, base, &node{file: f, number: number, packages: packages}, h)
	}
	return nil
}

// remove puts a whiteout into a folder. It is for what is below: of what the layer
// itself has at the place, only a folder could let that through.
func (n *node) remove(name, entry string, isLowest bool) error {
	if name == "" || name == "." || name == ".." {
		return &LayerError{entry, "it removes nothing that has a name"}
	}
	if isLowest {
		delete(n.children, name)
		return nil
	}
	if own := n.children[name]; own != nil {
		own.opaque = true
		return nil
	}
	n.children[name] = &node{whiteout: true, number: -1, parent: n}
	return nil
}

// empty removes what no entry was placed at, with all that is in it.
func (n *node) empty(placed map[string]bool) {
	for name, child := range n.children {
		if !placed[path.Join(n.at, name)] {
			delete(n.children, name)
		} else if child.isDir() {
			child.empty(placed)
		}
	}
}

// put places an entry, and removes what was there.
func (t *tree) put(folder *node, base string, n *node, h *tar.Header) error {
	old := folder.children[base]
	n.parent, n.at = folder, path.Join(folder.at, base)
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		delete(folder.children, base)
		return nil
	case tar.TypeDir:
		if old != nil && old.isDir() {
			old.file = n.file
			return nil
		}
		n.children = map[string]*node{}
	case tar.TypeLink:
		delete(folder.children, base)
		target, err := t.target(h)
		if err != nil {
			return err
		}
		if n.number, n.file.inode = target.number, target.file; target.file.inode != nil {
			n.file.inode = target.file.inode
		}
		n.packages = target.packages
	case tar.TypeChar:
		n.whiteout = h.Devmajor == 0 && h.Devminor == 0 // that is how an overlay writes one
	case tar.TypeReg, tar.TypeSymlink, tar.TypeBlock, tar.TypeFifo:
	default:
		return &LayerError{h.Name, fmt.Sprintf("it is of the unknown kind %q", h.Typeflag)}
	}
	folder.children[base] = n
	return nil
}

// target finds what a hard link is a second name of: something of the same layer.
func (t *tree) target(h *tar.Header) (*node, error) {
	dir, base := path.Split(path.Clean("/" + h.Linkname))
	parts, err := t.walk(dir, h.Name)
	if err == nil {
		if n := t.at(parts); n != nil && n.isDir() {
			if found := n.children[base]; found != nil && !found.isDir() && !found.whiteout {
				return found, nil
			}
		}
		err = &LayerError{h.Name, fmt.Sprintf("it is a hard link to %q, which is no file of the layer", h.Linkname)}
	}
	return nil, err
}

// folder returns the folder at a path, made with its parents when it is missing.
func (t *tree) folder(dir, entry string) (*node, error) {
	parts, err := t.walk(dir, entry)
	if err != nil {
		return nil, err
	}
	n := t.root
	for _, part := range parts {
		next := n.children[part]
		switch {
		case next == nil:
			next = &node{children: map[string]*node{}, number: -1, parent: n, at: path.Join(n.at, part)}
			n.children[part] = next
		case next.whiteout && next.file == nil:
			// containerd fails here. What is meant is clear.
			*next = node{children: map[string]*node{}, number: -1, parent: n, at: path.Join(n.at, part), opaque: true}
		case !next.isDir():
			return nil, &LayerError{entry, fmt.Sprintf("it lies in %q, which is no folder", next.at)}
		}
		n = next
	}
	return n, nil
}

// walk resolves the links of the layer in a path, of which nothing need exist.
func (t *tree) walk(dir, entry string) ([]string, error) {
	w := way{hops: maxTreeHops, tooMany: &LayerError{entry, "links lead in a circle"}, step: func(parts []string, _ bool) (string, error) {
		n := t.at(parts)
		if n == nil || n.file == nil || n.file.content().Type != tar.TypeSymlink {
			return "", nil
		}
		return path.Clean(n.file.content().Link), nil // before it is followed, as containerd does
	}}
	return w.follow(dir)
}

// at returns what is at a path without links, or nil.
func (t *tree) at(parts []string) *node {
	n := t.root
	for _, part := range parts {
		if n == nil || n.children == nil {
			return nil
		}
		n = n.children[part]
	}
	return n
}

// way is how the links in a path are followed.
type way struct {
	hops    int   // how many may be
	tooMany error // the error when there are more
	// step returns where the link at a path without links leads, or "".
	step func(parts []string, last bool) (target string, err error)
}

// follow returns a path without links.
func (w way) follow(name string) ([]string, error) {
	var at []string
	rest, hops := strings.Split(name, "/"), 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(len(at)-1, 0)]
			continue
		}
		target, err := w.step(append(at, part), len(rest) == 0)
		if err != nil {
			return nil, err
		}
		if target == "" {
			at = append(at, part)
			continue
		}
		if hops++; hops > w.hops {
			return nil, w.tooMany
		}
		if path.IsAbs(target) {
			at = nil
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}
