package enclave

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/mrelease/mrelease/measure/sgx"
)

// Where a metadata block has what, in bytes (common/inc/internal/metadata.h).
const (
	metadataMagic = 0x86a80294635d0e4c
	atVersion     = 8
	atSize        = 16
	atSSAPages    = 24
	atEnclaveSize = 40
	atSigstruct   = 64
	atDirectories = 1872
	sizeMetadata  = 1888 // without data

	patchTable   = 0 // indices of directories
	layoutTable  = 1
	rangeTable   = 2
	extendTable  = 3
	sizePatch    = 32
	sizeLayout   = 32
	sizeRange    = 24
	sizeExtend   = 16
	maxPatches   = 1 << 10 // real ones have four
	sharedObject = 0x1002  // an extension's id
)

// metadata is one block: how to build the enclave, and its signature.
type metadata struct {
	raw          []byte
	at           uint64 // in the file
	major, minor uint32
	note         span
}

func (m metadata) String() string { return fmt.Sprintf("metadata %d.%d", m.major, m.minor) }

// openIntel measures an enclave of Intel's SDK, once for each metadata block:
// which of them a loader takes depends on its version and on the CPU.
func openIntel(ctx context.Context, f *image, note section) ([]Enclave, error) {
	if f.kind != shared {
		return nil, &sgx.FormatError{Part: "ELF header", Problem: "is not of the type that Intel's loader takes", Offset: 16, Got: fmt.Sprint(f.kind), Want: fmt.Sprint(shared)}
	}
	blocks, err := readMetadata(f, note)
	if err != nil {
		return nil, err
	}
	var all []Enclave
	for _, m := range blocks {
		e, err := m.open(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("measuring %s: %w", m, err)
		}
		all = append(all, e)
	}
	return all, checkSigners(all)
}

// checkSigners refuses blocks of several keys. One run of the SDK's tool signs
// all of them; a further one may hold any enclave of anybody's, which a newer
// loader would start in place of the one before it.
func checkSigners(all []Enclave) error {
	first := all[0].SIGSTRUCT.MRSIGNER()
	for _, e := range all[1:] {
		if got := e.SIGSTRUCT.MRSIGNER(); got != first {
			return &sgx.FormatError{Part: e.Part, Problem: "is signed by another key than " + all[0].Part, Offset: e.Offset, Got: got.String(), Want: first.String()}
		}
	}
	return nil
}

// open measures one block.
func (m metadata) open(ctx context.Context, f *image) (Enclave, error) {
	s, err := sgx.ParseSIGSTRUCT(m.raw[atSigstruct:][:sgx.SIGSTRUCTSize])
	if err != nil {
		return Enclave{}, err
	}
	if m.generation() < 1 || m.generation() > 3 {
		return Enclave{}, &UnmeasurableError{m.String(), "is of a version that is not known here"}
	}
	p, err := m.plan(f)
	if err != nil {
		return Enclave{}, err
	}
	e := Enclave{Part: "Intel SDK " + m.String(), Offset: int64(m.at) + atSigstruct, SIGSTRUCT: s}
	if e.Computed, err = p.measure(ctx, f.work); err != nil {
		return Enclave{}, err
	}
	e.Memory = p.memory()
	e.judge()
	return e, nil
}

// generation is the major version; 10 more of it say that the enclave fixes
// its address range.
func (m metadata) generation() uint32 { return m.major % 10 }

// plan lists the pages in the order of CLoader::build_image.
func (m metadata) plan(f *image) (*plan, error) {
	p := &plan{size: m.enclaveSize(), ssaPages: binary.LittleEndian.Uint32(m.raw[atSSAPages:])}
	if p.ssaPages == 0 || bits.OnesCount64(p.size) != 1 {
		return nil, malformed("sizes", "are refused by the loader", m.at, fmt.Sprintf("SSA frame of %d pages, enclave of %#x bytes", p.ssaPages, p.size))
	}
	if err := m.addSegments(p, f); err != nil {
		return nil, err
	}
	if err := m.addLayout(p); err != nil {
		return nil, err
	}
	if m.major > 10 {
		return p, m.move(p)
	}
	return p, nil
}

func (m metadata) enclaveSize() uint64 { return binary.LittleEndian.Uint64(m.raw[atEnclaveSize:]) }

// table returns what a directory points to. Directories 2 and 3 stand where
// older blocks have data: callers know which they may ask for.
func (m metadata) table(index, record int) ([]byte, error) {
	at := atDirectories + 8*index
	if at+8 > len(m.raw) {
		return nil, malformed("directory", "is missing", m.at+uint64(at), "")
	}
	offset, size := binary.LittleEndian.Uint32(m.raw[at:]), binary.LittleEndian.Uint32(m.raw[at+4:])
	if size%uint32(record) != 0 {
		return nil, malformed("directory", fmt.Sprintf("does not hold records of %d bytes", record), m.at+uint64(at), fmt.Sprint(size))
	}
	return m.data(offset, size)
}

// data returns a part of the block.
func (m metadata) data(offset, size uint32) ([]byte, error) {
	if end := uint64(offset) + uint64(size); end > uint64(len(m.raw)) {
		return nil, malformed("offset", "points outside the block", m.at, fmt.Sprintf("%d bytes at %d", size, offset))
	}
	return m.raw[offset:][:size], nil
}

// move shifts all pages into an address range that is larger than the enclave
// (CLoader::set_elrange_config). The TCS templates are shifted already.
func (m metadata) move(p *plan) error {
	at := atDirectories + 8*rangeTable
	if at+4 > len(m.raw) {
		return malformed("address range", "is missing", m.at, "")
	}
	// Loaders before 2.24 wrote no size beside the offset.
	b, err := m.data(binary.LittleEndian.Uint32(m.raw[at:]), sizeRange)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	image, start, size := le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])
	if start > image || image-start > size || p.size > size-(image-start) || start%pageSize != 0 || image%pageSize != 0 || size > sgx.MaxEnclaveSize {
		return malformed("address range", "does not hold the enclave", m.at, fmt.Sprintf("%#x bytes at %#x, enclave at %#x", size, start, image))
	}
	p.size = size
	for i := range p.regions {
		p.regions[i].at += image - start
	}
	return nil
}

func malformed(part, problem string, at uint64, got string) error {
	return &sgx.FormatError{Part: "SGX metadata " + part, Problem: problem, Offset: int64(at), Got: got}
}
