package enclave

import (
	"encoding/binary"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// The note that holds Intel's metadata: a header of 12 bytes, a name without
// padding, and metadata blocks one after the other, one for each generation of
// loaders (intel/linux-sgx: psw/urts/parser/elfparser.cpp, get_meta_property;
// psw/urts/urts_com.h, get_metadata).
const (
	noteSection = ".note.sgxmeta"
	noteName    = "sgx_metadata\x00"
	noteHeader  = 12
	noteStart   = noteHeader + uint64(len(noteName))
	maxNote     = 1 << 20 // bytes; real ones have 24 KB
	maxBlocks   = 8       // real ones have two
)

// span is a part of a file.
type span struct{ from, to uint64 }

// overlaps reports whether n bytes at a place reach into the part.
func (s span) overlaps(at, n uint64) bool { return n > 0 && at < s.to && s.from < at+n }

// readMetadata finds the blocks as the loader does: by their magic number, each
// behind the one before it. The loader does not look where the note ends; so a
// block that is not in the note is one that it would take and nobody sees, and
// is refused.
func readMetadata(f *image, s section) ([]metadata, error) {
	note, err := readNote(f, s)
	if err != nil {
		return nil, err
	}
	var blocks []metadata
	at := note.from + noteStart
	for f.beginsBlock(at) {
		m, err := f.readBlock(at, note)
		if err != nil {
			return nil, err
		}
		if blocks = append(blocks, m); len(blocks) > maxBlocks {
			return nil, &sgx.LimitError{What: "SGX metadata blocks", Got: maxBlocks + 1, Limit: maxBlocks}
		}
		at += uint64(len(m.raw))
	}
	if blocks == nil {
		return nil, &UnsignedError{"enclave of Intel's SDK", int64(at)}
	}
	return blocks, nil
}

// beginsBlock reports whether the magic number stands at a place. Behind the
// file's end the loader sees zeros, or none of it.
func (f *image) beginsBlock(at uint64) bool {
	b, err := f.bytes("SGX metadata", at, 8)
	return err == nil && binary.LittleEndian.Uint64(b) == metadataMagic
}

func (f *image) readBlock(at uint64, note span) (metadata, error) {
	h, err := f.bytes("SGX metadata", at, atSSAPages)
	if err != nil {
		return metadata{}, err
	}
	size := uint64(binary.LittleEndian.Uint32(h[atSize:]))
	if size < sizeMetadata || at >= note.to || size > note.to-at {
		return metadata{}, malformed("block", "is not within the note, where a loader takes it all the same", at, fmt.Sprintf("%d bytes at %#x, the note ends at %#x", size, at, note.to))
	}
	raw, err := f.bytes("SGX metadata", at, size)
	version := binary.LittleEndian.Uint64(h[atVersion:])
	return metadata{raw, at, uint32(version >> 32), uint32(version), note}, err
}

// readNote returns where the note stands in the file. Its header and its
// section must agree about its length, as the loader demands.
func readNote(f *image, s section) (span, error) {
	h, err := f.bytes("SGX metadata note", s.offset, noteStart)
	if err != nil {
		return span{}, err
	}
	size := noteStart + uint64(binary.LittleEndian.Uint32(h[4:]))
	padded := (size + s.align - 1) &^ (s.align - 1)
	switch {
	case binary.LittleEndian.Uint32(h) != uint32(len(noteName)) || string(h[noteHeader:]) != noteName:
		return span{}, malformed("note", "has another name", s.offset, fmt.Sprintf("%q", h[noteHeader:]))
	case size > maxNote:
		return span{}, &sgx.LimitError{What: "SGX metadata note in bytes", Got: size, Limit: maxNote}
	case padded != s.size:
		return span{}, malformed("note", "has another length than its section, which a loader refuses", s.offset, fmt.Sprintf("%d bytes, its section %d", padded, s.size))
	}
	return span{s.offset, s.offset + size}, f.inside("SGX metadata note", s.offset, size)
}
