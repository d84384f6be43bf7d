package enclave_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Bits of Intel's layout records.
const (
	eadd, eextend = 1, 2
	groupID       = 0x1009
)

// layout is a record of the layout table.
func layout(attributes uint16, pages uint32, at uint64, size, offset uint32, flags sgx.PageFlags) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(le.AppendUint16(nil, 1), attributes)
	b = le.AppendUint64(le.AppendUint32(b, pages), at)
	b = le.AppendUint32(le.AppendUint32(b, size), offset)
	return le.AppendUint64(b, uint64(flags))
}

func group(entries uint16, times uint32, step uint64) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(le.AppendUint16(nil, groupID), entries)
	return append(le.AppendUint64(le.AppendUint32(b, times), step), make([]byte, 16)...)
}

// block is a metadata block of Intel's SDK.
type block struct {
	version     uint64
	ssa         uint32
	size        uint64
	content     []byte // from 1904 on: templates and what patches write
	patches     []byte
	layouts     []byte
	addressing  []uint64 // image, start and size of an address range
	extensions  []byte
	wrongRecord uint32 // added to the size of the layout directory
}

const contentAt = 1904

func (b block) encode(signature []byte) []byte {
	raw := make([]byte, contentAt)
	le := binary.LittleEndian
	le.PutUint64(raw, 0x86a80294635d0e4c)
	le.PutUint64(raw[8:], b.version)
	le.PutUint32(raw[24:], b.ssa)
	le.PutUint64(raw[40:], b.size)
	copy(raw[64:], signature)
	raw = append(raw, b.content...)
	for i, table := range [][]byte{b.patches, b.layouts, words(b.addressing...), b.extensions} {
		if len(table) > 0 {
			le.PutUint32(raw[1872+8*i:], uint32(len(raw)))
			le.PutUint32(raw[1876+8*i:], uint32(len(table)))
			raw = append(raw, table...)
		}
	}
	le.PutUint32(raw[1884:], le.Uint32(raw[1884:])+b.wrongRecord)
	le.PutUint32(raw[16:], uint32(len(raw)))
	return raw
}

// note wraps blocks as the SDK's linker script does: without alignment.
func note(blocks ...[]byte) []byte {
	desc := append(bytes.Join(blocks, nil), make([]byte, 64)...)
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 13), uint32(len(desc))), 1)
	return append(append(b, "sgx_metadata\x00"...), desc...)
}

// dynamic adds the dynamic segment at a place in the first page or two, with
// the empty symbol table that Intel's loader wants to see.
func (f *elfFile) dynamic(at uint64, entries ...uint64) {
	entries = append(entries, 6, at+0x200, 5, at+0x300, 0, 0)
	f.put(at, words(entries...))
	f.put(at+0x200, make([]byte, 0x180))
	size := uint64(8 * len(entries))
	f.segments = append(f.segments, segment{2, 6, at, at, size, size, 8})
	f.sections = append(f.sections, section{".dynsym", 11, at + 0x200, at + 0x200, 24, 8, 24}, section{".dynstr", 3, at + 0x300, at + 0x300, 8, 1, 0})
}

// intelBase is an image with three segments. Addresses and offsets differ, and
// the last segment begins and ends inside pages.
func intelBase() *elfFile {
	f := &elfFile{entry: 0x5010}
	f.load(4, 0, 0, noise(0x2000, 1), 0x2000)
	f.load(5, 0x2000, 0x5000, noise(0x1234, 2), 0x1234)
	f.load(6, 0x4080, 0x8080, noise(0x1500, 3), 0x3f00)
	f.dynamic(0x1000)
	return f
}

// patch is a record of the patch table.
func patch(to uint64, from, size uint32) []byte {
	b := binary.LittleEndian.AppendUint32(words(to), from)
	return append(binary.LittleEndian.AppendUint32(b, size), make([]byte, 16)...)
}

