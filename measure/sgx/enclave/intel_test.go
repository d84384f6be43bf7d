package enclave_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

func TestIntel(t *testing.T) {
	file, want := standard(t, 10)
	f := expectProven(t, file, want...)
	if f.Kind != enclave.KindIntel || f.Enclaves[0].Part != "Intel SDK metadata 1.5" || !bytes.HasPrefix(file[f.Enclaves[0].Offset:], []byte("\x06\x00\x00\x00\xe1")) {
		t.Errorf("%s: %+v", f.Kind, f.Enclaves)
	}
}

func TestIntelWithSeveralBlocks(t *testing.T) {
	old, now := intelBlock(3), intelBlock(7)
	now.version, now.ssa = 3<<32|1, 2
	file, want := intelFile(t, intelBase(), func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(now.size, 2, intelPages(f, now, 7)), mrenclave(old.size, 1, intelPages(f, old, 3))}
	}, now, old)
	expectProven(t, file, want...)
}

// An enclave may begin above the start of its address range.
func TestIntelWithAddressRange(t *testing.T) {
	b := intelBlock(4)
	b.version, b.size = 13<<32|1, 1<<24
	b.addressing = []uint64{0x41000000, 0x40000000, 1 << 30}
	file, want := intelFile(t, intelBase(), func(f *elfFile) []sgx.MRENCLAVE {
		pages := intelPages(f, b, 4)
		for i := range pages {
			pages[i].at += 0x1000000
		}
		return []sgx.MRENCLAVE{mrenclave(1<<30, 1, pages)}
	}, b)
	expectProven(t, file, want...)
}

// Text relocations make pages writable, also the next one if they reach it.
func TestIntelWithTextRelocations(t *testing.T) {
	f := &elfFile{}
	f.load(4, 0, 0, noise(0x2000, 1), 0x2000)
	f.load(5, 0x2000, 0x4000, noise(0x5000, 2), 0x5000)
	f.load(6, 0x7000, 0xa000, noise(0x1000, 3), 0x1000)
	plain := bytes.Join([][]byte{rela(0x4ff8, 0, 8, 0), rela(0x7100, 0, 0, 0), rela(0xa010, 0, 8, 0)}, nil)
	jumps := rela(0x5ffc, 1, 7, 0)
	f.dynamic(0x1000, 7, 0x1800, 8, uint64(len(plain)), 9, 24, 23, 0x1900, 2, uint64(len(jumps)), 22, 0)
	f.put(0x1800, plain)
	f.put(0x1900, jumps)
	f.sections = append(f.sections, section{name: ".rela.dyn", kind: 4, addr: 0x1800, offset: 0x1800, size: 1}, section{name: ".rela.plt", kind: 4, addr: 0x1900, offset: 0x1900, size: 1})
	b := block{version: 2<<32 | 4, ssa: 1, size: 1 << 20}
	file, want := intelFile(t, f, func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(b.size, 1, concat(
			run(0, readable, f.bytes[:0x2000]),
			run(0x4000, everything, f.bytes[0x2000:0x5000]), // 0x4ff8, and 0x5ffc with four bytes on the next page
			run(0x7000, code, f.bytes[0x5000:0x7000]),       // 0x7100 is of type NONE
			run(0xa000, data, f.bytes[0x7000:0x8000])))}
	}, b)
	expectProven(t, file, want...)
}

// SDK 1.5 rounded the size of a segment before it added the address.
func TestIntelMetadata13(t *testing.T) {
	f := &elfFile{}
	f.load(5, 0, 0, noise(0x1800, 1), 0x1800)       // at address 0 the rounding is ignored
	f.load(6, 0x2f00, 0x5f00, noise(0x80, 2), 0x80) // adds the page at 0x6000
	f.load(6, 0x3000, 0x9000, noise(0x100, 3), 0x1100)
	f.load(6, 0x4f80, 0xcf80, noise(0x40, 4), 0x40) // adds the page at 0xd000
	f.dynamic(0x1000)
	b := block{version: 1<<32 | 3, ssa: 1, size: 1 << 20, layouts: layout(eadd, 1, 0x10000, 0, 0, data)}
	file, want := intelFile(t, f, func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(b.size, 1, concat(
			run(0, code, f.bytes[:0x1800]),
			run(0x5f00, data, f.bytes[0x2f00:0x2f80]),
			run(0x6000, data, make([]byte, page)),
			run(0x9000, data, append(bytes.Clone(f.bytes[0x3000:0x3100]), make([]byte, 0x1000)...)),
			run(0xcf80, data, f.bytes[0x4f80:0x4fc0]),
			run(0xd000, data, make([]byte, page)),
			heap(0x10000, data, 1)))}
	}, b)
	expectProven(t, file, want...)
}

