package sgx_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/mrelease/mrelease/measure/sgx"
)

func TestMeasurer(t *testing.T) {
	const size = 1 << 30
	content := pattern(40) // more than the buffer
	m := sgx.NewMeasurer(size, 1)
	var want blocks
	want.create(size)

	m.AddPages(0, code, content)
	for i := range 40 {
		want.page(uint64(i)*sgx.PageSize, code, content[i*sgx.PageSize:])
	}
	if err := m.AddRun(t.Context(), 1<<20, 5000, data); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(5000) {
		want.add(1<<20+i*sgx.PageSize, data)
	}
	m.Add(1<<28, sgx.TCSPage)
	m.Extend(1<<28+256, (*[sgx.ChunkSize]byte)(content[256:]))
	want.add(1<<28, sgx.TCSPage)
	want.extend("EEXTEND", 1<<28+256, content[256:512])

	if got := m.Sum(); got != want.sum() {
		t.Errorf("MRENCLAVE = %s, want %s", got, want.sum())
	}
}

func TestAddRunEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sgx.NewMeasurer(1<<40, 1).AddRun(ctx, 0, 1<<27, data); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled run: %v", err)
	}
}

func TestPageFlags(t *testing.T) {
	for flags, want := range map[sgx.PageFlags]bool{
		code: true, data: true, sgx.REGPage | sgx.Read: true, sgx.REGPage: true, sgx.TCSPage: true, 5 << 8: true,
		0: false, sgx.Read: false, sgx.TCSPage | sgx.Read: false, sgx.REGPage | sgx.Write: false, data | 8: false, data | 1<<16: false, 3 << 8: false,
	} {
		if got := flags.Valid(); got != want {
			t.Errorf("flags %#x are valid: %t, want %t", uint64(flags), got, want)
		}
	}
}

// smallStream is an enclave with each kind of record.
func smallStream() blocks {
	content := pattern(2)
	var b blocks
	b.create(1 << 16)
	b.page(0, code, content)
	b.add(0x1000, data)
	b.extend("EEXTEND", 0x1200, content[:256])
	b.add(0x4000, sgx.TCSPage)
	b.extend("EEXTEND", 0x4f00, content[256:512])
	b.add(0x5000, data)
	return b
}

func TestMeasureSGXS(t *testing.T) {
	stream := smallStream()
	for name, r := range map[string]io.Reader{
		"whole":     bytes.NewReader(stream),
		"byte-wise": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		if got, err := sgx.MeasureSGXS(t.Context(), r); err != nil || got != stream.sum() {
			t.Errorf("%s: %s, %v, want %s", name, got, err, stream.sum())
		}
	}
}

// Chunks that are loaded but not measured leave no trace.
func TestUnmeasuredChunks(t *testing.T) {
	content := pattern(1)
	var stream, want blocks
	stream.create(1 << 30)
	want.create(1 << 30)
	for page := range uint64(300) {
		at := page * sgx.PageSize
		stream.add(at, data)
		want.add(at, data)
		for c := uint64(0); c < 16; c++ {
			if (page+c)%3 == 0 {
				stream.extend("EEXTEND", at+c*256, content[c*256:][:256])
				want.extend("EEXTEND", at+c*256, content[c*256:][:256])
			} else {
				stream.extend("UNMEASRD", at+c*256, content[c*256:][:256])
			}
		}
	}
	if got, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(stream)); err != nil || got != want.sum() {
		t.Errorf("%s, %v, want %s", got, err, want.sum())
	}
}

