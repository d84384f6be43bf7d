package gateway

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The types of UnixFS data that are a file, or a part of one.
const (
	rawData = 0
	file    = 2
)

var errNode = errors.New("the block is no part of a file")

// field is a field of a message of protocol buffers: a number, or bytes.
type field struct {
	number protowire.Number
	value  uint64
	bytes  []byte
}

// fields reads a message, of which a file's blocks have numbers and bytes only.
func fields(b []byte) (list []field, err error) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, errNode
		}
		b = b[n:]
		f := field{number: number}
		switch kind {
		case protowire.VarintType:
			f.value, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		default:
			return nil, errNode
		}
		if n < 0 {
			return nil, errNode
		}
		list, b = append(list, f), b[n:]
	}
	return list, nil
}

// parseNode reads a block with links (dag-pb): to which blocks, the bytes of the file that
// it has itself, and how many bytes of the file each link stands for.
func parseNode(content []byte) (links [][]byte, data []byte, sizes []int64, err error) {
	node, err := fields(content)
	if err != nil {
		return nil, nil, nil, err
	}
	kind := uint64(0)
	for _, f := range node {
		inner, err := fields(f.bytes)
		if err != nil {
			return nil, nil, nil, err
		}
		switch f.number {
		case 2: // a link, whose first field is the address
			if len(inner) == 0 || inner[0].number != 1 {
				return nil, nil, nil, errNode
			}
			links = append(links, inner[0].bytes)
		case 1: // UnixFS
			for _, u := range inner {
				switch u.number {
				case 1:
					kind = u.value
				case 2:
					data = u.bytes
				case 4:
					sizes = append(sizes, int64(min(u.value, 1<<62)))
				}
			}
		}
	}
	if kind != file && kind != rawData || len(links) != len(sizes) {
		return nil, nil, nil, errNode
	}
	return links, data, sizes, nil
}

// leafBlock makes the block that holds a piece of a file and nothing else.
func leafBlock(kind uint64, piece []byte) []byte {
	data := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), kind)
	if len(piece) > 0 {
		data = protowire.AppendBytes(protowire.AppendTag(data, 2, protowire.BytesType), piece)
	}
	data = protowire.AppendVarint(protowire.AppendTag(data, 3, protowire.VarintType), uint64(len(piece)))
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), data)
}
