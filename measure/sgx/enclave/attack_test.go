package enclave_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// places are where a file has what an attacker changes.
type places struct {
	note    int // the note, with its header
	section int // its section header
	block   int // its first metadata block
}

func placesOf(file []byte) places {
	p := places{note: bytes.Index(file, []byte("sgx_metadata\x00")) - 12}
	table, count := u64(file, 40), u16(file, 60)
	for i := range count {
		if at := table + 64*i; u64(file, at+24) == uint64(p.note) {
			p.section = int(at)
		}
	}
	p.block = p.note + 25
	return p
}

// grow adds to a 32-bit number.
func grow(file []byte, at, by int) {
	binary.LittleEndian.PutUint32(file[at:], binary.LittleEndian.Uint32(file[at:])+uint32(by))
}

// twoBlocks is an enclave with a block of metadata 1.5 and one of 3.3 behind
// it, both signed, and the length of the second one: a multiple of 256, so that
// one byte of a length is enough to leave it out.
func twoBlocks(t testing.TB) ([]byte, int) {
	t.Helper()
	old, now := intelBlock(3), intelBlock(7)
	now.version = 3<<32 | 3
	now.extensions = make([]byte, 256-len(now.encode(nil))%256)
	file, _ := intelFile(t, intelBase(), func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(old.size, 1, intelPages(f, old, 3)), mrenclave(now.size, 1, intelPages(f, now, 7))}
	}, old, now)
	return file, len(now.encode(nil))
}

// Each of these files has a signature that a loader takes and a reader of the
// note alone does not see.
func TestAttackOtherEnclaveBehindTheHonestOne(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T) []byte{
		"note and section made shorter than what the loader walks": func(t *testing.T) []byte {
			file, second := twoBlocks(t)
			p := placesOf(file)
			grow(file, p.note+4, -second-64)
			grow(file, p.section+32, -second-64)
			return file
		},
		"first block made longer, so that it ends where another begins": func(t *testing.T) []byte {
			file, second := twoBlocks(t)
			p := placesOf(file)
			first := int(u32(file, uint64(p.block)+16))
			const gap = 8
			file = append(file[:p.block+first], append(make([]byte, gap), file[p.block+first:]...)...)
			shiftTables(file, gap)
			p = placesOf(file)
			grow(file, p.note+4, -second-64)
			grow(file, p.section+32, -second-64)
			grow(file, p.block+16, gap)
			return file
		},
		"patch of the signature": func(t *testing.T) []byte {
			b := intelBlock(4)
			return patchedInto(t, b, 64, sign(t, sgx.MRENCLAVE{1}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := attack(t)
			f, err := open(t, file)
			var format *sgx.FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%+v, %v", f, err)
			}
			honest := file[placesOf(file).block+64:][:sgx.SIGSTRUCTSize]
			other := false
			for _, s := range starters() {
				taken := s.taken(file)
				other = other || taken != nil && !bytes.Equal(taken, honest)
			}
			if !other {
				t.Error("no loader takes another signature: the attack is none")
			}
		})
	}
}

// A patch of the layout changes which pages are added.
func TestAttackPatchOfTheLayout(t *testing.T) {
	b := intelBlock(4)
	record := layout(eadd, 900, 0x200000, 0, 0, data)
	file := patchedInto(t, b, contentAt+len(b.content)+len(b.patches)+32, record)
	var format *sgx.FormatError
	if f, err := open(t, file); !errors.As(err, &format) {
		t.Errorf("%+v, %v", f, err)
	}
}

// shiftTables moves the section table, and what stands behind the note, by some
// bytes that were inserted in the note.
func shiftTables(file []byte, by int) {
	le := binary.LittleEndian
	table := le.Uint64(file[40:]) + uint64(by)
	le.PutUint64(file[40:], table)
	note := uint64(bytes.Index(file, []byte("sgx_metadata\x00")) - 12)
	for i := range u16(file, 60) {
		if at := table + 64*i; u64(file, at+24) > note {
			le.PutUint64(file[at+24:], u64(file, at+24)+uint64(by))
		}
	}
	grow(file, int(note)+4, by)
	grow(file, placesOf(file).section+32, by)
}

// patchedInto gives the block one more patch, which writes over the block
// itself once the loader has chosen it.
func patchedInto(t *testing.T, b block, at int, content []byte) []byte {
	t.Helper()
	f := intelBase()
	from := contentAt + len(b.content)
	b.content = append(b.content, content...)
	b.patches = append(b.patches, patch(0, uint32(from), uint32(len(content)))...)
	plain := len(b.patches) - 32
	var to int
	file, _ := intelFile(t, f, func(f *elfFile) []sgx.MRENCLAVE {
		to = bytes.Index(f.bytes, []byte("sgx_metadata\x00")) + 13 + at
		return []sgx.MRENCLAVE{mrenclave(b.size, 1, intelPages(f, intelBlock(4), 4))}
	}, b)
	if at > contentAt {
		to += len(content) + 32
	}
	table := placesOf(file).block + contentAt + len(b.content) + plain
	binary.LittleEndian.PutUint64(file[table:], uint64(to))
	return file
}

