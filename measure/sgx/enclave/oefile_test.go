package enclave_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// image is a test image of Open Enclave: what to build, and for which version.
type image struct {
	infoSize             uint64
	heap, stack, threads uint64
	start                uint64 // of a zero-base enclave
	static               bool   // variables in .symtab
	jumpTable            bool   // has .rela.plt
	noLocal              bool   // has no thread-local data
	segmentAlign         uint64 // of thread-local data, as the segment has it
	needed               bool   // needs a module
	drop                 string // a variable to leave out
	relocationType       uint32 // of one more relocation
	change               func(f *elfFile)
}

// Addresses in the test image.
const (
	infoAt     = 0x1000
	symbolsAt  = 0x1800
	stringsAt  = 0x1a00
	relaAt     = 0x1c00
	pltAt      = 0x1d00
	dynamicAt  = 0x1e00
	variableAt = 0x9100 // in memory; 0x6100 in the file
	localAt    = 0x9800
	imageSize  = 0xd000
)

// names are the variables in the order of their places, eight bytes each. The
// last two are behind the file's content of their segment.
func names() []string {
	return []string{"_enclave_rva", "_reloc_rva", "_reloc_size", "_tdata_rva", "_tdata_size", "_tdata_align", "_tbss_size", "_tbss_align", "_td_from_tcs_offset"}
}

func place(i int) uint64 {
	if i == 8 {
		return 0xa008 // in .bss
	}
	return variableAt + uint64(8*i)
}

// write makes the file, unsigned.
func (m image) write() *elfFile {
	f := &elfFile{entry: 0x4100}
	f.load(4, 0, 0, noise(0x2000, 1), 0x2000)
	f.load(5, 0x2000, 0x3000, noise(0x3333, 2), 0x3333)
	f.load(6, 0x6080, 0x9080, noise(0xa00, 3), 0x3f00)
	f.put(infoAt, m.info())
	symbols, strings := m.symbols()
	f.put(stringsAt, append(strings, make([]byte, 0x200-len(strings))...))
	f.put(relaAt, m.relocations())
	f.put(pltAt, rela(0x9500, 3, 7, 0))
	f.put(dynamicAt, words(5, stringsAt))
	if m.needed {
		f.put(dynamicAt, words(1, 1))
	}
	f.put(dynamicAt+16, words(0, 0))
	f.segments = append(f.segments, segment{2, 6, dynamicAt, dynamicAt, 32, 32, 8})
	f.sections = []section{
		{".oeinfo", 1, infoAt, infoAt, m.infoSize, 8, 0},
		{".text", 1, 0x3000, 0x2000, 0x3333, 16, 0},
		{".dynstr", 3, stringsAt, stringsAt, 0x200, 1, 0},
		{".rela.dyn", 4, relaAt, relaAt, uint64(len(m.relocations())), 8, 24},
	}
	if m.jumpTable {
		f.sections = append(f.sections, section{".rela.plt", 4, pltAt, pltAt, 24, 8, 24})
	}
	if !m.noLocal {
		f.segments = append(f.segments, segment{7, 4, 0x6800, localAt, 0x18, 0x48, m.segmentAlign})
		f.sections = append(f.sections, section{".tdata", 1, localAt, 0x6800, 0x18, 16, 0}, section{".tbss", 8, localAt + 0x18, 0x6818, 0x30, 32, 0})
	}
	m.addSymbols(f, symbols)
	if m.change != nil {
		m.change(f)
	}
	return f
}

// addSymbols puts the variables into .dynsym, or into .symtab with the dynamic
// symbol that the thread-local relocation needs left where it is.
func (m image) addSymbols(f *elfFile, symbols []byte) {
	f.put(symbolsAt, symbols)
	size := uint64(len(symbols))
	if m.static {
		f.append(".symtab", 2, symbols, 24)
		f.sections = append(f.sections, section{".strtab", 3, 0, stringsAt, 0x200, 1, 0})
		size = 3 * 24
	}
	f.sections = append(f.sections, section{".dynsym", 11, symbolsAt, symbolsAt, size, 8, 24})
}

// info is oe_sgx_enclave_properties_t.
func (m image) info() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(nil, uint32(m.infoSize)), 2)
	b = append(b, words(m.heap, m.stack, m.threads)...)
	b = append(b, noise(int(m.infoSize)-32, 7)...)
	le.PutUint32(b[36:], 0)
	if m.start > 0 {
		le.PutUint32(b[36:], 2)
		le.PutUint64(b[88:], m.start)
	}
	clear(b[m.infoSize-8-sgx.SIGSTRUCTSize:])
	return b
}

