package enclave

import (
	"encoding/binary"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// reserved64G is the address range in bytes of a base image that is extended when it is
// started: such images have no heap, no stack and one thread, and are measured
// for the largest range there was (openenclave: include/openenclave/internal/
// eeid.h, OE_EEID_SGX_ELRANGE). Not every build of the tools knows them.
const reserved64G = 1 << 36

// readThreadLocal finds the sizes of thread-local data, and whether the image
// needs a module.
func (o *oeImage) readThreadLocal() (err error) {
	if o.tlsData, err = o.localSection(".tdata"); err != nil {
		return err
	}
	if o.tlsZero, err = o.localSection(".tbss"); err != nil {
		return err
	}
	for _, p := range o.programs {
		if p.kind == threadLocal && p.addr == o.tlsData.addr && p.align > 0 && p.align <= sgx.MaxEnclaveSize {
			o.tlsAlign = p.align
		}
	}
	tags, err := o.dynamicTags()
	_, o.module = tags[tagNeeded]
	return err
}

// localSection returns the last section of a name.
func (o *oeImage) localSection(name string) (section, error) {
	all, err := o.named(name)
	if err != nil || len(all) == 0 {
		return section{}, err
	}
	s := all[len(all)-1]
	if max(s.size, s.align) > sgx.MaxEnclaveSize || s.size > 0 && s.align == 0 {
		err = &sgx.FormatError{Part: "Open Enclave section " + name, Problem: "has no possible size or alignment", Offset: int64(s.offset), Got: fmt.Sprintf("%d and %d", s.size, s.align)}
	}
	return s, err
}

const tagNeeded = 1

// dataAlign is the alignment of initialised thread-local data.
func (o *oeImage) dataAlign(c candidate) uint64 {
	if c.segmentAlign && o.tlsAlign > 0 {
		return o.tlsAlign
	}
	return o.tlsData.align
}

// localPages is the number of pages of a thread's local data.
func (o *oeImage) localPages(c candidate) uint64 {
	if c.fixedLocal {
		return 1
	}
	return roundUp(multiple(o.tlsData.size, o.dataAlign(c))+multiple(o.tlsZero.size, o.tlsZero.align)) / pageSize
}

// multiple rounds up to a multiple of any number.
func multiple(n, of uint64) uint64 {
	if n == 0 {
		return 0
	}
	return (n + of - 1) / of * of
}

// extent is how large an enclave is and where its parts are, in bytes.
type extent struct {
	relocations uint64 // size of the relocation pages
	end         uint64 // behind the last page, from the image's start
	size        uint64 // of the enclave
	rangeSize   uint64 // of the address range, which may begin below the image
}

// extent adds up the parts. A thread has three guard pages, a TCS, two frames
// for saved state and a page of thread data besides stack and local data.
func (o *oeImage) extent(c candidate, relocations uint64) extent {
	local := o.localPages(c)
	if c.countsOne {
		local = 1
	}
	x := extent{relocations: relocations}
	x.end = o.size + relocations + (o.heap+o.threads*(o.stack+local+7))*pageSize
	if x.size = c.reserve; x.size == 0 {
		x.size = powerOfTwo(x.end)
	}
	if x.rangeSize = x.size; o.start > 0 {
		x.rangeSize = powerOfTwo(x.end + o.start)
	}
	return x
}

// plan lists the pages in the order of oe_sgx_build_enclave.
func (o *oeImage) plan(c candidate) (*plan, error) {
	relocations, size, err := o.relocations(c.jumpTable)
	if err != nil {
		return nil, err
	}
	x := o.extent(c, size)
	patches, err := o.patches(c, x)
	if err != nil {
		return nil, err
	}
	p := &plan{size: x.rangeSize, ssaPages: 1}
	at := o.start + o.size
	if err := p.addAll(append(o.segments(patches),
		region{at: at, pages: size / pageSize, flags: sgx.REGPage | sgx.Read, content: relocations},
		region{at: at + size, pages: o.heap, flags: sgx.REGPage | sgx.Read | sgx.Write, part: partHeap},
	)...); err != nil {
		return nil, err
	}
	return p, o.addThreads(p, c, at+size+o.heap*pageSize)
}

// segments are the pages of the patched image. As in the host, a segment that
// ends before it begins a page still adds that page.
func (o *oeImage) segments(patches []patch) []region {
	var all []region
	for _, s := range o.loads {
		r := segmentRegion(s, o.read)
		r.pages = roundUp(s.addr+s.memSize-r.at) / pageSize
		r.content = r.content.patched(patches, r.at)
		r.at += o.start
		all = append(all, r)
	}
	return all
}

// addThreads plans, for each thread: a guard page, the stack, a guard page, the
// TCS, two frames for saved state, a guard page, thread-local data, a page of
// thread data.
func (o *oeImage) addThreads(p *plan, c candidate, at uint64) error {
	data := sgx.REGPage | sgx.Read | sgx.Write
	for range o.threads {
		stack := at + pageSize
		tcs := stack + (o.stack+1)*pageSize
		behind := tcs + 4*pageSize
		local := o.localPages(c)
		if err := p.addAll(
			region{at: stack, pages: o.stack, flags: data, content: filled(0xcccccccc), part: partStack},
			region{at: tcs, pages: 1, flags: sgx.TCSPage, content: o.thread(c, tcs, behind+local*pageSize)},
			region{at: tcs + pageSize, pages: 2, flags: data, content: filled(0), part: partSSA},
			region{at: behind, pages: local + 1, flags: data, content: filled(0), part: partData},
		); err != nil {
			return err
		}
		at = behind + (local+1)*pageSize
	}
	return nil
}

// thread is a TCS page (Intel SDM volume 3D, "Thread Control Structure"), with
// addresses from the start of the enclave's range. FS points behind the
// thread-local data, at the thread data.
func (o *oeImage) thread(c candidate, at, data uint64) content {
	gs := data
	if c.splitsBases {
		gs = data - pageSize
	}
	return repeated(func(page []byte) {
		le := binary.LittleEndian
		le.PutUint64(page[16:], at+pageSize) // OSSA
		le.PutUint32(page[28:], 2)           // NSSA
		le.PutUint64(page[32:], o.start+o.entry)
		le.PutUint64(page[48:], data)       // OFSBASE
		le.PutUint64(page[56:], gs)         // OGSBASE
		le.PutUint32(page[64:], 0xffffffff) // FSLIMIT
		le.PutUint32(page[68:], 0xffffffff) // GSLIMIT
	})
}

// patches are what the host writes into the image before it measures it, in
// order: the last one clears the signature.
func (o *oeImage) patches(c candidate, x extent) ([]patch, error) {
	var all []patch
	var err error
	if c.clearsHeader {
		if all, err = o.clearHeader(); err != nil {
			return nil, err
		}
	}
	stored := x.size
	if c.storesEnd {
		stored = x.end
	}
	image := o.info + o.infoSize - behindInfo // oe_sgx_enclave_image_info_t
	for i, value := range []uint64{o.info, o.infoSize, o.size, x.relocations, o.size + x.relocations, stored} {
		all = append(all, word(image+uint64(8*i), value))
	}
	all = append(all, o.variables(c, x)...)
	return append(all, patch{o.info + o.infoSize - 8 - sgx.SIGSTRUCTSize, make([]byte, sgx.SIGSTRUCTSize)}), nil
}

// clearHeader clears e_shoff, e_shnum and e_shstrndx in the first segment that
// begins with an ELF header.
func (o *oeImage) clearHeader() ([]patch, error) {
	for _, s := range o.loads {
		if s.fileSize < sizeHeader {
			continue
		}
		h, err := o.bytes("ELF segment", s.offset, sizeHeader)
		if err != nil {
			return nil, err
		}
		if checkHeader(h) == nil {
			return []patch{{s.addr + 40, make([]byte, 8)}, {s.addr + 60, make([]byte, 4)}}, nil
		}
	}
	return nil, nil
}

// variables are the image's own variables that the host sets.
func (o *oeImage) variables(c candidate, x extent) []patch {
	values := map[string]uint64{"_enclave_rva": c.places["_enclave_rva"], "_reloc_rva": o.size, "_reloc_size": x.relocations}
	o.addLocal(c, values)
	var all []patch
	for _, name := range variableNames() {
		place, known := c.places[name]
		if value, wanted := values[name]; known && wanted {
			all = append(all, word(place, value))
		}
	}
	return all
}

// addLocal adds the variables about thread-local data.
func (o *oeImage) addLocal(c candidate, values map[string]uint64) {
	if o.tlsData.size > 0 {
		values["_tdata_rva"], values["_tdata_size"], values["_tdata_align"] = o.tlsData.addr, o.tlsData.size, o.dataAlign(c)
	}
	if o.tlsZero.size > 0 {
		values["_tbss_size"], values["_tbss_align"] = o.tlsZero.size, o.tlsZero.align
	}
	if !c.fixedLocal {
		values["_td_from_tcs_offset"] = (o.localPages(c) + 4) * pageSize
	}
}
