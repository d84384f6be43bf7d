package enclave

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/mrelease/mrelease/measure/sgx"
)

// openSGXS measures an SGXS stream, which says of each page where it is and what it may,
// and not what it is for.
func openSGXS(ctx context.Context, r io.ReaderAt, size int64, w *work) (*File, error) {
	if err := w.plan(uint64(size)); err != nil {
		return nil, err
	}
	var s streamed
	computed, err := sgx.SGXS{Created: s.create, Added: s.add}.Measure(ctx, counted{io.NewSectionReader(r, 0, size), w})
	return result(KindSGXS, []Enclave{{Part: "SGXS stream", Offset: -1, Computed: computed, Memory: s.memory()}}, err)
}

// streamed is what a stream tells of the enclave.
type streamed struct {
	ssaPages uint64 // of a frame
	found    Memory
	frames   []Run // of saved state, of each thread
}

func (s *streamed) create(size uint64, ssaFramePages uint32) {
	s.ssaPages = uint64(ssaFramePages)
	s.found = Memory{Size: size, Frame: s.ssaPages * pageSize, Pages: map[string]uint64{}, Untold: "an SGXS stream does not tell heap and stack from other pages"}
}

func (s *streamed) add(p sgx.SGXSPage) {
	const all = sgx.PageSize / sgx.ChunkSize
	s.found.add(Run{At: p.Offset, Size: pageSize, Pages: p.Flags.String(), Measured: p.Measured == all, Partly: p.Measured > 0 && p.Measured < all, Loaded: p.Loaded > 0})
	if pages := s.ssaPages * uint64(p.Frames); pages > 0 && p.SSA%pageSize == 0 && p.SSA < s.found.Size && pages <= (s.found.Size-p.SSA)/pageSize && len(s.frames) < MaxRegions {
		s.frames = append(s.frames, Run{At: p.SSA, Size: pages * pageSize})
	}
}

// memory names the pages that the threads' control structures name.
func (s *streamed) memory() *Memory {
	m := s.found
	m.Map = nil
	frames := joined(s.frames)
	for _, run := range s.found.Map {
		for len(frames) > 0 && frames[0].end() <= run.At {
			frames = frames[1:]
		}
		for i := 0; run.Size > 0; {
			part := run
			if i < len(frames) && frames[i].At <= run.At {
				part.Size, part.Part = min(run.Size, frames[i].end()-run.At), partSSA
				i++
			} else if i < len(frames) && frames[i].At < run.end() {
				part.Size = frames[i].At - run.At
			}
			m.Map = append(m.Map, part)
			run.At, run.Size = part.end(), run.Size-part.Size
		}
	}
	return &m
}

func (r Run) end() uint64 { return r.At + r.Size }

// joined sorts places, and makes one of those that overlap or touch.
func joined(places []Run) []Run {
	slices.SortFunc(places, func(a, b Run) int { return cmp.Compare(a.At, b.At) })
	var all []Run
	for _, p := range places {
		if n := len(all); n > 0 && p.At <= all[n-1].end() {
			all[n-1].Size = max(all[n-1].end(), p.end()) - all[n-1].At
		} else {
			all = append(all, p)
		}
	}
	return all
}
