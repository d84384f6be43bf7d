package enclave_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/mrelease/mrelease/measure/sgx/enclave"
)

// An SGXS stream of an enclave with one page of heap.
func ExampleOpen() {
	file := []byte("ECREATE\x00\x01\x00\x00\x00\x00\x00\x01\x00")
	file = append(file, make([]byte, 64-len(file))...)
	file = append(file, "EADD\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x03\x02"...)
	file = append(file, make([]byte, 128-len(file))...)

	f, err := enclave.Open(context.Background(), bytes.NewReader(file), int64(len(file)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range f.Enclaves {
		fmt.Println(f.Kind, e.Computed, e.Verdict)
	}
	// Output: SGXS stream 50a3e6227cfaf72acb5b8c524cfa602a9d711e00329b688afba69c94a98b5f56 <nil>
}
