package enclave_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// sgxs writes the blocks of a stream.
type sgxs []byte

func (s *sgxs) block(tag string, numbers ...uint64) {
	block := make([]byte, 64)
	copy(block, tag)
	for i, n := range numbers {
		binary.LittleEndian.PutUint64(block[8+8*i:], n)
	}
	*s = append(*s, block...)
}

func (s *sgxs) create(size uint64, ssaPages uint32) {
	block := make([]byte, 64)
	copy(block, "ECREATE")
	binary.LittleEndian.PutUint32(block[8:], ssaPages)
	binary.LittleEndian.PutUint64(block[12:], size)
	*s = append(*s, block...)
}

// page adds one with a number of chunks that are measured, and of others that are not.
func (s *sgxs) page(at uint64, flags sgx.PageFlags, measured, loaded int, begin ...byte) {
	s.block("EADD", at, uint64(flags))
	for i := range measured + loaded {
		tag := "EEXTEND"
		if i >= measured {
			tag = "UNMEASRD"
		}
		chunk := make([]byte, sgx.ChunkSize)
		if i == 0 {
			copy(chunk, begin)
		}
		s.block(tag, at+uint64(i)*sgx.ChunkSize)
		*s = append(*s, chunk...)
	}
}

// tcs is the begin of a thread's control structure.
func tcs(ssa uint64, frames uint32) []byte {
	begin := make([]byte, 64)
	binary.LittleEndian.PutUint64(begin[16:], ssa)
	binary.LittleEndian.PutUint32(begin[28:], frames)
	return begin
}

// A stream tells the enclave's size, what its pages may and whether their content counts,
// and by the threads' control structures where state is saved.
func TestMemoryOfAStream(t *testing.T) {
	const page = sgx.PageSize
	code, data := sgx.REGPage|sgx.Read|sgx.Execute, sgx.REGPage|sgx.Read|sgx.Write
	var s sgxs
	s.create(64*page, 2)
	s.page(0, code, 16, 0)
	s.page(page, code, 16, 0)
	s.page(2*page, code, 3, 0)
	s.page(3*page, code, 3, 13)
	s.page(4*page, data, 0, 16)
	for at := uint64(5); at < 15; at++ {
		s.page(at*page, data, 0, 0)
	}
	s.page(15*page, sgx.TCSPage, 16, 0, tcs(6*page, 2)...)          // pages 6 to 9
	s.page(16*page, sgx.TCSPage, 16, 0, tcs(9*page, 1)...)          // 9 and 10
	s.page(17*page, sgx.TCSPage, 16, 0, tcs(13*page, 1)...)         // 13, 14
	s.page(18*page, sgx.TCSPage, 16, 0, tcs(63*page, 1)...)         // beyond the end
	s.page(19*page, sgx.TCSPage, 16, 0, tcs(8*page, 1<<32-1)...)    // likewise
	s.page(20*page, sgx.TCSPage, 16, 0, tcs(6*page+1, 1)...)        // inside a page
	s.page(21*page, sgx.TCSPage, 16, 0, tcs(^uint64(0)-4095, 1)...) // beyond all
	f, err := enclave.Open(t.Context(), bytes.NewReader(s), int64(len(s)))
	if err != nil {
		t.Fatal(err)
	}
	m := f.Enclaves[0].Memory
	var got []string
	for _, r := range m.Map {
		got = append(got, fmt.Sprintf("%d+%d %s %t %t %t %s", r.At/page, r.Size/page, r.Pages, r.Measured, r.Partly, r.Loaded, r.Part))
	}
	want := []string{
		"0+2 r-x true false false ", "2+1 r-x false true false ", "3+1 r-x false true true ", "4+1 rw- false false true ",
		"5+1 rw- false false false ", "6+5 rw- false false false saved state", "11+2 rw- false false false ", "13+2 rw- false false false saved state",
		"15+7 tcs true false false ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the map is\n%q, want\n%q", got, want)
	}
	if m.Size != 64*page || m.Threads != 7 || m.Pages["r-x"] != 4 || m.Pages["rw-"] != 11 || m.Pages["tcs"] != 7 || m.Untold == "" {
		t.Errorf("%+v", m)
	}
	lines := f.Enclaves[0].Report().Lines()
	for _, line := range []string{
		"size 256 KiB, threads 7, frames of saved state of 8 KiB; an SGXS stream does not tell heap and stack from other pages",
		"pages of 4 KiB: 4 r-x, 11 rw-, 7 tcs",
		"0x000000003000        4 KiB r-x measured in part, the rest loaded",
		"0x000000006000       20 KiB rw- content not measured saved state",
	} {
		if !slices.Contains(lines, line) {
			t.Errorf("%q is not among %q", line, lines)
		}
	}
}

// A map with more runs than any loader makes is cut, and what is counted is not.
func TestMemoryOfAStreamWithoutEnd(t *testing.T) {
	const runs = enclave.MaxRegions + 10
	var s sgxs
	s.create(1<<32, 1)
	for i := range uint64(runs) {
		s.page(2*i*sgx.PageSize, sgx.REGPage|sgx.Read, 0, 0)
	}
	f, err := enclave.Open(t.Context(), bytes.NewReader(s), int64(len(s)))
	if err != nil {
		t.Fatal(err)
	}
	if m := f.Enclaves[0].Memory; !m.Cut || len(m.Map) != enclave.MaxRegions || m.Pages["r--"] != runs {
		t.Errorf("%t, %d runs, %v", m.Cut, len(m.Map), m.Pages)
	}
}
