package enclave_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

func storesSize(_, size uint64) uint64 { return size }
func storesEnd(end, _ uint64) uint64   { return end }

// versions are images and hosts of all versions that differ.
func versions() map[string]struct {
	image
	host
} {
	now := image{infoSize: 1960, heap: 40, stack: 3, threads: 2, jumpTable: true, segmentAlign: 64}
	middle, old := now, now
	middle.infoSize, old.infoSize = 1952, 1920
	static, zero, base, bare := old, now, now, now
	static.static = true
	zero.start = 0x20000
	base.heap, base.stack, base.threads = 0, 0, 1
	bare.noLocal, bare.drop = true, "_td_from_tcs_offset"
	latest := host{dataAlign: 64, local: 1, counted: 1, stored: storesSize, plt: true}
	before := latest
	before.dataAlign = 16
	clearing := before
	clearing.clears, clearing.plt = true, false
	none := latest
	none.local, none.counted = 0, 0
	none11, fixed := clearing, clearing
	none11.local = 0
	fixed.noOffset = true
	end := fixed
	end.stored = storesEnd
	split := end
	split.splits = true
	without11 := old
	without11.noLocal, without11.heap = true, 30 // fills the address range without the page that is counted
	type both = struct {
		image
		host
	}
	return map[string]both{
		"0.17.7 and later":      {now, latest},
		"zero base":             {zero, latest},
		"no thread-local data":  {bare, none},
		"extended when started": {base, latest},
		"0.17.1 to 0.17.6":      {now, before},
		"0.16.0 to 0.17.0":      {middle, before},
		"0.13 to 0.15":          {middle, clearing},
		"0.12":                  {old, clearing},
		"0.11":                  {without11, none11},
		"0.10":                  {static, fixed},
		"0.8 and 0.9":           {static, end},
		"0.5 to 0.7":            {static, split},
	}
}

func TestOpenEnclave(t *testing.T) {
	for name, v := range versions() {
		t.Run(name, func(t *testing.T) {
			file, want := v.signed(t, v.host)
			f := expectProven(t, file, want)
			if strings.HasPrefix(name, "0.") && f.Enclaves[0].Part != "Open Enclave image (newest loader that fits: SDK "+name+")" || f.Kind != enclave.KindOpenEnclave {
				t.Errorf("%s: %s", f.Kind, f.Enclaves[0].Part)
			}
		})
	}
}

func latest() (image, host) {
	v := versions()["0.17.7 and later"]
	return v.image, v.host
}

func TestUnsignedOpenEnclave(t *testing.T) {
	m, h := latest()
	_, want := m.signed(t, h)
	f, err := open(t, m.write().finish())
	var unsigned *enclave.UnsignedError
	if err != nil || f.Enclaves[0].Computed != want || f.Enclaves[0].Unmeasured != nil || !errors.As(f.Verdict(), &unsigned) {
		t.Errorf("%+v, %v, want the MRENCLAVE %s and no signature", f, err, want)
	}
	m.threads = 65535
	f, err = open(t, m.write().finish())
	var cannot *enclave.UnmeasurableError
	if err != nil || !errors.As(f.Enclaves[0].Unmeasured, &cannot) {
		t.Errorf("placeholders: %+v, %v", f, err)
	}
}

// What is in another file cannot be measured, and the signature alone does not
// count: a changed name would be enough to come to it.
func TestOpenEnclaveWithMoreThanTheFile(t *testing.T) {
	for name, change := range map[string]func(m *image){
		"module":         func(m *image) { m.needed = true },
		"other loader":   func(m *image) { m.drop = "_reloc_rva" },
		"unknown layout": func(m *image) { m.change = func(f *elfFile) { f.put(infoAt, []byte{0x20, 0x07}) } },
	} {
		t.Run(name, func(t *testing.T) {
			m, h := latest()
			change(&m)
			file, _ := m.signed(t, h)
			if name == "module" {
				copy(file[infoAt+m.infoSize-8-sgx.SIGSTRUCTSize:], sign(t, sgx.MRENCLAVE{1}))
			}
			f, err := open(t, file)
			var cannot *enclave.UnmeasurableError
			if !errors.As(err, &cannot) {
				t.Fatalf("%+v, %v", f, err)
			}
		})
	}
}

func TestOpenEnclaveRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(m *image)
		limit  bool
	}{
		"absurd heap":       {func(m *image) { m.heap = 1 << 40 }, true},
		"heap of 2 TiB":     {func(m *image) { m.heap = 1 << 28; m.threads = 1 << 14 }, true},
		"absurd stack":      {func(m *image) { m.stack = 1 << 50 }, true},
		"measured stack":    {func(m *image) { m.stack = 1 << 20; m.threads = 100 }, true},
		"threads":           {func(m *image) { m.threads = 1 << 20 }, true},
		"start address":     {func(m *image) { m.start = 1 << 50 }, true},
		"crooked start":     {func(m *image) { m.start = 0x123 }, false},
		"relocation type":   {func(m *image) { m.relocationType = 37 }, false},
		"no alignment":      {func(m *image) { m.change = func(f *elfFile) { f.sections[5].align = 0 } }, false},
		"absurd local data": {func(m *image) { m.change = func(f *elfFile) { f.sections[6].size = 1 << 45 } }, true},
		"segments descend": {func(m *image) {
			m.change = func(f *elfFile) { f.segments[1], f.segments[2] = f.segments[2], f.segments[1] }
		}, false},
		"first not at 0": {func(m *image) {
			m.change = func(f *elfFile) { f.segments[0], f.segments[1] = f.segments[1], f.segments[0] }
		}, false},
		"info not loaded":    {func(m *image) { m.change = func(f *elfFile) { f.sections[0].addr = 0x100000 } }, false},
		"relocations":        {func(m *image) { m.change = func(f *elfFile) { f.sections[3].offset = 1 << 50 } }, false},
		"half a relocation":  {func(m *image) { m.change = func(f *elfFile) { f.sections[3].size = 25 } }, false},
		"symbols outside":    {func(m *image) { m.change = func(f *elfFile) { f.sections[len(f.sections)-1].size = 1 << 50 } }, false},
		"thread-local index": {func(m *image) { m.change = func(f *elfFile) { f.put(relaAt+24, rela(0x9308, 1<<20, 18, 0)) } }, false},
		"strings outside":    {func(m *image) { m.change = func(f *elfFile) { f.sections[2].offset = 1 << 50 } }, false},
		"many spellings": {func(m *image) {
			m.change = func(f *elfFile) {
				f.append(".dynstr", 3, bytes.Repeat([]byte("_reloc_rva\x00"), 2000), 0)
				f.sections[2] = f.sections[len(f.sections)-1]
			}
		}, true},
		"malformed signature": {func(m *image) {
			m.change = func(f *elfFile) { f.put(infoAt+m.infoSize-8-sgx.SIGSTRUCTSize+1000, []byte{1}) }
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, h := latest()
			tt.change(&m)
			f := m.write()
			if name != "malformed signature" {
				f.put(infoAt+m.infoSize-8-sgx.SIGSTRUCTSize, sign(t, sgx.MRENCLAVE{1}))
			}
			start := time.Now()
			got, err := open(t, f.finish())
			var format *sgx.FormatError
			var limit *sgx.LimitError
			if isLimit := errors.As(err, &limit); isLimit != tt.limit || !isLimit && !errors.As(err, &format) {
				t.Errorf("%+v, error = %v (%T), host %+v", got, err, err, h.local)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// Each byte of the loaded segments counts, and each byte of the signature.
func TestChangedOpenEnclaves(t *testing.T) {
	m, h := latest()
	file, want := m.signed(t, h)
	sigstruct := infoAt + int(m.infoSize) - 8 - sgx.SIGSTRUCTSize
	for at := 0; at < 0x6a80; at += 11 {
		if at >= infoAt+8 && at < infoAt+32 {
			continue // sizes: gigabytes of stack would be measured
		}
		changed := bytes.Clone(file)
		changed[at] ^= 0x10
		f, err := open(t, changed)
		if err != nil || !f.Enclaves[0].Proven() {
			continue
		}
		// Gaps between segments, and what the host writes over.
		image := at >= sigstruct-48 && at < sigstruct || at >= 0x5333 && at < 0x6080 || at >= 0x6100 && at < 0x6140
		if !image || f.Enclaves[0].Computed != want {
			t.Fatalf("byte %#x does not count", at)
		}
	}
	changed := bytes.Clone(file)
	changed[0x2100] ^= 1
	f, err := open(t, changed)
	var mismatch *enclave.MismatchError
	if err != nil || !errors.As(f.Verdict(), &mismatch) || mismatch.Signed != want {
		t.Errorf("changed code: %+v, %v", f, err)
	}
}