func TestMeasureSGXSRefuses(t *testing.T) {
	stream := func(build func(b *blocks)) []byte {
		var b blocks
		b.create(1 << 16)
		build(&b)
		return b
	}
	chunk := make([]byte, 256)
	good := stream(func(b *blocks) { b.add(0, data) })
	for name, tt := range map[string]struct {
		stream []byte
		part   string
		offset int64
	}{
		"empty":               {nil, "SGXS ECREATE", 0},
		"no ECREATE":          {good[64:], "SGXS ECREATE", 0},
		"cut header":          {good[:40], "SGXS stream", 0},
		"placeholder":         {append([]byte("UNSIZED\x00"), good[8:]...), "SGXS ECREATE", 0},
		"odd size":            {func() []byte { var b blocks; b.create(12288); return b }(), "SGXS ECREATE", 0},
		"one page":            {func() []byte { var b blocks; b.create(4096); return b }(), "SGXS ECREATE", 0},
		"no SSA":              {func() []byte { var b blocks; b.block("ECREATE", uint32(0), uint64(1<<16)); return b }(), "SGXS ECREATE", 0},
		"two ECREATE":         {stream(func(b *blocks) { b.create(1 << 16) }), "SGXS ECREATE", 64},
		"reserved":            {append(bytes.Clone(good[:127]), 1), "SGXS EADD", 64},
		"unknown tag":         {stream(func(b *blocks) { b.block("EREMOVE") }), "SGXS block", 64},
		"cut chunk":           {stream(func(b *blocks) { b.add(0, data); b.block("EEXTEND", uint64(0)) }), "SGXS stream", 128},
		"page inside a page":  {stream(func(b *blocks) { b.add(8, data) }), "SGXS EADD", 64},
		"page outside":        {stream(func(b *blocks) { b.add(1<<16, data) }), "SGXS EADD", 64},
		"descending":          {stream(func(b *blocks) { b.add(4096, data); b.add(0, data) }), "SGXS EADD", 128},
		"page twice":          {stream(func(b *blocks) { b.add(0, data); b.add(0, data) }), "SGXS EADD", 128},
		"TCS with rights":     {stream(func(b *blocks) { b.add(0, sgx.TCSPage|sgx.Read) }), "SGXS EADD", 64},
		"chunk before a page": {stream(func(b *blocks) { b.extend("EEXTEND", 0, chunk) }), "SGXS EEXTEND", 64},
		"chunk in other page": {stream(func(b *blocks) { b.add(0, data); b.extend("UNMEASRD", 4096, chunk) }), "SGXS UNMEASRD", 128},
		"chunk not aligned":   {stream(func(b *blocks) { b.add(0, data); b.extend("EEXTEND", 8, chunk) }), "SGXS EEXTEND", 128},
		"chunk twice":         {stream(func(b *blocks) { b.add(0, data); b.extend("EEXTEND", 0, chunk); b.extend("UNMEASRD", 0, chunk) }), "SGXS UNMEASRD", 448},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(tt.stream))
			var format *sgx.FormatError
			if !errors.As(err, &format) || format.Part != tt.part || format.Offset != tt.offset {
				t.Errorf("error = %v (%#v), want one about %s at %d", err, err, tt.part, tt.offset)
			}
		})
	}
}

func TestMeasureSGXSLimits(t *testing.T) {
	var huge blocks
	huge.create(1 << 47)
	var limit *sgx.LimitError
	if _, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(huge)); !errors.As(err, &limit) || limit.Got != 1<<47 {
		t.Errorf("2^47 bytes: %v", err)
	}
	broken := errors.New("broken disk")
	if _, err := sgx.MeasureSGXS(t.Context(), iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("reader's error: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var long blocks
	long.create(1 << 40)
	for page := range uint64(70000) {
		long.add(page*sgx.PageSize, data)
	}
	if _, err := sgx.MeasureSGXS(ctx, bytes.NewReader(long)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// Every bit of a stream is either refused or measured.
func TestEveryBitOfSGXSCounts(t *testing.T) {
	stream := smallStream()
	want := stream.sum()
	for i := range len(stream) * 8 {
		changed := bytes.Clone(stream)
		changed[i/8] ^= 1 << (i % 8)
		if got, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(changed)); err == nil && got == want {
			t.Fatalf("bit %d of byte %#x does not count", i%8, i/8)
		}
	}
}

func FuzzSGXS(f *testing.F) {
	f.Add([]byte(smallStream()))
	f.Add([]byte(smallStream()[:700]))
	f.Add([]byte("UNSIZED\x00"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		got, err := sgx.MeasureSGXS(t.Context(), bytes.NewReader(stream))
		slow, again := sgx.MeasureSGXS(t.Context(), iotest.HalfReader(bytes.NewReader(stream)))
		if got != slow || (err == nil) != (again == nil) {
			t.Errorf("%s, %v when read at once, %s, %v in pieces", got, err, slow, again)
		}
		if err == nil && !bytes.Contains(stream, []byte("UNMEASRD")) && got != sha256.Sum256(stream) {
			t.Errorf("%s is not the stream's hash", got)
		}
	})
}
