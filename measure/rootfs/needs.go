package rootfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
)

// needs is what a program or library (ELF, 64 bits, little endian) asks the
// dynamic linker for.
type needs struct {
	interpreter string
	libraries   []string
	folders     []string // DT_RPATH and DT_RUNPATH, as they are written
}

// Limits on tables, and sizes and values of fields (System V ABI, "Object
// Files"). debug/elf is not made for hostile files: it reads whole string tables
// into memory, whose size the file chooses.
const (
	maxSpool    = 1 << 30
	maxHeaders  = 1 << 10
	maxDynamic  = 1 << 20
	maxString   = 4 << 10
	maxNeeded   = 1 << 10
	headerSize  = 64
	programSize = 56

	programLoad    = 1
	programDynamic = 2
	programInterp  = 3

	tagNeeded  = 1
	tagStrings = 5
	tagRpath   = 15
	tagRunpath = 29
)

// spooled puts an ELF file on disk, where it can be read at any place: what it
// needs stands behind offsets that come later in the file.
type spooled struct {
	file    *os.File
	size    int64
	skipped bool
}

// Write implements io.Writer. A file that cannot be looked into is not an error:
// images hold all kinds of files.
func (s *spooled) Write(p []byte) (int, error) {
	if s.size == 0 && !bytes.HasPrefix(p, []byte("\x7fELF")) || s.size > maxSpool {
		s.skipped = true
	}
	if s.skipped {
		return len(p), nil
	}
	n, err := s.file.WriteAt(p, s.size)
	s.size += int64(n)
	return n, err
}

// needs returns nil for a file that asks for nothing.
func (s *spooled) needs() *needs {
	if s.skipped || s.size < headerSize {
		return nil
	}
	return readNeeds(io.NewSectionReader(s.file, 0, s.size))
}

// programHeader is an entry of a file's program header table.
type programHeader struct {
	kind               uint32
	offset, addr, size uint64
}

func readNeeds(r io.ReaderAt) *needs {
	headers := readHeaders(r)
	n := &needs{}
	for _, h := range headers {
		switch h.kind {
		case programInterp:
			n.interpreter = readString(r, h.offset)
		case programDynamic:
			n.readDynamic(r, h, headers)
		}
	}
	if n.interpreter == "" && len(n.libraries) == 0 {
		return nil
	}
	return n
}

func readHeaders(r io.ReaderAt) []programHeader {
	head := readAt(r, 0, headerSize)
	if head == nil || head[4] != 2 || head[5] != 1 {
		return nil
	}
	count := binary.LittleEndian.Uint16(head[56:])
	if binary.LittleEndian.Uint16(head[54:]) != programSize || count > maxHeaders {
		return nil
	}
	table := readAt(r, binary.LittleEndian.Uint64(head[32:]), uint64(count)*programSize)
	var headers []programHeader
	for ; len(table) >= programSize; table = table[programSize:] {
		headers = append(headers, programHeader{
			binary.LittleEndian.Uint32(table), binary.LittleEndian.Uint64(table[8:]),
			binary.LittleEndian.Uint64(table[16:]), binary.LittleEndian.Uint64(table[32:]),
		})
	}
	return headers
}

// readDynamic reads the section in which a file names what it needs, by places
// in a string table whose address the same section holds.
func (n *needs) readDynamic(r io.ReaderAt, section programHeader, headers []programHeader) {
	table := readAt(r, section.offset, min(section.size, maxDynamic))
	strings, ok := fileOffset(dynamicValue(table, tagStrings), headers)
	if !ok {
		return
	}
	for ; len(table) >= 16; table = table[16:] {
		value := binary.LittleEndian.Uint64(table[8:])
		switch binary.LittleEndian.Uint64(table) {
		case tagNeeded:
			if len(n.libraries) < maxNeeded {
				n.libraries = append(n.libraries, readString(r, strings+value))
			}
		case tagRpath, tagRunpath:
			n.folders = append(n.folders, readString(r, strings+value))
		}
	}
}

func dynamicValue(table []byte, tag uint64) uint64 {
	for ; len(table) >= 16; table = table[16:] {
		if binary.LittleEndian.Uint64(table) == tag {
			return binary.LittleEndian.Uint64(table[8:])
		}
	}
	return 0
}

// fileOffset finds where in the file an address in memory comes from.
func fileOffset(addr uint64, headers []programHeader) (uint64, bool) {
	for _, h := range headers {
		if h.kind == programLoad && addr >= h.addr && addr-h.addr < h.size {
			return h.offset + addr - h.addr, true
		}
	}
	return 0, false
}

func readString(r io.ReaderAt, offset uint64) string {
	text := make([]byte, maxString)
	n, _ := r.ReadAt(text, int64(offset)) // a short read is the end of the file
	end := bytes.IndexByte(text[:n], 0)
	if end < 0 {
		return ""
	}
	return string(text[:end])
}

// readAt returns nil for a place that the file does not have.
func readAt(r io.ReaderAt, offset, size uint64) []byte {
	data := make([]byte, size)
	if n, _ := r.ReadAt(data, int64(offset)); n < len(data) {
		return nil
	}
	return data
}
