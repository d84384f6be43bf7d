package binaryfs

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// Link makes the shared library of an assembler file that Collect wrote. It
// writes the same bytes for the same blob.
func Link(source, library string) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	match := regexp.MustCompile(`(?m)^\s*\.incbin "([^"]+)"`).FindSubmatch(text)
	if match == nil {
		return fmt.Errorf("%s includes no blob: the stand-in links nothing but binary file systems", source)
	}
	blob, err := os.ReadFile(filepath.Join(filepath.Dir(source), string(match[1])))
	if err != nil {
		return err
	}
	object, err := sharedObject(blob)
	if err != nil {
		return fmt.Errorf("linking %s: %w", library, err)
	}
	return os.WriteFile(library, object, 0o755)
}

// Where the parts of the library are.
const (
	headerSize  = 64
	programSize = 56
	sectionSize = 64
	atBlob      = 0x1000
)

// sharedObject returns an ELF file with the blob in a section and a segment of
// its own.
func sharedObject(blob []byte) ([]byte, error) {
	names := "\x00" + Section + "\x00.shstrtab\x00"
	atNames := uint64(atBlob + len(blob))
	atSections := (atNames + uint64(len(names)) + 7) &^ 7
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Shoff: atSections, Ehsize: headerSize,
		Phentsize: programSize, Phnum: 1, Shentsize: sectionSize, Shnum: 3, Shstrndx: 2,
	}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	size := uint64(len(blob))
	segment := elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: atBlob, Vaddr: atBlob, Paddr: atBlob, Filesz: size, Memsz: size, Align: atBlob}
	sections := []elf.Section64{
		{},
		{Name: 1, Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addr: atBlob, Off: atBlob, Size: size, Addralign: 16},
		{Name: uint32(2 + len(Section)), Type: uint32(elf.SHT_STRTAB), Off: atNames, Size: uint64(len(names)), Addralign: 1},
	}
	return assemble([]part{{0, header}, {headerSize, segment}, {atBlob, blob}, {atNames, []byte(names)}, {atSections, sections}})
}

// part is something to be written at an offset.
type part struct {
	at    uint64
	value any
}

func assemble(parts []part) ([]byte, error) {
	var out bytes.Buffer
	for _, p := range parts {
		out.Write(make([]byte, p.at-uint64(out.Len())))
		if err := binary.Write(&out, binary.LittleEndian, p.value); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// blobOf returns the blob in a library, or nil when it is none of a binary file
// system.
func blobOf(library string) (_ io.Reader, err error) {
	f, err := elf.Open(library)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", library, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := f.Section(Section)
	if s == nil {
		return nil, nil
	}
	content, err := s.Data()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", library, err)
	}
	return bytes.NewReader(content), nil
}
