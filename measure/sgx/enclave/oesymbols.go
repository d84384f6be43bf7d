package enclave

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// variableNames are the variables of an image that the host may set, first the
// three that every image has.
func variableNames() []string {
	return []string{"_enclave_rva", "_reloc_rva", "_reloc_size", "_tdata_rva", "_tdata_size", "_tdata_align", "_tbss_size", "_tbss_align", "_td_from_tcs_offset"}
}

// maxSpellings bounds the places in a string table where a symbol's name could
// begin; real tables have each name once or twice.
const maxSpellings = 1 << 10

const searchWindow = 64 << 10

// symbols returns the addresses of the variables: the first symbol of each
// name, as the host takes it. Neither table is kept in memory.
func (o *oeImage) symbols(static bool) (map[string]uint64, error) {
	table, strings := ".dynsym", ".dynstr"
	if static {
		table, strings = ".symtab", ".strtab"
	}
	names, _, err := o.first(strings)
	if err != nil {
		return nil, err
	}
	spelled, err := o.spellings(names)
	if err != nil {
		return nil, err
	}
	symbols, ok, err := o.first(table)
	if err != nil || !ok || symbols.entrySize != sizeSymbol {
		return nil, err
	}
	places := map[string]uint64{}
	return places, o.eachRecord("symbol table", symbols, func(b []byte) error {
		name, ok := spelled[binary.LittleEndian.Uint32(b)]
		if _, seen := places[name]; ok && !seen {
			places[name] = binary.LittleEndian.Uint64(b[8:])
		}
		return nil
	})
}

// spellings returns the offsets in a string table at which a wanted name
// stands: a symbol may also use the end of a longer name.
func (o *oeImage) spellings(table section) (map[uint32]string, error) {
	if err := o.inside("string table", table.offset, table.size); err != nil {
		return nil, err
	}
	all := map[uint32]string{}
	const overlap = 32 // longer than any wanted name
	buf := make([]byte, searchWindow+overlap)
	for base := uint64(0); base < table.size && base < 1<<32; base += searchWindow {
		part := buf[:min(uint64(len(buf)), table.size-base)]
		if err := o.read(part, table.offset+base); err != nil {
			return nil, err
		}
		addSpellings(all, part, uint32(base))
		if len(all) > maxSpellings {
			return nil, &sgx.LimitError{What: "spellings of symbols in a string table", Got: uint64(len(all)), Limit: maxSpellings}
		}
	}
	return all, nil
}

// addSpellings adds those in a part of the table.
func addSpellings(all map[uint32]string, part []byte, base uint32) {
	for _, name := range variableNames() {
		for _, at := range occurrences(part, name+"\x00") {
			all[base+uint32(at)] = name
		}
	}
}

func occurrences(part []byte, text string) (all []int) {
	for at := 0; ; at++ {
		i := bytes.Index(part[at:], []byte(text))
		if i < 0 {
			return all
		}
		at += i
		all = append(all, at)
	}
}

// Relocation types (System V ABI, AMD64 supplement).
const (
	reloc64       = 1
	relocGlobDat  = 6
	relocJumpSlot = 7
	relocRelative = 8
	relocTPOff64  = 18
)

// relocations returns the pages that hold the image's relocation tables, and
// their size in bytes. An image without .rela.dyn has none.
func (o *oeImage) relocations(jumpTable bool) (content, uint64, error) {
	var tables []section
	var size uint64
	for _, name := range []string{".rela.dyn", ".rela.plt"} {
		s, ok, err := o.first(name)
		if err != nil {
			return nil, 0, err
		}
		if !ok || name == ".rela.plt" && (!jumpTable || tables == nil) {
			continue
		}
		if err := o.checkRelocations(name, s); err != nil {
			return nil, 0, err
		}
		tables = append(tables, s)
		size += s.size
	}
	return o.relocationPages(tables), roundUp(size), nil
}

// checkRelocations refuses what the host refuses.
func (o *oeImage) checkRelocations(name string, s section) error {
	if s.entrySize != sizeRela || s.size%sizeRela != 0 {
		return &sgx.FormatError{Part: "ELF section " + name, Problem: "does not hold records of 24 bytes", Offset: int64(s.offset), Got: fmt.Sprintf("%d bytes of %d", s.size, s.entrySize)}
	}
	return o.eachRecord("relocation table", s, func(b []byte) error {
		switch kind := binary.LittleEndian.Uint32(b[8:]); kind {
		case reloc64, relocGlobDat, relocJumpSlot, relocRelative, relocTPOff64:
			return nil
		default:
			return &sgx.FormatError{Part: "ELF relocation", Problem: "has a type that Open Enclave refuses", Offset: int64(s.offset), Got: fmt.Sprint(kind)}
		}
	})
}

// relocationPages is the tables one after the other.
func (o *oeImage) relocationPages(tables []section) content {
	return func(dst []byte, at uint64) error {
		clear(dst)
		end := at + uint64(len(dst))
		for base, i := uint64(0), 0; i < len(tables); i++ {
			from, to := max(at, base), min(end, base+tables[i].size)
			if from < to {
				if err := o.relocationBytes(tables[i], from-base, dst[from-at:to-at]); err != nil {
					return err
				}
			}
			base += tables[i].size
		}
		return nil
	}
}

// relocationBytes reads a part of a table. Thread-local relocations get the
// value of their symbol as addend, as the host gives it to them.
func (o *oeImage) relocationBytes(table section, at uint64, dst []byte) error {
	first := at / sizeRela * sizeRela
	b := make([]byte, min((at-first+uint64(len(dst))+sizeRela-1)/sizeRela*sizeRela, table.size-first))
	if err := o.read(b, table.offset+first); err != nil {
		return err
	}
	for r := b; len(r) > 0; r = r[sizeRela:] {
		if info := binary.LittleEndian.Uint64(r[8:]); uint32(info) == relocTPOff64 {
			value, err := o.symbolValue(info >> 32)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint64(r[16:], value)
		}
	}
	copy(dst, b[at-first:])
	return nil
}

func (o *oeImage) symbolValue(index uint64) (uint64, error) {
	if n := o.symbolTable.size / sizeSymbol; index >= n {
		return 0, &sgx.FormatError{Part: "ELF relocation", Problem: "has a symbol that does not exist", Offset: -1, Got: fmt.Sprint(index), Want: fmt.Sprintf("below %d", n)}
	}
	b, err := o.bytes("ELF symbol table", o.symbolTable.offset+index*sizeSymbol, sizeSymbol)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[8:]), nil
}