// symbols returns the symbol and the string table. Some symbols use the end of
// a longer name, and a second symbol of the same name does not count.
func (m image) symbols() (symbols, strings []byte) {
	symbol := func(name int, value uint64) {
		symbols = append(symbols, words(uint64(name), value, 8)...)
	}
	strings = []byte("\x00tls_variable\x00")
	symbol(0, 0)
	symbol(1, 0x123456789) // index 1: thread-local
	symbol(1, 0x30)
	for i, name := range names() {
		if name == m.drop {
			continue
		}
		symbol(len(strings)+i%2, place(i))
		strings = append(append(append(strings, "x"[:i%2]...), name...), 0)
	}
	symbol(slices.Index(strings, '_'), 0xbad0)
	symbol(bytes.Index(strings, []byte("_enclave_rva")), 0xbad8)
	return symbols, strings
}

func (m image) relocations() []byte {
	last := uint32(6) // GLOB_DAT
	if m.infoSize == 1920 {
		last = 8 // the versions before 0.12 took RELATIVE and TPOFF64 only
	}
	b := bytes.Join([][]byte{rela(0x9300, 0, 8, 0x4100), rela(0x9308, 1, 18, 5), rela(0x9310, 2, last, 0)}, nil)
	if m.relocationType != 0 {
		b = append(b, rela(0x9318, 0, m.relocationType, 0)...)
	}
	return b
}

// host is how a version of Open Enclave builds an image.
type host struct {
	dataAlign, local, counted uint64
	stored                    func(end, size uint64) uint64
	splits, clears, plt       bool
	noOffset                  bool // does not set _td_from_tcs_offset
}

// pages are what a version of Open Enclave adds, in order, and the size of the
// address range.
func (m image) pages(f *elfFile, h host) (uint64, []added) {
	memory := make([]byte, imageSize)
	for _, s := range f.segments[:3] {
		copy(memory[s.addr:], f.bytes[s.offset:][:s.file])
	}
	relocations := m.relocations()
	binary.LittleEndian.PutUint64(relocations[24+16:], 0x123456789)
	if h.plt {
		relocations = append(relocations, rela(0x9500, 3, 7, 0)...)
	}
	end := imageSize + page + (m.heap+m.threads*(m.stack+h.counted+7))*page
	size, whole := pow2(end), pow2(end+m.start)
	if m.heap+m.stack == 0 {
		size, whole = 1<<36, 1<<36
	}
	m.patch(memory, h, h.stored(end, size))
	thread := concat(m.threadPages(f, h))
	return whole, concat(
		run(m.start, readable, memory[:0x2000]),
		run(m.start+0x3000, code, memory[0x3000:0x6333]),
		run(m.start+0x9080, data, memory[0x9080:0x9080+0x3f00]),
		run(m.start+imageSize, readable, relocations),
		heap(m.start+imageSize+page, data, int(m.heap)),
		thread)
}

// patch is what the host writes into the image.
func (m image) patch(memory []byte, h host, stored uint64) {
	if h.clears {
		clear(memory[40:48])
		clear(memory[60:64])
	}
	copy(memory[infoAt+m.infoSize-8-sgx.SIGSTRUCTSize-48:], words(infoAt, m.infoSize, imageSize, page, imageSize+page, stored))
	values := []uint64{variableAt, imageSize, page, localAt, 0x18, h.dataAlign, 0x30, 32, (h.local + 4) * page}
	for i, v := range values {
		if i >= 3 && i < 8 && m.noLocal || i == 8 && h.noOffset || names()[i] == m.drop {
			continue
		}
		copy(memory[place(i):], words(v))
	}
}

func (m image) threadPages(f *elfFile, h host) []added {
	var pages []added
	at := m.start + imageSize + page + m.heap*page
	for range m.threads {
		stack := at + page
		tcs := stack + m.stack*page + page
		behind := tcs + 4*page
		at = behind + (h.local+1)*page
		gs := at - page
		if h.splits {
			gs -= page
		}
		control := words(0, 0, tcs+page, 2<<32, m.start+f.entry, 0, at-page, gs, ^uint64(0))
		pages = concat(pages,
			run(stack, data, bytes.Repeat([]byte{0xcc}, int(m.stack*page))),
			run(tcs, sgx.TCSPage, control),
			run(tcs+page, data, make([]byte, 2*page)),
			run(behind, data, make([]byte, (h.local+1)*page)))
	}
	return pages
}

func pow2(n uint64) uint64 {
	size := uint64(1)
	for size < n {
		size *= 2
	}
	return size
}

// signed finishes the image and signs what the host makes of it.
func (m image) signed(t testing.TB, h host) ([]byte, sgx.MRENCLAVE) {
	t.Helper()
	f := m.write()
	f.finish()
	size, pages := m.pages(f, h)
	want := mrenclave(size, 1, pages)
	f.put(infoAt+m.infoSize-8-sgx.SIGSTRUCTSize, sign(t, want))
	return f.bytes, want
}
