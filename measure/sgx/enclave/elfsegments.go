package enclave

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/mrelease/mrelease/measure/sgx"
)

// maxDynamic bounds the entries of a dynamic segment; real ones have thirty.
const maxDynamic = 1 << 12

// loads returns the segments of some kinds in file order, checked to lie in
// the file and in an enclave.
func (f *image) loads(kinds ...uint32) ([]program, error) {
	var all []program
	for _, p := range f.programs {
		if slices.Contains(kinds, p.kind) {
			all = append(all, p)
		}
	}
	for _, p := range all {
		if err := f.checkLoad(p); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f *image) checkLoad(p program) error {
	if err := f.inside("ELF segment", p.offset, p.fileSize); err != nil {
		return err
	}
	if p.fileSize > p.memSize {
		return &sgx.FormatError{Part: "ELF segment", Problem: "is larger in the file than in memory", Offset: int64(p.offset), Got: fmt.Sprint(p.fileSize), Want: fmt.Sprintf("at most %d", p.memSize)}
	}
	for _, n := range []uint64{p.addr, p.memSize} {
		if n > sgx.MaxEnclaveSize {
			return &sgx.LimitError{What: "ELF segment address or size", Got: n, Limit: sgx.MaxEnclaveSize}
		}
	}
	if p.flags&7 == 0 {
		return &sgx.FormatError{Part: "ELF segment", Problem: "has no permissions", Offset: int64(p.offset)}
	}
	return nil
}

// pageFlags turns p_flags into SECINFO.FLAGS of regular pages: their bits stand
// in the opposite order.
func (p program) pageFlags() sgx.PageFlags {
	return sgx.REGPage | sgx.PageFlags(p.flags>>2&1|p.flags&2|p.flags&1<<2)
}

// segmentRegion is a segment with all pages that it touches.
func segmentRegion(s program, read reader) region {
	lead := s.addr % pageSize
	r := region{at: s.addr - lead, flags: s.pageFlags(), content: segment(read, s.offset, s.fileSize, lead)}
	if s.memSize > 0 {
		r.pages = roundUp(lead+s.memSize) / pageSize
	}
	return r
}

// dynamicTags returns the values of the first dynamic segment; of several with
// one tag the last counts.
func (f *image) dynamicTags() (map[uint64]uint64, error) {
	i := slices.IndexFunc(f.programs, func(p program) bool { return p.kind == dynamic })
	if i < 0 {
		return nil, nil
	}
	tags := map[uint64]uint64{}
	for n := range uint64(maxDynamic) {
		b, err := f.bytes("ELF dynamic segment", f.programs[i].offset+n*sizeDynamic, sizeDynamic)
		if err != nil {
			return nil, err
		}
		tag, value := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		if tag == 0 {
			return tags, nil
		}
		tags[tag] = value
	}
	return nil, &sgx.LimitError{What: "entries of the ELF dynamic segment", Got: maxDynamic + 1, Limit: maxDynamic}
}

// eachRecord calls do with each whole record of 24 bytes in a section.
func (f *image) eachRecord(part string, s section, do func(b []byte) error) error {
	if err := f.inside("ELF "+part, s.offset, s.size); err != nil {
		return err
	}
	buf := make([]byte, sizeSymbol<<10)
	for done, size := uint64(0), s.size/sizeSymbol*sizeSymbol; done < size; {
		b := buf[:min(uint64(len(buf)), size-done)]
		if err := f.read(b, s.offset+done); err != nil {
			return err
		}
		done += uint64(len(b))
		for ; len(b) > 0; b = b[sizeSymbol:] {
			if err := do(b[:sizeSymbol]); err != nil {
				return err
			}
		}
	}
	return nil
}
