package enclave

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"

	"github.com/mrelease/mrelease/measure/sgx"
)

const pageSize = sgx.PageSize

// Limits on what one enclave may ask for.
const (
	// MaxPages bounds the pages that an enclave adds: 1 TiB, the protected
	// memory of two of the largest processors.
	MaxPages = 1 << 28
	// MaxMeasuredPages bounds those whose content counts: 16 GiB, each of
	// which costs the hash of 5184 bytes.
	MaxMeasuredPages = 1 << 22
	// MaxRegions bounds the runs of pages: a thread takes about four.
	MaxRegions = 1 << 16
)

// region is a run of pages with equal permissions.
type region struct {
	at      uint64 // bytes from the start of the address range
	pages   uint64
	flags   sgx.PageFlags
	content content // nil: the content does not count
	part    string  // what it is for, where the loader tells; empty: from the file
}

// plan is what a loader does to build an enclave, in order.
type plan struct {
	size     uint64 // of the address range in bytes
	ssaPages uint32 // of one SSA frame
	regions  []region
}

// add appends a region; one without pages is nothing.
func (p *plan) add(r region) error {
	if r.pages == 0 {
		return nil
	}
	if len(p.regions) == MaxRegions {
		return &sgx.LimitError{What: "runs of pages in the enclave", Got: MaxRegions + 1, Limit: MaxRegions}
	}
	p.regions = append(p.regions, r)
	return nil
}

// addAll appends regions.
func (p *plan) addAll(regions ...region) error {
	for _, r := range regions {
		if err := p.add(r); err != nil {
			return err
		}
	}
	return nil
}

// measure checks the plan and computes its MRENCLAVE.
func (p *plan) measure(ctx context.Context, w *work) (sgx.MRENCLAVE, error) {
	if err := p.check(); err != nil {
		return sgx.MRENCLAVE{}, err
	}
	if err := w.plan(p.cost()); err != nil {
		return sgx.MRENCLAVE{}, err
	}
	h := hasher{sgx.NewMeasurer(p.size, p.ssaPages), make([]byte, p.piece()*pageSize), w}
	for _, r := range p.regions {
		if err := h.add(ctx, r); err != nil {
			return sgx.MRENCLAVE{}, err
		}
	}
	return h.Sum(), nil
}

// piece is how many pages with content are hashed at once.
func (p *plan) piece() uint64 {
	most := uint64(1)
	for _, r := range p.regions {
		if r.content != nil {
			most = max(most, r.pages)
		}
	}
	return min(most, 64)
}

// What is hashed of a page, in bytes (Intel SDM volume 3D: an EADD block, and
// sixteen EEXTENDs of a block and its chunk).
const (
	costAdded    = 64
	costMeasured = 64 + 16*(64+sgx.ChunkSize)
)

// cost is what measuring hashes, in bytes.
func (p *plan) cost() (n uint64) {
	for _, r := range p.regions {
		n += r.pages * r.cost()
	}
	return n
}

func (r region) cost() uint64 {
	if r.content == nil {
		return costAdded
	}
	return costMeasured
}

// hasher measures regions in pieces, through one buffer.
type hasher struct {
	*sgx.Measurer
	buf  []byte
	work *work
}

// runPages is the piece of a region whose content does not count.
const runPages = 1 << 16

func (h hasher) add(ctx context.Context, r region) error {
	piece := uint64(len(h.buf) / pageSize)
	if r.content == nil {
		piece = runPages
	}
	for done := uint64(0); done < r.pages; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n := min(piece, r.pages-done)
		if err := h.addPiece(ctx, r, done, n); err != nil {
			return err
		}
		h.work.add(n * r.cost())
		done += n
	}
	return nil
}

func (h hasher) addPiece(ctx context.Context, r region, from, pages uint64) error {
	at := r.at + from*pageSize
	if r.content == nil {
		return h.AddRun(ctx, at, pages, r.flags)
	}
	part := h.buf[:pages*pageSize]
	if err := r.content(part, from*pageSize); err != nil {
		return err
	}
	h.AddPages(at, r.flags, part)
	return nil
}

// check refuses what no CPU would build, and what is too much.
func (p *plan) check() error {
	switch {
	case p.size > sgx.MaxEnclaveSize:
		return &sgx.LimitError{What: "enclave size in bytes", Got: p.size, Limit: sgx.MaxEnclaveSize}
	case p.size < 2*pageSize || bits.OnesCount64(p.size) != 1:
		return &sgx.FormatError{Part: "enclave size", Problem: "is no power of two from 8 KB on", Offset: -1, Got: fmt.Sprintf("%#x", p.size)}
	}
	for _, r := range p.regions {
		if err := r.check(p.size); err != nil {
			return err
		}
	}
	return cmp.Or(p.checkPages(), p.checkOverlap())
}

// checkPages refuses more pages than any enclave has.
func (p *plan) checkPages() error {
	var pages, measured uint64
	for _, r := range p.regions {
		pages += r.pages
		if r.content != nil {
			measured += r.pages
		}
	}
	switch {
	case pages > MaxPages:
		return &sgx.LimitError{What: "pages of the enclave", Got: pages, Limit: MaxPages}
	case measured > MaxMeasuredPages:
		return &sgx.LimitError{What: "pages of the enclave whose content is measured", Got: measured, Limit: MaxMeasuredPages}
	}
	return nil
}

func (r region) check(size uint64) error {
	malformed := func(problem string) error {
		return &sgx.FormatError{Part: "enclave pages", Problem: problem, Offset: -1, Got: fmt.Sprintf("%d pages at %#x with flags %#x", r.pages, r.at, uint64(r.flags))}
	}
	switch {
	case r.at%pageSize != 0:
		return malformed("do not begin at a page")
	case r.at > size || r.pages > (size-r.at)/pageSize:
		return malformed(fmt.Sprintf("reach beyond the enclave's size of %#x", size))
	case !r.flags.Valid():
		return malformed("have flags that the CPU refuses")
	}
	return nil
}

// sorted returns the regions in the order of their addresses.
func (p *plan) sorted() []region {
	return slices.SortedFunc(slices.Values(p.regions), func(a, b region) int { return cmp.Compare(a.at, b.at) })
}

// checkOverlap refuses pages that are added twice.
func (p *plan) checkOverlap() error {
	sorted := p.sorted()
	for i := 1; i < len(sorted); i++ {
		if last, next := sorted[i-1], sorted[i]; last.at+last.pages*pageSize > next.at {
			return &sgx.FormatError{Part: "enclave pages", Problem: "are added twice", Offset: -1, Got: fmt.Sprintf("%d pages at %#x and %d at %#x", last.pages, last.at, next.pages, next.at)}
		}
	}
	return nil
}

// roundUp returns the next multiple of the page size.
func roundUp(n uint64) uint64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// roundDown returns the start of the page.
func roundDown(n uint64) uint64 { return n &^ (pageSize - 1) }

// powerOfTwo returns the next power of two.
func powerOfTwo(n uint64) uint64 {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len64(n-1)
}
