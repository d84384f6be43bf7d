package enclave

import (
	"io"

	"github.com/mrelease/mrelease/measure/sgx"
)

// DefaultMaxHashed is what [Open] hashes of one file at most, in bytes: an
// enclave with 4 TiB of heap, or 50 GB of content. The most that was seen in a
// file that is not hostile is 46 GB, of 100 threads with 112 MB of stack each in
// three blocks. It takes a minute or two.
const DefaultMaxHashed = 64 << 30

// Options say how much work a file may make. Their zero value is what [Open] has.
type Options struct {
	// MaxHashed bounds what is hashed in all for the ways to load the file, in
	// bytes: 5184 for a page whose content counts, 64 for another one. Zero:
	// DefaultMaxHashed. More is a *sgx.LimitError, before it is hashed.
	MaxHashed uint64
	// Progress, if there is one, is called every few milliseconds with what was
	// hashed, and with what is known so far to be hashed, in bytes.
	Progress func(hashed, known uint64)
}

// work counts what is hashed for one file.
type work struct {
	limit, done, known uint64
	tell               func(done, known uint64)
}

func (o Options) work() *work {
	w := &work{limit: o.MaxHashed, tell: o.Progress}
	if w.limit == 0 {
		w.limit = DefaultMaxHashed
	}
	return w
}

// plan makes room for n more bytes.
func (w *work) plan(n uint64) error {
	if n > w.limit-w.known {
		return &sgx.LimitError{What: "bytes to hash for all ways to load the file", Got: w.known + n, Limit: w.limit}
	}
	w.known += n
	return nil
}

// add notes that n of them were hashed.
func (w *work) add(n uint64) {
	w.done += n
	if w.tell != nil {
		w.tell(w.done, w.known)
	}
}

// counted is a reader of what is hashed.
type counted struct {
	io.Reader
	work *work
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.work.add(uint64(n))
	return n, err
}
