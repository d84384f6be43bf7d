package sgx_test

import (
	"bytes"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
)

// The rates below count hashed bytes, so that they compare with SHA-256 alone.

func BenchmarkSHA256(b *testing.B) {
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		h := sha256.New()
		h.Write(buf)
		h.Sum(nil)
	}
}

// A page with its content is hashed as 5184 bytes.
func BenchmarkMeasuredPages(b *testing.B) {
	content := pattern(256)
	b.SetBytes(256 * 5184)
	b.ReportAllocs()
	for b.Loop() {
		m := sgx.NewMeasurer(1<<40, 1)
		m.AddPages(0, code, content)
		m.Sum()
	}
}

// A page of heap is hashed as 64 bytes: 4 GB of heap are 64 MB.
func BenchmarkHeapPages(b *testing.B) {
	const pages = 4 << 30 / sgx.PageSize
	b.SetBytes(pages * 64)
	b.ReportAllocs()
	for b.Loop() {
		m := sgx.NewMeasurer(1<<40, 1)
		if err := m.AddRun(b.Context(), 0, pages, data); err != nil {
			b.Fatal(err)
		}
		m.Sum()
	}
}

func BenchmarkSGXS(b *testing.B) {
	var stream blocks
	stream.create(1 << 40)
	content := pattern(256)
	for i := range 256 {
		stream.page(uint64(i)*sgx.PageSize, code, content[i*sgx.PageSize:])
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sgx.MeasureSGXS(b.Context(), bytes.NewReader(stream)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := sign(b, testBody())
	for b.Loop() {
		if err := s.Verify(); err != nil {
			b.Fatal(err)
		}
	}
}

// The share of SHA-256's own rate that measuring reaches: both are timed in
// turn and the fastest rounds compared, because the machine may be busy.
func BenchmarkShareOfSHA256(b *testing.B) {
	content := pattern(256)
	raw := make([]byte, 256*5184)
	var stream blocks
	stream.create(1 << 40)
	for i := range 256 {
		stream.page(uint64(i)*sgx.PageSize, code, content[i*sgx.PageSize:])
	}
	const heap = 1 << 14 // pages, hashed as 1 MB
	best := map[string]float64{}
	round := func(name string, bytes int, f func()) {
		start := time.Now()
		f()
		best[name] = max(best[name], float64(bytes)/time.Since(start).Seconds())
	}
	for b.Loop() {
		round("sha256", len(raw), func() { sha256.Sum256(raw) })
		round("pages", len(raw), func() { sgx.NewMeasurer(1<<40, 1).AddPages(0, code, content) })
		round("heap", heap*64, func() { sgx.NewMeasurer(1<<40, 1).AddRun(b.Context(), 0, heap, data) })
		round("sgxs", len(stream), func() { sgx.MeasureSGXS(b.Context(), bytes.NewReader(stream)) })
	}
	for _, name := range []string{"pages", "heap", "sgxs"} {
		b.ReportMetric(100*best[name]/best["sha256"], name+"-%")
	}
	b.ReportMetric(best["sha256"]/1e6, "sha256-MB/s")
}
