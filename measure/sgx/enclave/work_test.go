package enclave_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// The bound counts all ways to load a file together, and is kept before anything
// is hashed: a file with many blocks costs no more than one with one.
func TestAttackManyBlocksAtTheLimits(t *testing.T) {
	var blocks []block
	for range 3 {
		b := intelBlock(3)
		b.layouts = layout(eadd, 1<<22, 0x100000000, 0, 0, data)
		blocks = append(blocks, b)
	}
	file, _ := intelFile(t, intelBase(), func(*elfFile) []sgx.MRENCLAVE { return make([]sgx.MRENCLAVE, 3) }, blocks...)
	hashed := uint64(0)
	o := enclave.Options{MaxHashed: 600 << 20, Progress: func(done, known uint64) {
		if done < hashed || done > known || known > 600<<20 {
			t.Errorf("%d of %d bytes, before %d", done, known, hashed)
		}
		hashed = done
	}}
	f, err := o.Open(t.Context(), bytes.NewReader(file), int64(len(file)))
	var limit *sgx.LimitError
	if !errors.As(err, &limit) || limit.Limit != 600<<20 || hashed > 600<<20 {
		t.Errorf("%d bytes were hashed: %+v, %v", hashed, f, err)
	}
}

// What is told as hashed is what is hashed.
func TestProgress(t *testing.T) {
	intel, _ := standard(t, 70000)
	stream := append([]byte("ECREATE\x00\x01\x00\x00\x00\x00\x00\x01\x00"), make([]byte, 48)...)
	for name, file := range map[string][]byte{"Intel": intel, "SGXS": stream} {
		var calls, done, known uint64
		o := enclave.Options{Progress: func(d, k uint64) { calls, done, known = calls+1, d, k }}
		if f, err := o.Open(t.Context(), bytes.NewReader(file), int64(len(file))); err != nil || f.Verdict() != nil {
			t.Fatalf("%s: %+v, %v", name, f, err)
		}
		if calls == 0 || done != known {
			t.Errorf("%s: %d calls, %d bytes of %d", name, calls, done, known)
		}
		o.MaxHashed = known - 1
		var limit *sgx.LimitError
		if f, err := o.Open(t.Context(), bytes.NewReader(file), int64(len(file))); !errors.As(err, &limit) || limit.Got != known {
			t.Errorf("%s, a byte less: %+v, %v", name, f, err)
		}
	}
}
