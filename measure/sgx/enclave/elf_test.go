package enclave_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

const (
	page = sgx.PageSize

	readable   = sgx.REGPage | sgx.Read
	code       = sgx.REGPage | sgx.Read | sgx.Execute
	data       = sgx.REGPage | sgx.Read | sgx.Write
	everything = code | data
)

// testKey is the key that signs the test enclaves; see package sgx.
func testKey(t testing.TB) *rsa.PrivateKey { return readKey(t, "../testdata/primes.txt") }

// strangersKey is another one.
func strangersKey(t testing.TB) *rsa.PrivateKey { return readKey(t, "../testdata/stranger.txt") }

func readKey(t testing.TB, file string) *rsa.PrivateKey {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	one, n, phi := big.NewInt(1), big.NewInt(1), big.NewInt(1)
	var primes []*big.Int
	for _, line := range strings.Fields(string(text)) {
		p, _ := new(big.Int).SetString(line, 62)
		primes = append(primes, p)
		n.Mul(n, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: new(big.Int).ModInverse(big.NewInt(3), phi), Primes: primes}
	key.Precompute()
	return key
}

// sign returns a SIGSTRUCT about an MRENCLAVE.
func sign(t testing.TB, m sgx.MRENCLAVE) []byte {
	t.Helper()
	s, err := sgx.Sign(sgx.Body{Date: 0x20250101, MRENCLAVE: m, Attributes: sgx.Attributes{Flags: sgx.Mode64Bit, XFRM: 3}}, testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return s.Bytes()
}

// open opens bytes as a file.
func open(t testing.TB, file []byte) (*enclave.File, error) {
	t.Helper()
	return enclave.Open(t.Context(), bytes.NewReader(file), int64(len(file)))
}

// added is a page of an enclave; without content it is not extended.
type added struct {
	at      uint64
	flags   sgx.PageFlags
	content []byte
}

// mrenclave measures pages block by block, as the processor's manual has it.
func mrenclave(size uint64, ssa uint32, pages []added) sgx.MRENCLAVE {
	h := sha256.New()
	block := func(name string, b []byte) {
		h.Write(append(append([]byte(name), make([]byte, 8-len(name))...), append(b, make([]byte, 56-len(b))...)...))
	}
	le := binary.LittleEndian
	block("ECREATE", le.AppendUint64(le.AppendUint32(nil, ssa), size))
	for _, p := range pages {
		block("EADD", le.AppendUint64(le.AppendUint64(nil, p.at), uint64(p.flags)))
		for i := 0; i < len(p.content); i += sgx.ChunkSize {
			block("EEXTEND", le.AppendUint64(nil, p.at+uint64(i)))
			h.Write(p.content[i : i+sgx.ChunkSize])
		}
	}
	return sgx.MRENCLAVE(h.Sum(nil))
}

// run returns consecutive pages that hold b, from at on; both may begin and end
// inside a page.
func run(at uint64, flags sgx.PageFlags, b []byte) []added {
	lead := at % page
	memory := append(make([]byte, lead), b...)
	memory = append(memory, make([]byte, (page-len(memory)%page)%page)...)
	var pages []added
	for i := 0; i < len(memory); i += page {
		pages = append(pages, added{at - lead + uint64(i), flags, memory[i : i+page]})
	}
	return pages
}

// heap returns pages that are added only.
func heap(at uint64, flags sgx.PageFlags, n int) []added {
	var pages []added
	for i := range n {
		pages = append(pages, added{at + uint64(i)*page, flags, nil})
	}
	return pages
}

// noise is content that differs everywhere.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) ^ byte(i>>8) ^ seed
	}
	return b
}

// segment is a program header.
type segment struct {
	kind, flags             uint32
	offset, addr, file, mem uint64
	align                   uint64
}

// section is a section header.
type section struct {
	name               string
	kind               uint32
	addr, offset, size uint64
	align, entry       uint64
}

// elfFile is a small ELF writer.
type elfFile struct {
	bytes    []byte
	kind     uint16 // 0: shared object
	entry    uint64
	segments []segment
	sections []section
}

