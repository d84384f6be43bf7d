package enclave_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
)

// target is a proven enclave that bytes are changed in.
type target struct {
	file []byte
	// patched are the loaded bytes that do not count, with the reason: the loader
	// itself writes them before it measures.
	patched []area
	// container are the bytes that say where the loader finds what: a change there
	// is tried more often, and lengths are changed together.
	container []area
	lengths   []area
	step      int // one more step by which lengths are changed
}

type area struct {
	from, to int
	reason   string
}

func at(from, length int, reason string) area { return area{from, from + length, reason} }

func (a area) offsets() (all []int) {
	for i := a.from; i < a.to; i++ {
		all = append(all, i)
	}
	return all
}

func offsets(areas []area) (all []int) {
	for _, a := range areas {
		all = append(all, a.offsets()...)
	}
	return all
}

// targets are enclaves of both SDKs. The first two hold one more signed block
// that a loader takes as soon as a byte leads it there, the last one a second
// structure of Open Enclave under another name.
func targets(t testing.TB) map[string]target {
	alone, _ := standard(t, 3)
	two, second := twoBlocks(t)
	pair := intelTarget(two)
	pair.step = -second / 256
	all := map[string]target{
		"Intel, one block":                      intelTarget(alone),
		"Intel, two blocks":                     pair,
		"Intel, a block behind the note":        intelTarget(blockBehindGap(t, false)),
		"Intel, a stranger's block in the note": intelTarget(blockBehindGap(t, true)),
	}
	for _, name := range []string{"0.17.7 and later", "0.12"} {
		all["Open Enclave "+name] = oeTarget(t, versions()[name].image, versions()[name].host)
	}
	return all
}

// blockBehindGap has a second block 64 bytes behind the first one, where the
// loader does not look: outside the note, or in it with another signer.
func blockBehindGap(t testing.TB, inNote bool) []byte {
	const gap = 64
	file, second := twoBlocks(t)
	p := placesOf(file)
	first := int(u32(file, uint64(p.block)+16))
	file = slices.Concat(file[:p.block+first], make([]byte, gap), file[p.block+first:])
	shiftTables(file, gap)
	if !inNote {
		p = placesOf(file)
		grow(file, p.note+4, -second-64)
		grow(file, p.section+32, -second-64)
		return file
	}
	signature := file[p.block+first+gap+64:][:sgx.SIGSTRUCTSize]
	s, err := sgx.ParseSIGSTRUCT(signature)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = sgx.Sign(s.Body(), strangersKey(t)); err != nil {
		t.Fatal(err)
	}
	copy(signature, s.Bytes())
	return file
}

func intelTarget(file []byte) target {
	p := placesOf(file)
	table, sections := int(u64(file, 40)), 64*int(u16(file, 60))
	text := int(u64(file, uint64(table)+64*u16(file, 62)+24))
	return target{
		file: file,
		patched: []area{
			at(0x2ffc, 8, "first entry of the patch table"),
			at(40, 8, "second entry of the patch table: the signer clears the ELF header's reference to the section table"),
		},
		container: []area{
			at(0, 64, "ELF header"), at(64, 56*int(u16(file, 56)), "program headers"), at(table, sections, "section headers"),
			at(text, table-text, "names of sections"), at(p.note, 25+64, "note, and the head of the block"),
			at(p.block+1872, 32, "directories"),
		},
		lengths: []area{
			at(p.note+4, 3, "length of the note"), at(p.section+24, 2, "place of the section"), at(p.section+32, 3, "length of the section"),
			at(p.section+48, 1, "its alignment"), at(p.block+8, 1, "minor version"), at(p.block+12, 1, "major version"), at(p.block+16, 3, "length of the block"),
		},
	}
}

func oeTarget(t testing.TB, m image, h host) target {
	m.change = func(f *elfFile) {
		f.append(".oeinfp", 1, bytes.Repeat([]byte{1}, 64), 0)
		other := &f.sections[len(f.sections)-1]
		other.addr = 0x9200
	}
	file, _ := m.signed(t, h)
	table, sections := int(u64(file, 40)), 64*int(u16(file, 60))
	text := int(u64(file, uint64(table)+64*u16(file, 62)+24))
	oe, other := bytes.Index(file, []byte(".oeinfo")), bytes.Index(file, []byte(".oeinfp"))
	info := infoAt + int(m.infoSize)
	patched := []area{
		at(info-48-sgx.SIGSTRUCTSize-8, 48, "oe_sgx_enclave_image_info_t: where the loader puts what it adds"),
	}
	for i, name := range names() {
		if place := int(place(i)) - 0x9080 + 0x6080; i < 8 {
			patched = append(patched, at(place, 8, name+", which the host sets"))
		}
	}
	if h.clears {
		patched = append(patched, at(40, 8, "e_shoff, which old hosts clear"), at(60, 4, "e_shnum and e_shstrndx, likewise"))
	}
	return target{
		file:    file,
		patched: patched,
		container: []area{
			at(0, 64, "ELF header"), at(64, 56*int(u16(file, 56)), "program headers"), at(table, sections, "section headers"),
			at(text, table-text, "names of sections"), at(infoAt, 144, "properties"), at(stringsAt, 0x100, "names of symbols"),
			at(symbolsAt, 24*12, "symbols"), at(dynamicAt, 32, "dynamic segment"),
		},
		lengths: []area{at(infoAt, 2, "length of the properties"), at(oe+6, 1, "its last letter"), at(other+6, 1, "that of the other one"), at(60, 4, "number and names of sections")},
	}
}
