package sgx

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
)

// MaxEnclaveSize bounds the address range of an enclave, in bytes: half of what
// a process can map with 4-level paging. No loader can build a larger one.
const MaxEnclaveSize = 1 << 46

const bufferSize = 32 << 10

// MeasureSGXS returns the MRENCLAVE of an SGXS stream: the measured blocks one
// after the other, beginning with ECREATE, as Fortanix's tools write them. A
// chunk tagged UNMEASRD is loaded but not measured.
//
// The stream must be canonical (fortanix/rust-sgx, crate sgxs,
// CanonicalSgxsReader): one ECREATE, pages in ascending order, chunks inside
// the page before them and each once, reserved bytes zero. What the CPU would
// refuse is an error too, since nothing could ever have such a measurement.
//
// Errors: *FormatError, *LimitError, the reader's own, the context's. Memory
// does not grow with the stream.
func MeasureSGXS(ctx context.Context, r io.Reader) (MRENCLAVE, error) {
	return SGXS{}.Measure(ctx, r)
}

// SGXS is told what a stream holds while [SGXS.Measure] reads it. What it was told
// counts when there was no error.
type SGXS struct {
	Created func(size uint64, ssaFramePages uint32) // ECREATE: bytes of the address range, and pages of a frame of saved state; may be nil
	Added   func(SGXSPage)                          // may be nil
}

// SGXSPage is a page of a stream, with what was said of its content.
type SGXSPage struct {
	Offset   uint64 // bytes from the start of the address range
	Flags    PageFlags
	Measured int    // chunks, of sixteen
	Loaded   int    // chunks that are loaded and not measured
	SSA      uint64 // of a TCS: where its frames of saved state begin, in bytes like Offset
	Frames   uint32 // and how many there are
}

// Measure is [MeasureSGXS].
func (o SGXS) Measure(ctx context.Context, r io.Reader) (MRENCLAVE, error) {
	s := stream{told: o, r: r, hash: sha256.New(), buf: make([]byte, bufferSize)}
	if err := s.create(); err != nil {
		return MRENCLAVE{}, err
	}
	for records := uint64(1); ; records++ {
		if records%checkEvery == 0 && ctx.Err() != nil {
			return MRENCLAVE{}, ctx.Err()
		}
		switch err := s.record(); {
		case err == io.EOF:
			return s.sum()
		case err != nil:
			return MRENCLAVE{}, err
		}
	}
}

// stream reads an SGXS stream through one buffer, of which it hashes what is
// measured in runs that are as long as possible.
type stream struct {
	told SGXS
	r    io.Reader
	hash hash.Hash
	buf  []byte
	from int   // where the run begins that is not hashed yet
	at   int   // the next record; everything in from..at is measured
	end  int   // what was read
	base int64 // the stream's offset of buf[0]

	size   uint64   // from ECREATE
	added  bool     // a page was added
	page   SGXSPage // the last one
	chunks uint16   // its chunks that were seen
}

// create reads the ECREATE block.
func (s *stream) create() error {
	block, err := s.peek(blockSize)
	if err == io.EOF {
		return s.malformed("ECREATE", "is missing: the stream is empty")
	}
	if err != nil {
		return err
	}
	s.size = binary.LittleEndian.Uint64(block[12:])
	switch tag := binary.LittleEndian.Uint64(block); {
	case tag == tagUNSIZED:
		return s.malformed("ECREATE", "is the placeholder UNSIZED: the stream has no final size yet")
	case tag != tagECREATE:
		return s.malformed("ECREATE", "is not the first block")
	case binary.LittleEndian.Uint32(block[8:]) == 0:
		return s.malformed("ECREATE", "has SSAFRAMESIZE 0")
	case s.size < 2*PageSize || bits.OnesCount64(s.size) != 1:
		return s.malformed("ECREATE", fmt.Sprintf("has SIZE %#x, which is no power of two from 8 KB on", s.size))
	case s.size > MaxEnclaveSize:
		return &LimitError{"enclave size in bytes", s.size, MaxEnclaveSize}
	case !zero(block[20:]):
		return s.malformed("ECREATE", "has reserved bytes that are not zero")
	}
	if s.told.Created != nil {
		s.told.Created(s.size, binary.LittleEndian.Uint32(block[8:]))
	}
	s.at += blockSize
	return nil
}

// tell tells of the page that is complete.
func (s *stream) tell() {
	if s.added && s.told.Added != nil {
		s.told.Added(s.page)
	}
}

