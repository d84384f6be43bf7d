package enclave

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx"
)

// An Open Enclave image says how to build it in a structure in the section
// .oeinfo (openenclave: include/openenclave/bits/sgx/sgxproperties.h,
// oe_sgx_enclave_properties_t). Its size tells which fields it has: the
// configuration in it grew twice, and moved what stands behind it.
const (
	infoSection = ".oeinfo"
	atHeap      = 8  // pages
	atStack     = 16 // pages of each thread
	atThreads   = 24
	atConfig    = 32
	atFlags     = atConfig + 4 // since 0.17.1: bit 1 is a zero base
	atStart     = 88           // since 0.17.1: the address of the image
	zeroBase    = 1 << 1
	sizeInfo    = 1920 // up to 0.12
	sizeInfoKSS = 1952 // 0.13 to 0.17.0: with family and product ids
	sizeInfoNow = 1960 // since 0.17.1: with a start address
	behindInfo  = 48 + sgx.SIGSTRUCTSize + 8
	maxThreads  = 1 << 14 // the host's own limit is 1024
)

// loader says how a range of Open Enclave's versions builds an enclave, as far
// as they differ.
type loader struct {
	versions     string
	info         uint64 // size of the structure in bytes
	staticNames  bool   // finds its variables in .symtab, not in .dynsym
	clearsHeader bool   // clears the section table's place in the ELF header
	storesEnd    bool   // stores where the last page ends, not the enclave's size
	splitsBases  bool   // points GS at the start of the thread's data, FS at its end
	fixedLocal   bool   // has one page of thread-local data for each thread
	countsOne    bool   // counts one such page in the enclave's size, whatever there is
	jumpTable    bool   // copies .rela.plt behind .rela.dyn
	segmentAlign bool   // aligns thread-local data as the segment says, not the section
}

// loaders are all of them, the latest first.
func loaders() []loader {
	return []loader{
		{versions: "0.17.7 and later", info: sizeInfoNow, jumpTable: true, segmentAlign: true},
		{versions: "0.17.1 to 0.17.6", info: sizeInfoNow, jumpTable: true},
		{versions: "0.16.0 to 0.17.0", info: sizeInfoKSS, jumpTable: true},
		{versions: "0.13 to 0.15", info: sizeInfoKSS, clearsHeader: true},
		{versions: "0.12", info: sizeInfo, clearsHeader: true},
		{versions: "0.11", info: sizeInfo, clearsHeader: true, countsOne: true},
		{versions: "0.10", info: sizeInfo, clearsHeader: true, staticNames: true, fixedLocal: true},
		{versions: "0.8 and 0.9", info: sizeInfo, clearsHeader: true, staticNames: true, fixedLocal: true, storesEnd: true},
		{versions: "0.5 to 0.7", info: sizeInfo, clearsHeader: true, staticNames: true, fixedLocal: true, storesEnd: true, splitsBases: true},
	}
}

// candidate is a way in which an image may have been built.
type candidate struct {
	loader
	places  map[string]uint64 // addresses of the variables that it sets
	reserve uint64            // address range in bytes; 0: what the pages need
}

// openOpenEnclave measures an Open Enclave image. One that is signed and cannot
// be measured is an *UnmeasurableError: its signature alone would say nothing
// about the image.
func openOpenEnclave(ctx context.Context, f *image, info section) (Enclave, error) {
	o, err := readOE(f, info)
	if err != nil {
		return Enclave{}, err
	}
	e := Enclave{Part: "Open Enclave image", Offset: int64(o.sigstruct)}
	e.SIGSTRUCT, err = o.signature()
	var unsigned *UnsignedError
	if errors.As(err, &unsigned) {
		e.Verdict, err = err, nil
	}
	if err == nil {
		err = o.measure(ctx, &e)
	}
	if err == nil && e.SIGSTRUCT != nil && e.Unmeasured != nil {
		err = e.Unmeasured
	}
	e.judge()
	return e, err
}

// measure tries the ways in which the image can have been built until one gives
// what is signed: the file does not say which version made it. If none does,
// the latest counts; so it does for an unsigned image.
func (o *oeImage) measure(ctx context.Context, e *Enclave) error {
	sizes := o.checkSizes()
	if sizes != nil && e.SIGSTRUCT == nil {
		e.Unmeasured = &UnmeasurableError{e.Part, "has the placeholders that it was compiled with in place of sizes"}
		return nil
	}
	candidates, err := o.candidates()
	if err = cmp.Or(sizes, err); err != nil {
		return err
	}
	e.Unmeasured = &UnmeasurableError{e.Part, "lacks variables that the SDK's host sets: another program loads it, with more than is in this file"}
	for i, c := range candidates {
		got, memory, err := o.compute(ctx, c)
		if err != nil {
			return err
		}
		agrees := e.SIGSTRUCT != nil && got == e.SIGSTRUCT.Body().MRENCLAVE
		if agrees || i == 0 {
			e.Part, e.Computed, e.Memory, e.Unmeasured = "Open Enclave image (newest loader that fits: SDK "+c.versions+")", got, memory, nil
		}
		if agrees {
			return nil
		}
		if e.SIGSTRUCT == nil {
			break
		}
	}
	if o.module {
		e.Unmeasured = &UnmeasurableError{"Open Enclave image", "needs a module that is in another file"}
	}
	return nil
}