// A FIPS module is a second ELF file behind the first.
func TestIntelWithAppendedModule(t *testing.T) {
	module := &elfFile{}
	module.load(4, 0, 0, noise(0x800, 5), 0x800)
	module.load(6, 0x1010, 0x2010, noise(0x20, 6), 0x2000)
	module.dynamic(0x400)
	second := module.finish()
	f := intelBase()
	f.append(".module", 1, second, 0)
	offset := f.sections[len(f.sections)-1].offset
	b := block{version: 3<<32 | 3, ssa: 1, size: 1 << 20}
	b.content = words(offset, 0x20000, uint64(len(second)), 0)
	b.extensions = append(words(32<<32|0x1001, 1), words(32<<32|0x1002, contentAt)...)
	file, want := intelFile(t, f, func(f *elfFile) []sgx.MRENCLAVE {
		return []sgx.MRENCLAVE{mrenclave(b.size, 1, concat(
			run(0, readable, f.bytes[:0x2000]),
			run(0x5000, code, f.bytes[0x2000:0x3234]),
			run(0x8080, data, append(bytes.Clone(f.bytes[0x4080:0x5580]), make([]byte, 0x3f00-0x1500)...)),
			run(0x20000, readable, second[:0x800]),
			run(0x22010, data, append(bytes.Clone(second[0x1010:0x1030]), make([]byte, 0x2000-0x20)...))))}
	}, b)
	expectProven(t, file, want...)
}

