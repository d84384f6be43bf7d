package enclave

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mrelease/mrelease/measure/sgx"
)

// This file reads the tables of an ELF file. debug/elf is not made for hostile
// files: it reads whole string tables into memory, whose size the file chooses.

// Limits on tables; real enclaves have about ten segments and forty sections.
const (
	maxPrograms = 1 << 10
	maxSections = 1 << 14
)

// Sizes of ELF64 records in bytes, and the values of fields used here (System V
// ABI, "Object Files"; AMD64 supplement).
const (
	sizeHeader  = 64
	sizeProgram = 56
	sizeSection = 64
	sizeSymbol  = 24
	sizeRela    = 24
	sizeDynamic = 16

	shared      = 3  // e_type ET_DYN
	machineAMD  = 62 // e_machine EM_X86_64
	loadable    = 1  // p_type PT_LOAD
	dynamic     = 2  // p_type PT_DYNAMIC
	threadLocal = 7  // p_type PT_TLS
)

// program is an entry of the program header table.
type program struct {
	kind, flags                     uint32
	offset, addr, fileSize, memSize uint64
	align                           uint64
}

// section is an entry of the section header table.
type section struct {
	name, kind         uint32
	addr, offset, size uint64
	link               uint32
	align, entrySize   uint64
}

// image is an ELF64 file for x86-64.
type image struct {
	read     reader
	work     *work
	size     uint64
	kind     uint16
	entry    uint64
	programs []program
	sections []section
	names    uint64 // where the names of the sections are
}

// fileReader reads a file until the context ends.
func fileReader(ctx context.Context, r io.ReaderAt) reader {
	return func(dst []byte, at uint64) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n, err := r.ReadAt(dst, int64(at)); n < len(dst) {
			return fmt.Errorf("reading enclave file at %#x: %w", at, err)
		}
		return nil
	}
}

// readELF reads the header and both tables.
func readELF(read reader, size uint64) (*image, error) {
	f := &image{read: read, size: size}
	h, err := f.bytes("ELF header", 0, sizeHeader)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(h); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	f.kind, f.entry = le.Uint16(h[16:]), le.Uint64(h[24:])
	if err := f.readPrograms(le.Uint64(h[32:]), le.Uint16(h[56:])); err != nil {
		return nil, err
	}
	return f, f.readSections(le.Uint64(h[40:]), le.Uint16(h[60:]), le.Uint16(h[62:]))
}

func checkHeader(h []byte) error {
	le := binary.LittleEndian
	for _, field := range []struct {
		problem   string
		at        int64
		got, want uint64
	}{
		{"is no ELF file", 0, uint64(le.Uint32(h)), 0x464c457f},
		{"is not of class 64-bit", 4, uint64(h[4]), 2},
		{"is not little endian", 5, uint64(h[5]), 1},
		{"is not for x86-64", 18, uint64(le.Uint16(h[18:])), machineAMD},
	} {
		if field.got != field.want {
			return &sgx.FormatError{Part: "ELF header", Problem: field.problem, Offset: field.at, Got: fmt.Sprint(field.got), Want: fmt.Sprint(field.want)}
		}
	}
	return nil
}

func (f *image) readPrograms(at uint64, count uint16) error {
	if count > maxPrograms {
		return &sgx.LimitError{What: "program headers", Got: uint64(count), Limit: maxPrograms}
	}
	table, err := f.bytes("program header table", at, uint64(count)*sizeProgram)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for b := table; len(b) > 0; b = b[sizeProgram:] {
		f.programs = append(f.programs, program{
			kind: le.Uint32(b), flags: le.Uint32(b[4:]), offset: le.Uint64(b[8:]), addr: le.Uint64(b[16:]),
			fileSize: le.Uint64(b[32:]), memSize: le.Uint64(b[40:]), align: le.Uint64(b[48:]),
		})
	}
	return nil
}

func (f *image) readSections(at uint64, count, names uint16) error {
	if count > maxSections {
		return &sgx.LimitError{What: "section headers", Got: uint64(count), Limit: maxSections}
	}
	table, err := f.bytes("section header table", at, uint64(count)*sizeSection)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	for b := table; len(b) > 0; b = b[sizeSection:] {
		f.sections = append(f.sections, section{
			name: le.Uint32(b), kind: le.Uint32(b[4:]), addr: le.Uint64(b[16:]), offset: le.Uint64(b[24:]),
			size: le.Uint64(b[32:]), link: le.Uint32(b[40:]), align: le.Uint64(b[48:]), entrySize: le.Uint64(b[56:]),
		})
	}
	if count > 0 && names >= count {
		return &sgx.FormatError{Part: "ELF header", Problem: "has the names of its sections in none of them", Offset: 62, Got: fmt.Sprint(names), Want: fmt.Sprintf("below %d", count)}
	}
	if count > 0 {
		f.names = f.sections[names].offset
	}
	return nil
}

// bytes reads a part of the file that must be there; callers bound n.
func (f *image) bytes(part string, at, n uint64) ([]byte, error) {
	if err := f.inside(part, at, n); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	return b, f.read(b, at)
}

// inside checks that a part lies in the file.
func (f *image) inside(part string, at, n uint64) error {
	if n > f.size || at > f.size-n {
		return &sgx.FormatError{Part: part, Problem: "lies outside the file", Offset: -1, Got: fmt.Sprintf("%#x bytes at %#x", n, at), Want: fmt.Sprintf("up to %#x", f.size)}
	}
	return nil
}

// named returns the sections of a name, in order. As in Intel's loader, where
// the table of names ends does not count; Open Enclave's host sees none more.
func (f *image) named(name string) ([]section, error) {
	var all []section
	want := name + "\x00"
	for _, s := range f.sections {
		at := f.names + uint64(s.name)
		if at < f.names || f.inside("section name", at, uint64(len(want))) != nil {
			continue
		}
		got, err := f.bytes("section name", at, uint64(len(want)))
		if err != nil {
			return nil, err
		}
		if string(got) == want {
			all = append(all, s)
		}
	}
	return all, nil
}

// mark returns the section that makes the file an enclave of one of the SDKs,
// and whether there is one. Of two, which counts would depend on the loader.
func (f *image) mark(name string) (section, bool, error) {
	all, err := f.named(name)
	switch {
	case err != nil || len(all) == 0:
		return section{}, false, err
	case len(all) > 1:
		return section{}, false, &sgx.FormatError{Part: "ELF section " + name, Problem: "is there more than once", Offset: int64(all[1].offset), Got: fmt.Sprintf("%d sections", len(all)), Want: "one"}
	}
	return all[0], true, nil
}

// first returns the first section of a name, and whether there is one.
func (f *image) first(name string) (section, bool, error) {
	all, err := f.named(name)
	if err != nil || len(all) == 0 {
		return section{}, false, err
	}
	return all[0], true, nil
}