// candidates are the loaders that could be meant, the latest first: their
// structure has the image's size, and the image has the variables that they
// set.
func (o *oeImage) candidates() ([]candidate, error) {
	var all []candidate
	for _, l := range loaders() {
		if l.info != o.infoSize {
			continue
		}
		places, err := o.symbols(l.staticNames)
		if err != nil {
			return nil, err
		}
		if !o.hasVariables(places) {
			continue
		}
		all = append(all, candidate{l, places, 0})
		if o.heap == 0 && o.stack == 0 && o.threads == 1 {
			all = append(all, candidate{l, places, reserved64G})
		}
	}
	return all, nil
}

// hasVariables reports whether the three variables are there that every image
// has.
func (o *oeImage) hasVariables(places map[string]uint64) bool {
	for _, name := range variableNames()[:3] {
		if place, ok := places[name]; !ok || place > o.size-8 {
			return false
		}
	}
	return true
}

// compute measures the image as one loader does.
func (o *oeImage) compute(ctx context.Context, c candidate) (sgx.MRENCLAVE, *Memory, error) {
	if err := o.checkSegments(); err != nil {
		return sgx.MRENCLAVE{}, nil, err
	}
	p, err := o.plan(c)
	if err != nil {
		return sgx.MRENCLAVE{}, nil, err
	}
	sum, err := p.measure(ctx, o.work)
	return sum, p.memory(), err
}

// oeImage is an Open Enclave image, and what its structure says.
type oeImage struct {
	*image
	loads     []program
	size      uint64 // of the loaded segments, in whole pages
	info      uint64 // address of the structure
	infoSize  uint64
	sigstruct uint64 // its place in the file

	heap, stack, threads uint64 // pages, pages, number
	start                uint64 // address of the image in the enclave's range
	module               bool   // needs a second ELF file

	tlsData, tlsZero section
	tlsAlign         uint64 // of the segment; 0: none
	symbolTable      section
}

func readOE(f *image, info section) (*oeImage, error) {
	o := &oeImage{image: f, info: info.addr}
	for _, read := range []func() error{o.readSegments, o.readInfo, o.readThreadLocal} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	var err error
	o.symbolTable, _, err = f.first(".dynsym")
	return o, err
}

func (o *oeImage) readSegments() (err error) {
	o.loads, err = o.image.loads(loadable)
	for _, s := range o.loads {
		o.size = max(o.size, roundUp(s.addr+s.memSize))
	}
	return err
}

// checkSegments checks what the host checks: the first segment is at 0, and
// they ascend without sharing a page.
func (o *oeImage) checkSegments() error {
	for i, s := range o.loads {
		if i == 0 && s.addr != 0 || i > 0 && roundDown(s.addr) < o.loads[i-1].addr+o.loads[i-1].memSize {
			return &sgx.FormatError{Part: "Open Enclave segment", Problem: "is not at 0 or above the one before it", Offset: int64(s.offset), Got: fmt.Sprintf("%#x", s.addr)}
		}
	}
	return nil
}

// readInfo reads the structure from where it is loaded.
func (o *oeImage) readInfo() error {
	at, b, err := o.properties(atConfig)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	o.heap, o.stack, o.threads = le.Uint64(b[atHeap:]), le.Uint64(b[atStack:]), le.Uint64(b[atThreads:])
	o.infoSize = uint64(le.Uint32(b))
	if o.infoSize != sizeInfo && o.infoSize != sizeInfoKSS && o.infoSize != sizeInfoNow {
		return &UnmeasurableError{"Open Enclave image", fmt.Sprintf("has properties of %d bytes, which no version from 0.5 on writes", o.infoSize)}
	}
	if _, b, err = o.properties(o.infoSize); err != nil {
		return err
	}
	o.sigstruct = at + o.infoSize - 8 - sgx.SIGSTRUCTSize
	if o.infoSize == sizeInfoNow && le.Uint32(b[atFlags:])&zeroBase != 0 {
		o.start = le.Uint64(b[atStart:])
	}
	return nil
}

// properties returns n bytes of the structure, and their place in the file.
func (o *oeImage) properties(n uint64) (uint64, []byte, error) {
	at, err := o.place(o.info, n)
	if err != nil {
		return 0, nil, err
	}
	b, err := o.bytes("Open Enclave properties", at, n)
	return at, b, err
}

func (o *oeImage) checkSizes() error {
	for _, n := range []struct {
		what       string
		got, limit uint64
	}{
		{"heap pages", o.heap, MaxPages}, {"stack pages of a thread", o.stack, MaxPages},
		{"threads", o.threads, maxThreads}, {"start address", o.start, sgx.MaxEnclaveSize},
	} {
		if n.got > n.limit {
			return &sgx.LimitError{What: n.what, Got: n.got, Limit: n.limit}
		}
	}
	return nil
}

// place returns where n bytes of the loaded image stand in the file.
func (o *oeImage) place(addr, n uint64) (uint64, error) {
	for _, s := range o.loads {
		if addr >= s.addr && addr-s.addr <= s.fileSize && n <= s.fileSize-(addr-s.addr) {
			return s.offset + addr - s.addr, nil
		}
	}
	return 0, &sgx.FormatError{Part: "Open Enclave properties", Problem: "are in no segment", Offset: -1, Got: fmt.Sprintf("%d bytes at address %#x", n, addr)}
}

// signature returns the SIGSTRUCT; *UnsignedError when its place is empty.
func (o *oeImage) signature() (*sgx.SIGSTRUCT, error) {
	raw, err := o.bytes("SIGSTRUCT", o.sigstruct, sgx.SIGSTRUCTSize)
	if err != nil {
		return nil, err
	}
	if len(bytes.Trim(raw, "\x00")) == 0 {
		return nil, &UnsignedError{"Open Enclave image", int64(o.sigstruct)}
	}
	return sgx.ParseSIGSTRUCT(raw)
}