// record reads one block, and the chunk behind it; io.EOF at the stream's end.
func (s *stream) record() error {
	block, err := s.peek(blockSize)
	if err != nil {
		return err
	}
	switch tag := binary.LittleEndian.Uint64(block); tag {
	case tagEADD:
		return s.add(block)
	case tagEEXTEND:
		return s.extend("EEXTEND")
	case tagUNMEASRD:
		return s.extend("UNMEASRD")
	case tagECREATE, tagUNSIZED:
		return s.malformed("ECREATE", "stands a second time")
	default:
		return s.malformed("block", fmt.Sprintf("has the unknown tag %q", block[:8]))
	}
}

func (s *stream) add(block []byte) error {
	offset, flags := binary.LittleEndian.Uint64(block[8:]), PageFlags(binary.LittleEndian.Uint64(block[16:]))
	switch {
	case offset%PageSize != 0:
		return s.malformed("EADD", fmt.Sprintf("has offset %#x, which is inside a page", offset))
	case offset >= s.size:
		return s.malformed("EADD", fmt.Sprintf("has offset %#x outside the enclave of %#x bytes", offset, s.size))
	case s.added && offset <= s.page.Offset:
		return s.malformed("EADD", fmt.Sprintf("has offset %#x, not above the page before it at %#x", offset, s.page.Offset))
	case !flags.Valid():
		return s.malformed("EADD", fmt.Sprintf("has SECINFO.FLAGS %#x, which the CPU refuses", uint64(flags)))
	case !zero(block[24:]):
		return s.malformed("EADD", "has reserved bytes that are not zero")
	}
	s.tell()
	s.added, s.page, s.chunks = true, SGXSPage{Offset: offset, Flags: flags}, 0
	s.at += blockSize
	return nil
}

func (s *stream) extend(name string) error {
	record, err := s.peek(recordSize)
	if err != nil {
		return err
	}
	offset := binary.LittleEndian.Uint64(record[8:])
	chunk := uint16(1) << (offset % PageSize / ChunkSize)
	switch {
	case !s.added || offset/PageSize != s.page.Offset/PageSize:
		return s.malformed(name, fmt.Sprintf("has offset %#x, which is not in the page that was added last", offset))
	case offset%ChunkSize != 0:
		return s.malformed(name, fmt.Sprintf("has offset %#x, which is inside a chunk", offset))
	case s.chunks&chunk != 0:
		return s.malformed(name, fmt.Sprintf("stands twice for the chunk at %#x", offset))
	case !zero(record[16:blockSize]):
		return s.malformed(name, "has reserved bytes that are not zero")
	}
	s.chunks |= chunk
	if s.page.Flags&pageType == TCSPage && offset == s.page.Offset { // Intel SDM volume 3D, "Thread Control Structure": OSSA and NSSA
		s.page.SSA, s.page.Frames = binary.LittleEndian.Uint64(record[blockSize+16:]), binary.LittleEndian.Uint32(record[blockSize+28:])
	}
	if name == "UNMEASRD" {
		s.page.Loaded++
		s.flush()
		s.from += recordSize
	} else {
		s.page.Measured++
	}
	s.at += recordSize
	return nil
}

// peek returns the next n bytes; io.EOF when there are none at all.
func (s *stream) peek(n int) ([]byte, error) {
	if s.end-s.at < n {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	return s.buf[s.at : s.at+n], nil
}

// fill hashes what is measured, makes room and reads on.
func (s *stream) fill(n int) error {
	s.flush()
	s.base += int64(s.at)
	s.end = copy(s.buf, s.buf[s.at:s.end])
	s.from, s.at = 0, 0
	got, err := io.ReadAtLeast(s.r, s.buf[s.end:], n-s.end)
	s.end += got
	switch {
	case err == io.EOF && s.end == 0:
		return io.EOF
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return s.malformed("stream", fmt.Sprintf("ends inside a record: %d bytes are left of %d", s.end, n))
	case err != nil:
		return fmt.Errorf("reading SGXS stream: %w", err)
	}
	return nil
}

func (s *stream) flush() {
	s.hash.Write(s.buf[s.from:s.at])
	s.from = s.at
}

func (s *stream) sum() (MRENCLAVE, error) {
	s.flush()
	s.tell()
	return MRENCLAVE(s.hash.Sum(nil)), nil
}

func (s *stream) malformed(part, problem string) error {
	return &FormatError{Part: "SGXS " + part, Problem: problem, Offset: s.base + int64(s.at)}
}

// zero reports whether all bytes are 0, by eights: streams are full of them.
func zero(b []byte) bool {
	var seen uint64
	for ; len(b) >= 8; b = b[8:] {
		seen |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		seen |= uint64(c)
	}
	return seen == 0
}
