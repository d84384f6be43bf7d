// Package ipfs stands in for the IPFS node and gateway that iExec's results are stored
// behind. The addresses are real: a file has the one that kubo's "ipfs add" gives it, a
// CID of version 0 over UnixFS blocks of 256 KiB, and the gateway answers a file, or with
// ?format=raw a block, from which a client can check what it got. What is absent is the
// network: nothing comes from elsewhere, and nothing leaves.
package ipfs

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"
)

// Gateway holds files and serves them over HTTP. Its zero value holds none.
type Gateway struct {
	mu     sync.Mutex
	files  map[cid.Cid][]byte
	blocks map[cid.Cid][]byte
}

// Add stores a file and returns its path, /ipfs/ and the CID.
func (g *Gateway) Add(file []byte) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.files == nil {
		g.files, g.blocks = map[cid.Cid][]byte{}, map[cid.Cid][]byte{}
	}
	root, err := g.build(file)
	if err != nil {
		return "", fmt.Errorf("adding file: %w", err)
	}
	g.files[root] = file
	return "/ipfs/" + root.String(), nil
}

// Get returns the file at a path that Add returned.
func (g *Gateway) Get(path string) ([]byte, bool) {
	id, err := cid.Decode(strings.TrimPrefix(path, "/ipfs/"))
	if err != nil {
		return nil, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	file, ok := g.files[id]
	return file, ok
}

// As kubo cuts files and joins the pieces, unless it is told otherwise.
const (
	chunkSize = 256 << 10
	maxLinks  = 174
)

// node is a block that was stored.
type node struct {
	id    cid.Cid
	file  uint64 // bytes of the file in and beneath it
	total uint64 // bytes of blocks, its own among them
}

// build stores a file's blocks: leaves with its pieces, and above them, level by level,
// nodes that link to those below.
func (g *Gateway) build(file []byte) (cid.Cid, error) {
	var level []node
	for rest := file; len(level) == 0 || len(rest) > 0; {
		piece := rest[:min(chunkSize, len(rest))]
		rest = rest[len(piece):]
		leaf, err := g.leaf(piece)
		if err != nil {
			return cid.Undef, err
		}
		level = append(level, leaf)
	}
	for len(level) > 1 {
		var above []node
		for len(level) > 0 {
			n := min(maxLinks, len(level))
			parent, err := g.parent(level[:n])
			if err != nil {
				return cid.Undef, err
			}
			above, level = append(above, parent), level[n:]
		}
		level = above
	}
	return level[0].id, nil
}

// leaf stores a piece of a file.
func (g *Gateway) leaf(piece []byte) (node, error) {
	data := fileType()
	if len(piece) > 0 {
		data = protowire.AppendBytes(protowire.AppendTag(data, 2, protowire.BytesType), piece)
	}
	size := uint64(len(piece))
	data = appendVarint(data, 3, size)
	return g.store(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), data), size, 0)
}

// parent stores a node that links to others.
func (g *Gateway) parent(children []node) (node, error) {
	var block, sizes []byte
	var file, below uint64
	for _, c := range children {
		link := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), c.id.Bytes())
		link = protowire.AppendString(protowire.AppendTag(link, 2, protowire.BytesType), "") // a piece has no name
		link = appendVarint(link, 3, c.total)
		block = protowire.AppendBytes(protowire.AppendTag(block, 2, protowire.BytesType), link)
		sizes = appendVarint(sizes, 4, c.file)
		file, below = file+c.file, below+c.total
	}
	data := append(appendVarint(fileType(), 3, file), sizes...)
	block = protowire.AppendBytes(protowire.AppendTag(block, 1, protowire.BytesType), data)
	return g.store(block, file, below)
}

// fileType begins the UnixFS data of a file.
func fileType() []byte { return appendVarint(nil, 1, 2) }

func appendVarint(b []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), n)
}

func (g *Gateway) store(block []byte, file, below uint64) (node, error) {
	id, err := cid.V0Builder{}.Sum(block)
	if err != nil {
		return node{}, fmt.Errorf("hashing block: %w", err)
	}
	g.blocks[id] = block
	return node{id, file, below + uint64(len(block))}, nil
}

// ServeHTTP implements [http.Handler].
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var text string
	if _, err := fmt.Sscanf(r.URL.Path, "/ipfs/%s", &text); err != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	id, err := cid.Decode(text)
	if err != nil || id.Prefix().MhType != multihash.SHA2_256 {
		http.Error(w, fmt.Sprintf("invalid path %q: invalid cid", r.URL.Path), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	content, there := g.files[cid.NewCidV0(id.Hash())]
	kind := "application/zip"
	if r.URL.Query().Get("format") == "raw" {
		content, there = g.blocks[cid.NewCidV0(id.Hash())]
		kind = "application/vnd.ipld.raw"
	}
	g.mu.Unlock()
	if !there { // a real one looks for it elsewhere until its time is up
		http.Error(w, "failed to resolve "+r.URL.Path+": context deadline exceeded", http.StatusGatewayTimeout)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("X-Ipfs-Path", r.URL.Path)
	w.Header().Set("Etag", `"`+text+`"`)
	w.Header().Set("Cache-Control", "public, max-age=29030400, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