// intelBlock gives the image two static threads, one more by a group, and a
// heap, and patches two places. Its content begins with a TCS template.
func intelBlock(heapPages uint32) block {
	tcs := make([]byte, 72)
	binary.LittleEndian.PutUint64(tcs[16:], page)     // OSSA
	binary.LittleEndian.PutUint32(tcs[28:], 2)        // NSSA
	binary.LittleEndian.PutUint64(tcs[32:], 0x5010)   // OENTRY
	binary.LittleEndian.PutUint64(tcs[48:], 4*page)   // OFSBASE
	binary.LittleEndian.PutUint64(tcs[56:], 4*page+8) // OGSBASE
	const heapAt, threads = 0x100000, 0x40000
	return block{
		version: 1<<32 | 5, ssa: 1, size: 1 << 40,
		content: append(tcs, noise(5000, 9)...),
		patches: append(patch(0x2ffc, contentAt+72, 8), patch(40, contentAt+80, 8)...),
		layouts: bytes.Join([][]byte{
			layout(eadd, heapPages, heapAt, 0, 0, data),
			layout(0, 5, heapAt+uint64(heapPages)*page, 0, 0, 0), // guard pages
			layout(8, 5, 0x20000, 0, 0, data),                    // added when running: not measured
			layout(eadd|eextend, 2, threads, 0xcccccccc, 0, data),
			layout(eadd|eextend, 1, threads+3*page, 72, contentAt, sgx.TCSPage),
			layout(eadd|eextend|4, 2, threads+4*page, 0, 0, data),
			layout(eadd, 2, threads+8*page, 5000, contentAt+72, data), // content is measured whatever the attributes say
			group(4, 1, 0x10000),
			layout(eadd, 1, 0x90000, 0, 0, everything),
		}, nil),
	}
}

// intelPages are the pages of intelBase with intelBlock, in order.
func intelPages(f *elfFile, b block, heapPages int) []added {
	file := bytes.Clone(f.bytes)
	copy(file[0x2ffc:], b.content[72:80])
	copy(file[40:], b.content[80:88])
	pages := concat(
		run(0, readable, file[:0x2000]),
		run(0x5000, code, file[0x2000:0x3234]),
		run(0x8080, data, append(bytes.Clone(file[0x4080:0x5580]), make([]byte, 0x3f00-0x1500)...)),
		heap(0x100000, data, heapPages),
	)
	for _, at := range []uint64{0x40000, 0x50000} {
		tcs := bytes.Clone(b.content[:72])
		for _, field := range []int{16, 48, 56} {
			binary.LittleEndian.PutUint64(tcs[field:], binary.LittleEndian.Uint64(tcs[field:])+at+3*page)
		}
		pages = concat(pages,
			run(at, data, bytes.Repeat([]byte{0xcc}, 2*page)),
			run(at+3*page, sgx.TCSPage, tcs),
			run(at+4*page, data, make([]byte, 2*page)),
			run(at+8*page, data, append(bytes.Clone(b.content[72:]), make([]byte, 2*page-5000)...)))
	}
	return append(pages, added{0x90000, everything, nil})
}

// intelFile appends the note with signed blocks and finishes the file. What the
// tables change in the image's first page is not yet in want.
func intelFile(t testing.TB, f *elfFile, measure func(f *elfFile) []sgx.MRENCLAVE, blocks ...block) ([]byte, []sgx.MRENCLAVE) {
	t.Helper()
	var empty [][]byte
	for _, b := range blocks {
		empty = append(empty, b.encode(nil))
	}
	f.append(".note.sgxmeta", 7, note(empty...), 0)
	at := f.sections[len(f.sections)-1].offset + 25
	f.finish()
	all := measure(f)
	for i, b := range blocks {
		f.put(at, b.encode(sign(t, all[i])))
		at += uint64(len(empty[i]))
	}
	return f.bytes, all
}

// standard is an enclave with one block.
func standard(t testing.TB, heapPages uint32) ([]byte, []sgx.MRENCLAVE) {
	b := intelBlock(heapPages)
	return intelFile(t, intelBase(), func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(b.size, b.ssa, intelPages(f, b, int(heapPages)))}
	}, b)
}
