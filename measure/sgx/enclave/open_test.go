package enclave_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/mrelease/mrelease/document"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

func TestOpenSIGSTRUCT(t *testing.T) {
	raw := sign(t, sgx.MRENCLAVE{1, 2})
	f, err := open(t, raw)
	if err != nil || f.Kind != enclave.KindSIGSTRUCT || f.Verdict() != nil || f.Enclaves[0].SIGSTRUCT.Body().MRENCLAVE != (sgx.MRENCLAVE{1, 2}) {
		t.Fatalf("%+v, %v", f, err)
	}
	if f.Enclaves[0].Proven() {
		t.Error("a signature proves nothing about pages")
	}
	raw[1025] ^= 1
	var signature *sgx.SignatureError
	if f, err = open(t, raw); err != nil || !errors.As(f.Verdict(), &signature) {
		t.Errorf("changed: %+v, %v", f, err)
	}
}

func TestOpenSGXS(t *testing.T) {
	stream := append([]byte("ECREATE\x00\x01\x00\x00\x00\x00\x00\x01\x00"), make([]byte, 48)...)
	f, err := open(t, stream)
	if err != nil || f.Kind != enclave.KindSGXS || f.Verdict() != nil || f.Enclaves[0].Computed != mrenclave(1<<16, 1, nil) {
		t.Errorf("%+v, %v", f, err)
	}
	var format *sgx.FormatError
	if f, err := open(t, stream[:60]); !errors.As(err, &format) {
		t.Errorf("cut stream: %+v, %v", f, err)
	}
}