// What a note says about itself must agree with what the file says about it.
func TestAttackNoteThatDisagreesWithItsSection(t *testing.T) {
	for name, change := range map[string]func(file []byte, p places){
		"note shorter":          func(file []byte, p places) { grow(file, p.note+4, -8) },
		"note longer":           func(file []byte, p places) { grow(file, p.note+4, 8) },
		"section shorter":       func(file []byte, p places) { grow(file, p.section+32, -8) },
		"section longer":        func(file []byte, p places) { grow(file, p.section+32, 8) },
		"section's alignment 0": func(file []byte, p places) { file[p.section+48] = 0 },
		"block beyond the note": func(file []byte, p places) { grow(file, p.block+16, 65) },
		"block too short":       func(file []byte, p places) { file[p.block+16], file[p.block+17] = 0, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := standard(t, 3)
			change(file, placesOf(file))
			var format *sgx.FormatError
			if f, err := open(t, file); !errors.As(err, &format) {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
}

// A block that another key signed is another's enclave, wherever it stands.
func TestAttackBlockOfAnotherSigner(t *testing.T) {
	file, second := twoBlocks(t)
	if f, err := open(t, file); err != nil || len(f.Enclaves) != 2 || f.Verdict() != nil {
		t.Fatalf("as signed: %+v, %v", f, err)
	}
	p := placesOf(file)
	at := p.block + int(u32(file, uint64(p.block)+16))
	s, err := sgx.ParseSIGSTRUCT(file[at+64:][:sgx.SIGSTRUCTSize])
	if err != nil || second == 0 {
		t.Fatal(err)
	}
	stranger, err := sgx.Sign(s.Body(), strangersKey(t))
	if err != nil {
		t.Fatal(err)
	}
	copy(file[at+64:], stranger.Bytes())
	var format *sgx.FormatError
	if f, err := open(t, file); !errors.As(err, &format) || format.Got != stranger.MRSIGNER().String() {
		t.Errorf("%+v, %v", f, err)
	}
}

// A file that two loaders know, or two sections of one mark, are two enclaves.
func TestAttackTwoMarks(t *testing.T) {
	m, h := latest()
	for name, change := range map[string]func(f *elfFile){
		"both SDKs":       func(f *elfFile) { f.append(".note.sgxmeta", 7, note(intelBlock(3).encode(nil)), 0) },
		"two of .oeinfo":  func(f *elfFile) { f.append(".oeinfo", 1, m.info(), 0) },
		"an unnamed note": func(f *elfFile) { f.append(".note.sgxmeta", 7, nil, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			m := m
			m.change = change
			file, _ := m.signed(t, h)
			var format *sgx.FormatError
			if f, err := open(t, file); !errors.As(err, &format) {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
	f, b := intelBase(), intelBlock(3)
	f.append(".note.sgxmeta", 7, note(b.encode(sign(t, sgx.MRENCLAVE{1}))), 0)
	file, _ := intelFile(t, f, func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
	var format *sgx.FormatError
	if f, err := open(t, file); !errors.As(err, &format) {
		t.Errorf("two notes: %+v, %v", f, err)
	}
}

// An enclave whose code was changed is refused for that, or for what else was
// changed to get it past the measurement; never taken for a file of which only
// the signature can be checked.
func TestAttackDowngradeToTheSignature(t *testing.T) {
	intel, _ := standard(t, 3)
	m, h := latest()
	oe, _ := m.signed(t, h)
	intel[0x2010] ^= 1
	oe[0x2010] ^= 1
	names := func(file []byte) int { return int(u64(file, u64(file, 40)+64*u16(file, 62)+24)) }
	for name, attack := range map[string]struct {
		file   []byte
		change func(file []byte)
	}{
		"Intel: nothing else":             {intel, func([]byte) {}},
		"Intel: e_shstrndx 0":             {intel, func(file []byte) { file[62] = 0 }},
		"Intel: e_shstrndx too high":      {intel, func(file []byte) { file[62]++ }},
		"Intel: a letter of the section":  {intel, func(file []byte) { file[names(file)+bytes.Index(file[names(file):], []byte(".note.sgxmeta"))+3] ^= 1 }},
		"Intel: the ELF magic":            {intel, func(file []byte) { file[0] = 0x7e }},
		"Intel: no section table":         {intel, func(file []byte) { file[60] = 0 }},
		"Intel: section named elsewhere":  {intel, func(file []byte) { file[placesOf(file).section]++ }},
		"Intel: a Windows stub":           {intel, func(file []byte) { copy(file, "MZ") }},
		"OE: nothing else":                {oe, func([]byte) {}},
		"OE: size of .oeinfo":             {oe, func(file []byte) { file[infoAt]++ }},
		"OE: a letter of .oeinfo":         {oe, func(file []byte) { file[names(file)+bytes.Index(file[names(file):], []byte(".oeinfo"))+3] ^= 1 }},
		"OE: a letter of _enclave_rva":    {oe, func(file []byte) { file[bytes.Index(file, []byte("_enclave_rva"))+3] ^= 1 }},
		"OE: a dynamic tag 5 to 1":        {oe, func(file []byte) { file[dynamicAt] = 1 }},
		"OE: the ELF magic":               {oe, func(file []byte) { file[3] = 'G' }},
		"OE: e_shstrndx 0":                {oe, func(file []byte) { file[62] = 0 }},
		"OE: size and name of .oeinfo":    {oe, func(file []byte) { file[infoAt]++; file[62] = 0 }},
		"OE: type in the properties, too": {oe, func(file []byte) { file[infoAt+4]++; file[62] = 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			file := bytes.Clone(attack.file)
			attack.change(file)
			f, err := open(t, file)
			if err == nil && f.Verdict() == nil {
				t.Errorf("nothing speaks against it: %+v", f)
			}
		})
	}
}

// proven reports whether nothing of the file is in doubt.
func proven(f *enclave.File, err error) bool {
	if err != nil || f.Verdict() != nil {
		return false
	}
	for _, e := range f.Enclaves {
		if !e.Proven() {
			return false
		}
	}
	return true
}