func TestIntelRefuses(t *testing.T) {
	change := func(f func(b *block)) func(f *elfFile, b *block) { return func(_ *elfFile, b *block) { f(b) } }
	for name, tt := range map[string]struct {
		change func(f *elfFile, b *block)
		limit  bool
	}{
		"no SSA":                {change(func(b *block) { b.ssa = 0 }), false},
		"odd size":              {change(func(b *block) { b.size-- }), false},
		"huge size":             {change(func(b *block) { b.size = 1 << 47 }), true},
		"page outside":          {change(func(b *block) { b.size = 1 << 18 }), false},
		"half a record":         {change(func(b *block) { b.wrongRecord = 8 }), false},
		"table outside":         {change(func(b *block) { b.wrongRecord = 1 << 20 }), false},
		"group of too many":     {change(func(b *block) { b.layouts = append(b.layouts, group(100, 1, page)...) }), false},
		"group of groups":       {change(func(b *block) { b.layouts = append(b.layouts, group(9, 1, page)...) }), false},
		"endless group":         {change(func(b *block) { b.layouts = append(b.layouts, group(1, 1<<31, 0)...) }), true},
		"group out of space":    {change(func(b *block) { b.layouts = append(b.layouts, group(1, 3, 1<<40)...) }), false},
		"overlap":               {change(func(b *block) { b.layouts = append(b.layouts, layout(eadd, 1, 0x8000, 0, 0, data)...) }), false},
		"absurd heap":           {change(func(b *block) { b.size, b.layouts = 1<<44, layout(eadd, 1<<29, 1<<36, 0, 0, data) }), true},
		"absurd measured pages": {change(func(b *block) { b.layouts = append(b.layouts, layout(3, 1<<23, 1<<36, 0, 0, data)...) }), true},
		"overflowing address":   {change(func(b *block) { b.layouts = append(b.layouts, layout(eadd, 1, ^uint64(0xfff), 0, 0, data)...) }), false},
		"page type":             {change(func(b *block) { b.layouts = append(b.layouts, layout(eadd, 1, 0x200000, 0, 0, 0x300)...) }), false},
		"content outside":       {change(func(b *block) { b.layouts = append(b.layouts, layout(3, 1, 0x200000, 64, 1<<30, data)...) }), false},
		"content too long":      {change(func(b *block) { b.layouts = append(b.layouts, layout(3, 1, 0x200000, 5000, contentAt, data)...) }), false},
		"TCS too long":          {change(func(b *block) { b.layouts = append(b.layouts, layout(3, 1, 0x200000, 5000, contentAt, sgx.TCSPage)...) }), false},
		"patch outside":         {change(func(b *block) { b.patches = patch(1<<40, contentAt, 8) }), false},
		"patch from outside":    {change(func(b *block) { b.patches = patch(0, 1<<30, 8) }), false},
		"many patches":          {change(func(b *block) { b.patches = bytes.Repeat(b.patches, 600) }), true},
		"no address range":      {change(func(b *block) { b.version = 11<<32 | 5 }), false},
		"range too small":       {change(func(b *block) { b.version, b.addressing = 11<<32|5, []uint64{0x1000, 0, 1 << 40} }), false},
		"segment outside":       {func(f *elfFile, b *block) { f.segments[1].file = 1 << 40; f.segments[1].mem = 1 << 40 }, false},
		"segment too short":     {func(f *elfFile, b *block) { f.segments[1].mem = 5 }, false},
		"segments overlap":      {func(f *elfFile, b *block) { f.segments[1].addr = 0x1000 }, false},
		"segment of 2^60":       {func(f *elfFile, b *block) { f.segments[2].mem = 1 << 60 }, true},
		"segment of 2^44":       {func(f *elfFile, b *block) { f.segments[2].mem, b.size = 1<<44, 1<<46 }, true},
		"no permissions":        {func(f *elfFile, b *block) { f.segments[1].flags = 0 }, false},
		"executable":            {func(f *elfFile, b *block) { f.kind = 2 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, b := intelBase(), intelBlock(10)
			tt.change(f, &b)
			file, _ := intelFile(t, f, func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			got, err := open(t, file)
			var format *sgx.FormatError
			var limit *sgx.LimitError
			if isLimit := errors.As(err, &limit); isLimit != tt.limit || !isLimit && !errors.As(err, &format) {
				t.Errorf("%+v, error = %v (%T)", got, err, err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
				t.Errorf("%d bytes were allocated", after.TotalAlloc-before.TotalAlloc)
			}
		})
	}
}

func TestIntelUnsignedAndUnknown(t *testing.T) {
	f := intelBase()
	f.append(".note.sgxmeta", 7, note(make([]byte, 4096)), 0)
	var unsigned *enclave.UnsignedError
	if _, err := open(t, f.finish()); !errors.As(err, &unsigned) {
		t.Errorf("unsigned enclave: %v", err)
	}
	b := intelBlock(1)
	b.version = 4 << 32
	file, _ := intelFile(t, intelBase(), func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
	var cannot *enclave.UnmeasurableError
	if got, err := open(t, file); !errors.As(err, &cannot) {
		t.Errorf("metadata of a later version: %+v, %v", got, err)
	}
}

// Each byte of the loaded segments, of the layout and of the signature counts.
func TestChangedIntelEnclaves(t *testing.T) {
	file, _ := standard(t, 10)
	noteAt := bytes.Index(file, []byte("sgx_metadata")) + 13
	for at := 0; at < len(file); at += 11 {
		loaded := at >= 0x2000 && at < 0x3234 && (at < 0x2ffc || at >= 0x3004) || at >= 0x4080 && at < 0x5580
		signed := at >= noteAt+64 && at < noteAt+64+sgx.SIGSTRUCTSize
		changed := bytes.Clone(file)
		changed[at] ^= 0x10
		f, err := open(t, changed)
		if (loaded || signed) && err == nil && f.Enclaves[0].Proven() {
			t.Fatalf("byte %#x does not count", at)
		}
		var mismatch *enclave.MismatchError
		if loaded && (err != nil || !errors.As(f.Verdict(), &mismatch) || mismatch.Computed == mismatch.Signed) {
			t.Fatalf("byte %#x: %v", at, err)
		}
	}
}
