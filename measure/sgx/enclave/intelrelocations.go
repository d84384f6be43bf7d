package enclave

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Dynamic tags and relocation types (System V ABI, AMD64 supplement).
const (
	tagPLTRelSize = 2
	tagRela       = 7
	tagRelaSize   = 8
	tagTextRel    = 22
	tagJumpRel    = 23

	relocNone = 0
)

// maxRelocated bounds images with text relocations, in pages: 64 GiB.
const maxRelocated = 1 << 24

// bitmap is a set of pages.
type bitmap []byte

func (b bitmap) has(page uint64) bool { return page/8 < uint64(len(b)) && b[page/8]>>(page%8)&1 != 0 }

// add reports whether there was room.
func (b bitmap) add(page uint64) bool {
	if page/8 >= uint64(len(b)) {
		return false
	}
	b[page/8] |= 1 << (page % 8)
	return true
}

// relocatedPages returns the pages that relocations write to, if the image says
// that it has them in read-only segments: the loader makes those pages writable
// (ElfParser::get_reloc_bitmap).
func relocatedPages(f *image, loads []program) (bitmap, error) {
	tags, err := f.dynamicTags()
	if err != nil {
		return nil, err
	}
	if _, textRelocations := tags[tagTextRel]; !textRelocations {
		return nil, nil
	}
	pages := imagePages(loads)
	if pages > maxRelocated {
		return nil, &sgx.LimitError{What: "pages of an image with text relocations", Got: pages, Limit: maxRelocated}
	}
	written := make(bitmap, (pages+7)/8)
	for _, table := range [][2]uint64{{tagRela, tagRelaSize}, {tagJumpRel, tagPLTRelSize}} {
		if err := f.markRelocated(tags, table[0], table[1], written); err != nil {
			return nil, err
		}
	}
	return written, nil
}

// imagePages counts the pages up to the end of the highest segment.
func imagePages(loads []program) uint64 {
	var last program
	for _, s := range loads {
		if s.addr >= last.addr {
			last = s
		}
	}
	return roundUp(last.addr+last.memSize) / pageSize
}

// markRelocated notes the pages that one relocation table writes to. The table
// is found, as the loader does, by the first section at its address.
func (f *image) markRelocated(tags map[uint64]uint64, addr, size uint64, written bitmap) error {
	start, ok := tags[addr]
	i := slices.IndexFunc(f.sections, func(s section) bool { return s.addr == start })
	if !ok || i < 0 {
		return nil
	}
	table := section{offset: f.sections[i].offset, size: tags[size]}
	return f.eachRecord("relocation table", table, func(b []byte) error {
		place, kind := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])
		if kind != relocNone && !(written.add(place/pageSize) && written.add((place+7)/pageSize)) {
			return &sgx.FormatError{Part: "ELF relocation", Problem: "is outside the image", Offset: -1, Got: fmt.Sprintf("%#x", place)}
		}
		return nil
	})
}

// addRelocated plans a segment. Where pages change between relocated and not, it
// is cut, and the former are writable; only pages with bytes from the file
// count.
func (p *plan) addRelocated(s program, read reader, relocated bitmap) error {
	r := segmentRegion(s, read)
	if relocated == nil || r.flags&sgx.Write != 0 {
		return p.add(r)
	}
	fromFile := roundUp(s.addr%pageSize+s.fileSize) / pageSize
	written := func(page uint64) bool { return page < fromFile && relocated.has(r.at/pageSize+page) }
	for from, to := uint64(0), uint64(0); from < r.pages; from = to {
		for to = from + 1; to < r.pages && written(to) == written(from); to++ {
		}
		part := region{at: r.at + from*pageSize, pages: to - from, flags: r.flags, content: r.content.shifted(from * pageSize)}
		if written(from) {
			part.flags |= sgx.Write
		}
		if err := p.add(part); err != nil {
			return err
		}
	}
	return nil
}
