package sgx

import (
	"bytes"
	"context"
	"fmt"
	"io"
)

// Found is a place in a file that looks like a SIGSTRUCT.
type Found struct {
	Offset    int64      // of its first byte
	SIGSTRUCT *SIGSTRUCT // nil when it is malformed
	Err       error      // why it is malformed or its signature does not verify; nil when all is well
}

// MaxFound bounds how many SIGSTRUCTs are looked at in one file; real ones hold
// one for each way in which they can be loaded.
const MaxFound = 256

const findWindow = 256 << 10

// Find looks for SIGSTRUCTs in the first size bytes of any file, by their two
// constants 24 bytes apart. A structure without a key, such as the template in
// a signing tool, is not reported.
//
// Errors: *LimitError, the reader's own, the context's. Memory does not grow
// with the file.
func Find(ctx context.Context, r io.ReaderAt, size int64) ([]Found, error) {
	var all []Found
	window := make([]byte, findWindow)
	const step = findWindow - atHeader2 - len(header2) // a candidate lies whole in one window
	for base := int64(0); base < size; base += int64(step) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		part := window[:min(findWindow, size-base)]
		if n, err := r.ReadAt(part, base); n < len(part) {
			return nil, fmt.Errorf("searching for SIGSTRUCT at %#x: %w", base, err)
		}
		for _, at := range candidates(part, step) {
			found, err := look(r, base+int64(at), size)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		if len(all) > MaxFound {
			return nil, &LimitError{"SIGSTRUCTs in the file", uint64(len(all)), MaxFound}
		}
	}
	return all, nil
}

// candidates returns where both constants stand, before end.
func candidates(part []byte, end int) []int {
	var all []int
	for at := 0; ; at++ {
		i := bytes.Index(part[at:], []byte(header[:atType+3]))
		if i < 0 || at+i >= end {
			return all
		}
		at += i
		if bytes.HasPrefix(part[min(at+atHeader2, len(part)):], []byte(header2)) && part[at+atType+3]&^releaseBit == 0 {
			all = append(all, at)
		}
	}
}

// look reads one candidate; none when it is a template.
func look(r io.ReaderAt, at, size int64) ([]Found, error) {
	raw := make([]byte, min(SIGSTRUCTSize, size-at))
	if n, err := r.ReadAt(raw, at); n < len(raw) {
		return nil, fmt.Errorf("reading SIGSTRUCT at %#x: %w", at, err)
	}
	if len(raw) >= atExponent && zero(raw[atModulus:atExponent]) {
		return nil, nil
	}
	found := Found{Offset: at}
	if found.SIGSTRUCT, found.Err = ParseSIGSTRUCT(raw); found.Err == nil {
		found.Err = found.SIGSTRUCT.Verify()
	}
	return []Found{found}, nil
}