func (f *elfFile) put(at uint64, b []byte) {
	if missing := int(at) + len(b) - len(f.bytes); missing > 0 {
		f.bytes = append(f.bytes, make([]byte, missing)...)
	}
	copy(f.bytes[at:], b)
}

// load adds a loadable segment: 4 is read, 2 write, 1 execute.
func (f *elfFile) load(flags uint32, offset, addr uint64, content []byte, mem uint64) {
	f.put(offset, content)
	f.segments = append(f.segments, segment{1, flags, offset, addr, uint64(len(content)), mem, page})
}

// append adds a section that is not loaded.
func (f *elfFile) append(name string, kind uint32, content []byte, entry uint64) {
	s := section{name: name, kind: kind, offset: uint64(len(f.bytes)), size: uint64(len(content)), align: 1, entry: entry}
	f.put(s.offset, content)
	f.sections = append(f.sections, s)
}

// finish writes the header and both tables.
func (f *elfFile) finish() []byte {
	le := binary.LittleEndian
	var programs, sections []byte
	for _, s := range f.segments {
		programs = le.AppendUint32(le.AppendUint32(programs, s.kind), s.flags)
		for _, n := range []uint64{s.offset, s.addr, s.addr, s.file, s.mem, s.align} {
			programs = le.AppendUint64(programs, n)
		}
	}
	f.append(".shstrtab", 3, nil, 0)
	names := []byte{0}
	all := append([]section{{}}, f.sections...)
	all[len(all)-1].offset = uint64(len(f.bytes))
	for i, s := range all {
		sections = le.AppendUint32(le.AppendUint32(sections, uint32(len(names))), s.kind)
		if i == len(all)-1 {
			s.size = uint64(len(names) + len(s.name) + 1)
		}
		for _, n := range []uint64{0, s.addr, s.offset, s.size, 0, s.align, s.entry} {
			sections = le.AppendUint64(sections, n)
		}
		names = append(append(names, s.name...), 0)
	}
	f.put(uint64(len(f.bytes)), names)
	table := uint64(len(f.bytes)+7) &^ 7
	f.put(table, sections)
	f.put(64, programs)
	h := append([]byte("\x7fELF\x02\x01\x01"), make([]byte, 57)...)
	kind := f.kind
	if kind == 0 {
		kind = 3
	}
	le.PutUint16(h[16:], kind)
	le.PutUint16(h[18:], 62)
	le.PutUint32(h[20:], 1)
	le.PutUint64(h[24:], f.entry)
	le.PutUint64(h[32:], 64)
	le.PutUint64(h[40:], table)
	for i, n := range []uint16{64, 56, uint16(len(f.segments)), 64, uint16(len(all)), uint16(len(all) - 1)} {
		le.PutUint16(h[52+2*i:], n)
	}
	f.put(0, h)
	return f.bytes
}

// rela is a relocation record.
func rela(place uint64, symbol, kind uint32, addend uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, place)
	b = binary.LittleEndian.AppendUint64(b, uint64(symbol)<<32|uint64(kind))
	return binary.LittleEndian.AppendUint64(b, addend)
}

func words(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// expectProven fails unless all ways to load the file measure to want.
func expectProven(t *testing.T, file []byte, want ...sgx.MRENCLAVE) *enclave.File {
	t.Helper()
	f, err := open(t, file)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Enclaves) != len(want) {
		t.Fatalf("%d enclaves, want %d: %+v", len(f.Enclaves), len(want), f.Enclaves)
	}
	for i, e := range f.Enclaves {
		if !e.Proven() || e.Computed != want[i] {
			t.Errorf("%s: %s, proven %t: %v, %v, want %s", e.Part, e.Computed, e.Proven(), e.Verdict, e.Unmeasured, want[i])
		}
	}
	if err := f.Verdict(); err != nil {
		t.Error(err)
	}
	return f
}

// canceled is a context that has ended.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// concat joins runs of pages.
func concat(runs ...[]added) []added { return slices.Concat(runs...) }
