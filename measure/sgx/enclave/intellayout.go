package enclave

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Bits of a layout entry (common/inc/internal/metadata.h and se_page_attr.h).
const (
	groupID    = 1 << 12 // in the id: the record repeats the ones before it
	doAdd      = 1 << 0  // in the attributes
	doExtend   = 1 << 1
	adjustOSSA = 16 // fields of a TCS that hold addresses
	adjustFS   = 48
	adjustGS   = 56
)

// layout is a run of pages that is not in the file: heap, stacks, thread
// control structures, guard pages.
type layout struct {
	id, attributes uint16
	pages          uint32
	at             uint64
	size, offset   uint32 // of the content in the block; offset 0: size is a number that fills the pages
	flags          sgx.PageFlags
}

// group repeats entries, each time one step further.
type group struct {
	entries uint16 // before this record
	times   uint32
	step    uint64
}

// addLayout plans the layout table (CLoader::build_contexts).
func (m metadata) addLayout(p *plan) error {
	table, err := m.table(layoutTable, sizeLayout)
	if err != nil {
		return err
	}
	var before []layout
	for b := table; len(b) > 0; b = b[sizeLayout:] {
		l := readLayout(b)
		if l.id&groupID != 0 {
			err = m.addGroup(p, before, readGroup(b))
		} else {
			err = m.addEntry(p, l, 0)
		}
		if err != nil {
			return err
		}
		before = append(before, l)
	}
	return nil
}

func readLayout(b []byte) layout {
	le := binary.LittleEndian
	return layout{
		id: le.Uint16(b), attributes: le.Uint16(b[2:]), pages: le.Uint32(b[4:]), at: le.Uint64(b[8:]),
		size: le.Uint32(b[16:]), offset: le.Uint32(b[20:]), flags: sgx.PageFlags(le.Uint64(b[24:])),
	}
}

func readGroup(b []byte) group {
	le := binary.LittleEndian
	return group{entries: le.Uint16(b[2:]), times: le.Uint32(b[4:]), step: le.Uint64(b[8:])}
}

// addGroup plans each repetition. Only entries that add pages are repeated:
// they use up the plan's limits, so that the number of times does not matter.
func (m metadata) addGroup(p *plan, before []layout, g group) error {
	if int(g.entries) > len(before) {
		return malformed("group", "repeats more records than there are before it", m.at, fmt.Sprint(g.entries))
	}
	var adding []layout
	for _, l := range before[len(before)-int(g.entries):] {
		if l.id&groupID != 0 {
			return malformed("group", "repeats a group", m.at, fmt.Sprintf("id %#x", l.id))
		}
		if l.adds() {
			adding = append(adding, l)
		}
	}
	if adding == nil {
		return nil
	}
	for i, shift := uint32(0), uint64(0); i < g.times; i++ {
		if shift += g.step; shift < g.step || shift > m.enclaveSize() {
			return malformed("group", "reaches beyond the enclave", m.at, fmt.Sprintf("%d times %#x", g.times, g.step))
		}
		for _, l := range adding {
			if err := m.addEntry(p, l, shift); err != nil {
				return err
			}
		}
	}
	return nil
}

// adds reports whether the entry adds pages: guard pages have no flags, and
// pages that come after the start have no EADD.
func (l layout) adds() bool {
	return l.pages > 0 && l.attributes&doAdd != 0 && (l.flags != 0 || l.offset != 0)
}

// part says what the pages are for (LAYOUT_ID_HEAP_MIN and the ids after it).
func (l layout) part() string {
	switch l.id {
	case 1, 2, 3:
		return partHeap
	case 5:
		return partData
	case 6:
		return partSSA
	case 7, 8:
		return partStack
	}
	return ""
}

// addEntry plans one entry (CLoader::build_context).
func (m metadata) addEntry(p *plan, l layout, shift uint64) error {
	if !l.adds() {
		return nil
	}
	if l.at > sgx.MaxEnclaveSize {
		return malformed("layout", "has pages outside the enclave", m.at, fmt.Sprintf("%#x", l.at))
	}
	r := region{at: l.at + shift, pages: uint64(l.pages), flags: l.flags, part: l.part()}
	var err error
	switch {
	case l.offset == 0 && l.attributes&doExtend != 0:
		r.content = filled(l.size)
	case l.offset != 0 && l.flags == sgx.TCSPage:
		r.content, err = m.thread(l, r.at)
	case l.offset != 0:
		r.content, err = m.template(l)
	}
	if err != nil {
		return err
	}
	return p.add(r)
}

// thread is a TCS page: the template's addresses count from the page.
func (m metadata) thread(l layout, at uint64) (content, error) {
	template, err := m.data(l.offset, l.size)
	if err != nil {
		return nil, err
	}
	if len(template) > pageSize {
		return nil, malformed("TCS template", "is larger than a page", m.at+uint64(l.offset), fmt.Sprint(l.size))
	}
	if l.attributes&doExtend == 0 {
		return nil, nil
	}
	return repeated(func(page []byte) {
		copy(page, template)
		for _, field := range []int{adjustOSSA, adjustFS, adjustGS} {
			value := binary.LittleEndian.Uint64(page[field:])
			binary.LittleEndian.PutUint64(page[field:], value+at)
		}
	}), nil
}

// template is content from the block, measured whatever the attributes say.
func (m metadata) template(l layout) (content, error) {
	b, err := m.data(l.offset, l.size)
	if err != nil {
		return nil, err
	}
	if uint64(len(b)) > uint64(l.pages)*pageSize {
		return nil, malformed("layout", "has more content than pages", m.at+uint64(l.offset), fmt.Sprint(l.size))
	}
	source := bytes.NewReader(b)
	read := func(dst []byte, at uint64) error {
		_, err := source.ReadAt(dst, int64(at))
		return err
	}
	return segment(read, 0, uint64(len(b)), 0), nil
}
