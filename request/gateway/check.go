package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// The codecs of blocks: a node of links and data, and the bytes of a file as they are.
const (
	dagPB = 0x70
	raw   = 0x55
)

// address is a CID: codec and SHA-256 of a block.
type address struct {
	codec uint64
	hash  [sha256.Size]byte
	text  string
}

var errForeign = errors.New("the address is made with another hash than SHA-256, or of another kind of block")

// parseAddress reads a CID: 46 letters of base58 (version 0), or b and base32 (version 1).
func parseAddress(text string) (address, error) {
	if strings.HasPrefix(text, "Qm") {
		return parseBytes(base58(text), text)
	}
	digits, isBase32 := strings.CutPrefix(text, "b")
	decoded, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(digits))
	if !isBase32 || err != nil {
		return address{}, errForeign
	}
	return parseBytes(decoded, text)
}

// parseBytes reads a CID as it stands in a link.
func parseBytes(b []byte, text string) (address, error) {
	a := address{codec: dagPB, text: text}
	if len(b) == 2+sha256.Size && b[0] == 0x12 { // version 0 is a hash and nothing else
		return a, a.read(b)
	}
	version, n := binary.Uvarint(b)
	if n <= 0 || version != 1 {
		return a, errForeign
	}
	codec, m := binary.Uvarint(b[n:])
	if a.codec = codec; m <= 0 || codec != dagPB && codec != raw {
		return a, errForeign
	}
	return a, a.read(b[n+m:])
}

// read reads a multihash: its function (0x12 is SHA-256), its length, itself.
func (a *address) read(b []byte) error {
	if len(b) != 2+sha256.Size || b[0] != 0x12 || b[1] != sha256.Size {
		return errForeign
	}
	copy(a.hash[:], b[2:])
	return nil
}

// path is where a gateway has the block.
func (a address) path() string {
	multihash := append([]byte{1, byte(a.codec), 0x12, sha256.Size}, a.hash[:]...)
	return "/ipfs/b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(multihash))
}

// base58 decodes Bitcoin's alphabet; nil for what is none.
func base58(text string) []byte {
	const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	n := new(big.Int)
	for _, letter := range text {
		digit := strings.IndexRune(alphabet, letter)
		if digit < 0 {
			return nil
		}
		n.Mul(n, big.NewInt(58)).Add(n, big.NewInt(int64(digit)))
	}
	return n.Bytes()
}

// check compares the file with its address. The blocks that only hold links are asked for
// as they are, and each must have the hash by which it is named; those with the file's own
// bytes are made from the file. It returns why nothing can be said, or a *ForgedError.
func (d *download) check(ctx context.Context) (unchecked string, err error) {
	name := strings.Split(strings.TrimPrefix(d.path, "/ipfs/"), "/")
	root, err := parseAddress(name[0])
	if err != nil {
		return err.Error(), nil
	}
	if len(name) > 1 {
		return "the address is that of a folder, of which the file is a part", nil
	}
	c := checker{download: d, left: bounds.Blocks}
	limited, cancel := context.WithTimeout(ctx, bounds.Act) // each block may take a while
	defer cancel()
	at, err := c.node(limited, root, 0, -1)
	if err == nil && at != d.at {
		err = c.forged(fmt.Sprintf("%d bytes more than there should be", d.at-at))
	}
	var forged *ForgedError
	if err != nil && !errors.As(err, &forged) && ctx.Err() == nil {
		return err.Error(), nil
	}
	return "", err
}

type checker struct {
	*download
	left int // blocks that may still be asked for
}

func (c *checker) forged(problem string) error {
	return &ForgedError{c.base.Scheme + "://" + c.base.Host, c.path, problem}
}

// node checks the part of the file that a block stands for, which begins at an offset and
// has a length if that is known, and returns where it ends.
func (c *checker) node(ctx context.Context, a address, at, length int64) (int64, error) {
	if isLeaf, end, err := c.leaf(a, at, length); isLeaf || err != nil {
		return end, err
	}
	if c.left--; c.left < 0 {
		return 0, errors.New("the file has too many blocks to be checked")
	}
	content, err := c.block(ctx, a)
	if err != nil {
		return 0, err
	}
	links, data, sizes := [][]byte(nil), content, []int64(nil)
	if a.codec == dagPB {
		if links, data, sizes, err = parseNode(content); err != nil {
			return 0, err
		}
	}
	if err := c.compare(at, data); err != nil {
		return 0, err
	}
	at += int64(len(data))
	for i, link := range links {
		child, err := parseBytes(link, fmt.Sprintf("part %d of %s", i, a.text))
		if err != nil {
			return 0, err
		}
		if at, err = c.node(ctx, child, at, sizes[i]); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// leaf reports whether a block is a leaf that holds the file's own bytes: so long are
// those that its parent names, and what is made of them has its hash.
func (c *checker) leaf(a address, at, length int64) (isLeaf bool, end int64, err error) {
	if length < 0 && a.codec == raw {
		length = c.at
	}
	if length < 0 || length > bounds.Block {
		return false, 0, nil
	}
	if at+length > c.at {
		return false, 0, c.forged("it ends too early")
	}
	piece := make([]byte, length)
	if _, err := c.file.ReadAt(piece, at); err != nil {
		return false, 0, fmt.Errorf("reading result: %w", err)
	}
	if a.codec == raw {
		if sha256.Sum256(piece) != a.hash {
			return false, 0, c.forged(fmt.Sprintf("other bytes between %d and %d", at, at+length))
		}
		return true, at + length, nil
	}
	for _, kind := range []uint64{file, rawData} {
		if sha256.Sum256(leafBlock(kind, piece)) == a.hash {
			return true, at + length, nil
		}
	}
	return false, 0, nil // it may have links
}

// compare compares bytes with those of the file.
func (c *checker) compare(at int64, want []byte) error {
	got := make([]byte, len(want))
	if n, err := c.file.ReadAt(got, at); err != nil && err != io.EOF || n < len(want) || !bytes.Equal(got, want) {
		return c.forged(fmt.Sprintf("other bytes between %d and %d", at, at+int64(len(want))))
	}
	return nil
}

// block asks for a block as it is.
func (c *checker) block(ctx context.Context, a address) ([]byte, error) {
	resp, err := c.get(ctx, a.path(), "format=raw", http.Header{"Accept": {"application/vnd.ipld.raw"}})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the gateway hands out no single blocks (%d)", resp.StatusCode)
	}
	content, err := io.ReadAll(resp.Body) // which ends at the bound
	if err != nil {
		return nil, fmt.Errorf("asking for block: %w", err)
	}
	if sha256.Sum256(content) != a.hash {
		return nil, errors.New("the gateway hands out no single blocks: what came has another hash")
	}
	return content, nil
}
