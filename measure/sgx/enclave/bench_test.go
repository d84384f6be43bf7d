package enclave_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/mrelease/mrelease/measure/sgx"
)

func BenchmarkIntelHeap4GB(b *testing.B)       { benchmarkOpen(b, bigIntel(b, 4<<30), 4<<30/page*64) }
func BenchmarkOpenEnclaveHeap4GB(b *testing.B) { benchmarkOpen(b, bigOE(b, 4<<30), 4<<30/page*64) }

// An enclave with 256 MB of content, which is hashed as 5184 bytes a page.
func BenchmarkIntelContent(b *testing.B) {
	f := &elfFile{}
	f.load(5, 0, 0, make([]byte, 64<<20), 64<<20)
	f.load(6, 64<<20, 64<<20, nil, 192<<20)
	file, _ := intelFile(b, f, func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, block{version: 1<<32 | 5, ssa: 1, size: 1 << 32})
	benchmarkOpen(b, file, 256<<20/page*5184)
}

// benchmarkOpen reports the rate of hashed bytes, to compare with SHA-256 in
// package sgx.
func benchmarkOpen(b *testing.B, file []byte, hashed int64) {
	b.SetBytes(hashed)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(b, file); err != nil {
			b.Fatal(err)
		}
	}
}

// The share of SHA-256's own rate that Open reaches over the bytes it hashes:
// both are timed in turn and the fastest rounds compared.
func BenchmarkShareOfSHA256(b *testing.B) {
	const heap, content = 1 << 30, 16 << 20
	f := &elfFile{}
	f.load(5, 0, 0, noise(content, 1), content)
	full, _ := intelFile(b, f, func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 1) }, block{version: 1<<32 | 5, ssa: 1, size: 1 << 32})
	empty := bigIntel(b, heap)
	raw := make([]byte, heap/page*64)
	var best [3]float64
	for b.Loop() {
		for i, run := range []func(){func() { sha256.Sum256(raw) }, func() { open(b, empty) }, func() { open(b, full) }} {
			start := time.Now()
			run()
			hashed := []float64{heap / page * 64, heap / page * 64, content / page * 5184}[i]
			best[i] = max(best[i], hashed/time.Since(start).Seconds())
		}
	}
	b.ReportMetric(100*best[1]/best[0], "heap-%")
	b.ReportMetric(100*best[2]/best[0], "content-%")
	b.ReportMetric(best[0]/1e6, "sha256-MB/s")
}
