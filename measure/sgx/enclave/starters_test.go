package enclave_test

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// This file is a second opinion on which signature a loader takes from a file,
// written from the loaders' sources and with as few checks as they have. The CPU
// starts pages only if they measure to what that signature says, so a file whose
// every signature that a loader could take is proven starts the measured pages
// or none.

// starter picks the SIGSTRUCT that a loader gives to EINIT. It is nil when the
// loader refuses the file, and panics where the loader reads what is not there.
type starter func(file []byte) []byte

// starters are the loaders: Intel's without and with dynamic memory, which take
// metadata up to 1.x and up to 3.x, the ones of SDK 2.0 to 2.9 that took 2.x,
// and Open Enclave's.
func starters() map[string]starter {
	return map[string]starter{
		"Intel's without EDMM": func(file []byte) []byte { return intelTakes(file, 1, 2) },
		"Intel's with EDMM":    func(file []byte) []byte { return intelTakes(file, 3, 2) },
		"Intel's of SDK 2.0":   func(file []byte) []byte { return intelTakes(file, 2, 99) },
		"Open Enclave's":       openEnclaveTakes,
	}
}

// taken asks a loader; reading outside the file starts nothing.
func (h starter) taken(file []byte) (signature []byte) {
	defer func() {
		if recover() != nil {
			signature = nil
		}
	}()
	return h(file)
}

func u16(b []byte, at uint64) uint64 { return uint64(binary.LittleEndian.Uint16(b[at:])) }
func u32(b []byte, at uint64) uint64 { return uint64(binary.LittleEndian.Uint32(b[at:])) }
func u64(b []byte, at uint64) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// cString reads up to a zero.
func cString(b []byte, at uint64) string {
	text, _, _ := strings.Cut(string(b[at:min(uint64(len(b)), at+64)]), "\x00")
	return text
}

// intelTakes follows psw/urts: run_parser, get_meta_property, get_metadata and
// the patches of build_image, which come before the signature is used.
func intelTakes(file []byte, highest, bypassed uint64) []byte {
	if string(file[:7]) != "\x7fELF\x02\x01\x01" || u16(file, 16) != 3 || u16(file, 18) != 62 || u16(file, 54) != 56 {
		return nil
	}
	note := intelSection(file, ".note.sgxmeta")
	if note == 0 {
		return nil
	}
	at, align := u64(file, note+24), u64(file, note+48)
	length := 12 + u32(file, at) + u32(file, at+4)
	if u64(file, note+32) != (length+align-1)&^(align-1) || u32(file, at) != 13 || string(file[at+12:at+25]) != "sgx_metadata\x00" {
		return nil
	}
	var chosen uint64
	for at += 25; at+8 <= uint64(len(file)) && u64(file, at) == 0x86a80294635d0e4c; at += u32(file, at+16) {
		if u32(file, at+16) == 0 {
			return nil
		}
		version := u64(file, at+8)
		generation := version >> 32 % 10
		if generation != bypassed && generation <= highest && (chosen == 0 || u64(file, chosen+8) < version) {
			chosen = at
		}
	}
	if chosen == 0 {
		return nil
	}
	file = bytes.Clone(file)
	patches, size := chosen+u32(file, chosen+1872), u32(file, chosen+1876)
	for p := patches; p < patches+size; p += 32 {
		to, from, n := u64(file, p), chosen+u32(file, p+8), u32(file, p+12)
		copy(file[to:to+n], file[from:from+n])
	}
	return file[chosen+64:][:1808]
}

// intelSection is get_section_by_name: the place of a section header; 0: none.
func intelSection(file []byte, name string) uint64 {
	table := u64(file, 40)
	names := u64(file, table+64*u16(file, 62)+24)
	for i := range u16(file, 60) {
		if at := table + 64*i; cString(file, names+u32(file, at)) == name {
			return at
		}
	}
	return 0
}

// openEnclaveTakes follows host/sgx/loadelf.c: _read_sections, which lets the
// last section count, and the copy of the properties from the loaded image.
func openEnclaveTakes(file []byte) []byte {
	if string(file[:6]) != "\x7fELF\x02\x01" || u16(file, 16) != 3 || u16(file, 18) != 62 || u16(file, 52) != 64 || u16(file, 54) != 56 || u16(file, 58) != 64 {
		return nil
	}
	table := u64(file, 40)
	index := u16(file, 62)
	names := table + 64*index
	start, size := u64(file, names+24), u64(file, names+32)
	if index == 0 || index >= u16(file, 60) || file[start] != 0 || file[start+size-1] != 0 {
		return nil
	}
	var properties uint64
	for i := range u16(file, 60) {
		if at := table + 64*i; u32(file, at) < size && cString(file, start+u32(file, at)) == ".oeinfo" {
			properties = u64(file, at+16)
		}
	}
	memory := openEnclaveImage(file)
	if properties == 0 || memory == nil {
		return nil
	}
	end := properties + u32(memory, properties)
	return memory[end-8-1808 : end-8]
}

// openEnclaveImage is what the segments make of the memory.
func openEnclaveImage(file []byte) []byte {
	memory := make([]byte, 0, imageSize)
	for i := range u16(file, 56) {
		s := u64(file, 32) + 56*i
		if u32(file, s) != 1 {
			continue
		}
		from, to, n, end := u64(file, s+8), u64(file, s+16), u64(file, s+32), u64(file, s+16)+u64(file, s+40)
		if n > u64(file, s+40) || end > 1<<22 {
			return nil
		}
		if missing := int(end) - len(memory); missing > 0 {
			memory = append(memory, make([]byte, missing)...)
		}
		copy(memory[to:], file[from:from+n])
	}
	return memory
}