// A binary that some runtime starts: what it measures to is not known here, but
// what was signed is.
func TestOpenSignedBinary(t *testing.T) {
	for kind, name := range map[uint16]string{2: "executable", 3: "shared object"} {
		f := &elfFile{kind: kind}
		f.load(5, 0, 0, noise(0x1000, 1), 0x1000)
		f.append(".signatures", 1, bytes.Join([][]byte{sign(t, sgx.MRENCLAVE{1}), noise(99, 4), sign(t, sgx.MRENCLAVE{2})}, nil), 0)
		file, err := open(t, f.finish())
		if err != nil || file.Kind != enclave.KindSignedBinary || len(file.Enclaves) != 2 || file.Verdict() != nil {
			t.Fatalf("%s: %+v, %v", name, file, err)
		}
		for i, e := range file.Enclaves {
			var cannot *enclave.UnmeasurableError
			if e.SIGSTRUCT.Body().MRENCLAVE != (sgx.MRENCLAVE{byte(i + 1)}) || !errors.As(e.Unmeasured, &cannot) || e.Proven() {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

// A Windows library is told as one: its metadata is Intel's, in a section of
// another name, and its layout is not known here.
func TestOpenWindowsLibrary(t *testing.T) {
	block := intelBlock(3)
	file := append(make([]byte, 0x200), block.encode(sign(t, sgx.MRENCLAVE{1}))...)
	copy(file, "MZ")
	file[0x3c] = 0x80
	copy(file[0x80:], "PE\x00\x00")
	f, err := open(t, file)
	if err != nil || f.Kind != enclave.KindWindows || f.Verdict() != nil || f.Enclaves[0].Proven() {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestOpenNothing(t *testing.T) {
	plain := &elfFile{}
	plain.load(5, 0, 0, noise(0x1000, 1), 0x1000)
	for name, file := range map[string][]byte{"empty": nil, "text": []byte("hello"), "program": plain.finish()} {
		var none *enclave.NoSignatureError
		if f, err := open(t, file); !errors.As(err, &none) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// A damaged enclave must not pass for a mere signed binary.
func TestOpenDamagedELF(t *testing.T) {
	file, _ := standard(t, 1)
	for name, change := range map[string]func(b []byte){
		"class":           func(b []byte) { b[4] = 1 },
		"byte order":      func(b []byte) { b[5] = 2 },
		"machine":         func(b []byte) { b[18] = 3 },
		"program table":   func(b []byte) { b[39] = 0x7f },
		"section table":   func(b []byte) { b[47] = 0x7f },
		"program count":   func(b []byte) { b[57] = 0xff },
		"section count":   func(b []byte) { b[61] = 0xff },
		"truncated":       func(b []byte) { clear(b[1:4]) },
		"nothing but ELF": func(b []byte) { clear(b[5:]) },
	} {
		changed := bytes.Clone(file)
		change(changed)
		if name == "truncated" {
			changed = file[:100]
		}
		var format *sgx.FormatError
		var limit *sgx.LimitError
		if f, err := open(t, changed); !errors.As(err, &format) && !errors.As(err, &limit) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestOpenEndsWithTheContext(t *testing.T) {
	intel, _ := standard(t, 1)
	m, h := latest()
	oe, _ := m.signed(t, h)
	for name, file := range map[string][]byte{"Intel": intel, "Open Enclave": oe, "other": noise(1000, 1)} {
		if f, err := enclave.Open(canceled(t), bytes.NewReader(file), int64(len(file))); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestOpenReportsTheReader(t *testing.T) {
	file, _ := standard(t, 1)
	for _, size := range []int{4, 100, 0x3000, len(file) - 1} {
		if f, err := enclave.Open(t.Context(), bytes.NewReader(file[:size]), int64(len(file))); !errors.Is(err, io.EOF) {
			t.Errorf("file of %d bytes that should have %d: %+v, %v", size, len(file), f, err)
		}
	}
}

// bigIntel and bigOE have a heap of so many bytes.
func bigIntel(t testing.TB, bytes uint64) []byte {
	b := intelBlock(uint32(bytes / page))
	file, _ := intelFile(t, intelBase(), func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
	return file
}

func bigOE(t testing.TB, bytes uint64) []byte {
	m, _ := latest()
	m.heap = bytes / page
	return m.write().finish()
}

// Memory does not grow with the heap.
func TestMemoryOfLargeHeaps(t *testing.T) {
	for name, file := range map[string][]byte{"Intel": bigIntel(t, 256<<20), "Open Enclave": bigOE(t, 256<<20)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := open(t, file)
		runtime.ReadMemStats(&after)
		if err != nil || f.Enclaves[0].Unmeasured != nil {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
			t.Errorf("%s: %d bytes were allocated", name, used)
		}
	}
}

// vectors are enclaves made by other people's tools. They lie beside the
// repository, if at all.
const vectors = "../../../../shared/vectors"

func TestVectors(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(vectors, "expected.json"))
	if os.IsNotExist(err) {
		t.Skipf("no vectors of other tools in %s", vectors)
	}
	var all []struct{ File, MRENCLAVE, MRSIGNER, Kind string }
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]enclave.Kind{"sgxs": enclave.KindSGXS, "sigstruct": enclave.KindSIGSTRUCT, "intel-sdk-enclave (ELF64 + .note.sgxmeta)": enclave.KindIntel}
	for _, v := range all {
		kind, ok := kinds[v.Kind]
		if !ok {
			continue
		}
		t.Run(v.File, func(t *testing.T) {
			file, err := os.ReadFile(filepath.Join(vectors, v.File))
			if err != nil {
				t.Fatal(err)
			}
			f, err := open(t, file)
			if err != nil || f.Kind != kind || f.Verdict() != nil {
				t.Fatalf("%+v, %v", f, err)
			}
			e := f.Enclaves[0]
			if e.Unmeasured == nil && e.Computed.String() != v.MRENCLAVE {
				t.Errorf("MRENCLAVE = %s, want %s", e.Computed, v.MRENCLAVE)
			}
			if s := e.SIGSTRUCT; s != nil && fmt.Sprint(s.Body().MRENCLAVE, s.MRSIGNER()) != v.MRENCLAVE+" "+v.MRSIGNER {
				t.Errorf("signed %s by %s, want %s by %s", s.Body().MRENCLAVE, s.MRSIGNER(), v.MRENCLAVE, v.MRSIGNER)
			}
		})
	}
}

// checkStarters asserts that all signatures which a loader takes from a file are
// reported.
func checkStarters(t *testing.T, f *enclave.File, file []byte) {
	t.Helper()
	var reported [][]byte
	for _, e := range f.Enclaves {
		reported = append(reported, e.SIGSTRUCT.Bytes())
	}
	for _, signature := range takenBy(file) {
		if !holds(reported, signature) {
			t.Errorf("a loader takes a signature that is not reported: % x", signature[:64])
		}
	}
}

// checkOpen asserts what holds for any file. A file may ask for gigabytes to be
// hashed: then it is only started.
func checkOpen(t *testing.T, file []byte) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	f, err := enclave.Open(ctx, bytes.NewReader(file), int64(len(file)))
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		var format *sgx.FormatError
		var limit *sgx.LimitError
		var unsigned *enclave.UnsignedError
		var none *enclave.NoSignatureError
		var cannot *enclave.UnmeasurableError
		var text *document.Error
		if !errors.As(err, &text) && !errors.As(err, &format) && !errors.As(err, &limit) && !errors.As(err, &unsigned) && !errors.As(err, &none) && !errors.As(err, &cannot) {
			t.Errorf("error of type %T: %v", err, err)
		}
	}
	if err != nil {
		return
	}
	for _, e := range f.Enclaves {
		if e.Unmeasured != nil && e.Verdict == nil && (f.Kind == enclave.KindIntel || f.Kind == enclave.KindOpenEnclave) {
			t.Errorf("%+v is unmeasured and nothing speaks against it", e)
		}
		if e.Proven() && e.SIGSTRUCT.Body().MRENCLAVE != e.Computed {
			t.Errorf("%+v is proven", e)
		}
	}
	if proven(f, nil) && f.Kind != enclave.KindSGXS {
		checkStarters(t, f, file)
	}
}

func FuzzIntel(f *testing.F) {
	b := intelBlock(3)
	small, _ := intelFile(f, intelBase(), func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
	b.version, b.addressing = 13<<32|3, []uint64{0, 0, 1 << 40}
	moved, _ := intelFile(f, intelBase(), func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, b)
	f.Add(small)
	f.Add(moved)
	f.Fuzz(checkOpen)
}

// FuzzIntelMetadata leaves the file as it is and changes the block only.
func FuzzIntelMetadata(f *testing.F) {
	file, _ := standard(f, 3)
	at := bytes.Index(file, []byte("sgx_metadata\x00")) + 13
	f.Add(uint16(0), file[at:at+64])
	f.Add(uint16(1872), file[at+1872:at+1904])
	f.Add(uint16(7000), bytes.Repeat([]byte{1}, 300))
	f.Fuzz(func(t *testing.T, place uint16, change []byte) {
		changed := bytes.Clone(file)
		copy(changed[min(at+int(place), len(changed)):], change)
		checkOpen(t, changed)
	})
}

func FuzzOpenEnclave(f *testing.F) {
	m, h := latest()
	signed, _ := m.signed(f, h)
	f.Add(signed)
	m.infoSize, m.static = 1920, true
	f.Add(m.write().finish())
	f.Fuzz(checkOpen)
}
