package enclave

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/mrelease/mrelease/measure/sgx"
)

// addSegments plans the loadable segments (CLoader::build_sections).
func (m metadata) addSegments(p *plan, f *image) error {
	read, err := m.patchedFile(f)
	if err != nil {
		return err
	}
	segments, relocated, err := m.segments(f, read)
	if err != nil {
		return err
	}
	var last program
	for _, s := range segments {
		if err := p.addAll(m.oldTail(last, s.addr)...); err != nil {
			return err
		}
		if err := p.addRelocated(s, read, relocated); err != nil {
			return err
		}
		if s.addr > last.addr {
			last = s
		}
	}
	return p.addAll(m.oldTail(last, math.MaxUint64)...)
}

// segments returns the segments in the order in which they are added, and the
// pages that relocations write to.
func (m metadata) segments(f *image, read reader) ([]program, bitmap, error) {
	own, err := f.loads(loadable)
	if err != nil {
		return nil, nil, err
	}
	relocated, err := relocatedPages(f, own)
	if err != nil {
		return nil, nil, err
	}
	module, err := m.sharedObject(f, read)
	return append(own, module...), relocated, err
}

// oldTail is the page that SDK 1.5 adds behind the highest segment so far: it
// rounds a segment's size before it adds the address. There must be room for it
// before the next segment.
func (m metadata) oldTail(last program, next uint64) []region {
	if m.major != 1 || m.minor != 3 || last.addr == 0 {
		return nil
	}
	end := roundUp(last.addr + last.memSize)
	if end >= roundUp(last.addr+roundUp(last.memSize)) || end >= roundDown(next) {
		return nil
	}
	return []region{{at: end, pages: 1, flags: last.pageFlags(), content: filled(0)}}
}

// patchedFile reads the file with the block's patches, which count from the
// file's start. The loader makes them after it has chosen the block and before
// it reads the layout and the signature: one that reached into the note would
// give it others than those that stand in the file.
func (m metadata) patchedFile(f *image) (reader, error) {
	table, err := m.table(patchTable, sizePatch)
	if err != nil {
		return nil, err
	}
	if n := len(table) / sizePatch; n > maxPatches {
		return nil, &sgx.LimitError{What: "SGX metadata patches", Got: uint64(n), Limit: maxPatches}
	}
	var patches []patch
	le := binary.LittleEndian
	for b := table; len(b) > 0; b = b[sizePatch:] {
		data, err := m.data(le.Uint32(b[8:]), le.Uint32(b[12:]))
		if err != nil {
			return nil, err
		}
		to := le.Uint64(b)
		if err := f.inside("SGX metadata patch", to, uint64(len(data))); err != nil {
			return nil, err
		}
		if m.note.overlaps(to, uint64(len(data))) {
			return nil, malformed("patch", "changes the metadata that the loader goes by", m.at, fmt.Sprintf("%d bytes at %#x", len(data), to))
		}
		patches = append(patches, patch{to, data})
	}
	return func(dst []byte, at uint64) error {
		err := f.read(dst, at)
		apply(patches, dst, at)
		return err
	}, nil
}

// sharedObject returns the segments of a second ELF file, appended to the
// first one, that holds a FIPS module (SDK 2.26).
func (m metadata) sharedObject(f *image, read reader) ([]program, error) {
	if m.generation() == 2 || m.generation() == 1 && m.minor < 5 || m.generation() == 3 && m.minor < 2 {
		return nil, nil
	}
	table, err := m.table(extendTable, sizeExtend)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	for b := table; len(b) > 0; b = b[sizeExtend:] {
		if size, offset := le.Uint32(b[4:]), le.Uint32(b[8:]); le.Uint32(b) == sharedObject && size != 0 && offset != 0 {
			entry, err := m.data(offset, 24)
			if err != nil {
				return nil, err
			}
			if err := f.inside("appended shared object", le.Uint64(entry), le.Uint64(entry[16:])); err != nil {
				return nil, err
			}
			return appended(read, le.Uint64(entry), le.Uint64(entry[8:]), le.Uint64(entry[16:]))
		}
	}
	return nil, nil
}

// appended reads the second ELF file and moves its segments to where they are
// in the file and in the enclave. The loader reads it after the patches.
func appended(read reader, offset, addr, size uint64) ([]program, error) {
	if addr > sgx.MaxEnclaveSize {
		return nil, &sgx.LimitError{What: "address of the appended shared object", Got: addr, Limit: sgx.MaxEnclaveSize}
	}
	second, err := readELF(func(dst []byte, at uint64) error { return read(dst, offset+at) }, size)
	if err != nil {
		return nil, fmt.Errorf("reading appended shared object: %w", err)
	}
	loads, err := second.loads(loadable, threadLocal)
	for i := range loads {
		loads[i].offset += offset
		loads[i].addr += addr
	}
	return loads, err
}
