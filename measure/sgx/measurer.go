package sgx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
)

// Sizes of what SGX adds and measures (Intel SDM volume 3D).
const (
	PageSize  = 4096 // bytes that one EADD adds
	ChunkSize = 256  // bytes that one EEXTEND measures
)

const (
	blockSize  = 64
	recordSize = blockSize + ChunkSize                     // an EEXTEND block with its chunk
	pageRecord = blockSize + PageSize/ChunkSize*recordSize // an EADD block with sixteen of those
	runBlocks  = 256                                       // EADD blocks that are hashed at once
	checkEvery = 1 << 16                                   // pages between two looks at the context
)

// The tags that begin a block, as little endian numbers.
const (
	tagECREATE  uint64 = 0x0045544145524345
	tagEADD     uint64 = 0x0000000044444145
	tagEEXTEND  uint64 = 0x00444e4554584545
	tagUNMEASRD uint64 = 0x44525341454d4e55
	tagUNSIZED  uint64 = 0x0044455a49534e55
)

// PageFlags are a page's permissions and type, as in SECINFO.FLAGS (Intel SDM
// volume 3D, "Security Information").
type PageFlags uint64

// Permissions and page types.
const (
	Read    PageFlags = 1 << 0 // SECINFO.FLAGS.R
	Write   PageFlags = 1 << 1 // SECINFO.FLAGS.W
	Execute PageFlags = 1 << 2 // SECINFO.FLAGS.X
	TCSPage PageFlags = 1 << 8 // PT_TCS: a thread's control structure, without permissions
	REGPage PageFlags = 2 << 8 // PT_REG: code or data

	permissions           = Read | Write | Execute
	pageType    PageFlags = 0xff << 8
	shadowFirst PageFlags = 5 << 8 // PT_SS_FIRST
	shadowRest  PageFlags = 6 << 8 // PT_SS_REST
)

// String is as "r-x", or "tcs"; an odd type is written as a number.
func (f PageFlags) String() string {
	switch f & pageType {
	case TCSPage:
		return "tcs"
	case REGPage:
		text := []byte("---")
		for i, bit := range []PageFlags{Read, Write, Execute} {
			if f&bit != 0 {
				text[i] = "rwx"[i]
			}
		}
		return string(text)
	}
	return fmt.Sprintf("%#x", uint64(f))
}

// Valid reports whether EADD would take a page with these flags.
func (f PageFlags) Valid() bool {
	if f&^(permissions|pageType) != 0 {
		return false
	}
	switch f & pageType {
	case TCSPage:
		return f&permissions == 0
	case REGPage, shadowFirst, shadowRest:
		return f&Write == 0 || f&Read != 0
	}
	return false
}

// Measurer computes the MRENCLAVE of an enclave whose pages its caller knows.
// It needs a few kilobytes, however large the enclave is. It measures what it
// is told: that offsets are aligned, inside the enclave and added once is for
// the caller to check.
type Measurer struct {
	hash hash.Hash
	// page is what one page is hashed as. Only numbers and content change, and
	// one call of SHA-256 is much faster than thirty-three.
	page [pageRecord]byte
}

// NewMeasurer begins with ECREATE: the size of the enclave's address range in
// bytes, and the pages of one SSA frame.
func NewMeasurer(size uint64, ssaFramePages uint32) *Measurer {
	m := &Measurer{hash: sha256.New()}
	le := binary.LittleEndian
	le.PutUint64(m.page[:], tagEADD)
	for at := blockSize; at < pageRecord; at += recordSize {
		le.PutUint64(m.page[at:], tagEEXTEND)
	}
	var block [blockSize]byte
	le.PutUint64(block[:], tagECREATE)
	le.PutUint32(block[8:], ssaFramePages)
	le.PutUint64(block[12:], size)
	m.hash.Write(block[:])
	return m
}

// Add measures the EADD of the page at an offset in bytes.
func (m *Measurer) Add(offset uint64, flags PageFlags) {
	m.prepare(offset, flags)
	m.hash.Write(m.page[:blockSize])
}

// AddRun measures EADDs of consecutive pages whose content does not count, such
// as heap. The context ends it early; its error is returned.
func (m *Measurer) AddRun(ctx context.Context, offset, pages uint64, flags PageFlags) error {
	m.prepare(offset, flags)
	run := bytes.Repeat(m.page[:blockSize], int(min(pages, runBlocks)))
	for done := uint64(0); done < pages; {
		if done%checkEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		n := min(pages-done, runBlocks)
		for i := range n {
			binary.LittleEndian.PutUint64(run[i*blockSize+8:], offset+(done+i)*PageSize)
		}
		m.hash.Write(run[:n*blockSize])
		done += n
	}
	return nil
}

// Extend measures one EEXTEND: the chunk of 256 bytes at an offset in bytes.
func (m *Measurer) Extend(offset uint64, chunk *[ChunkSize]byte) {
	record := m.page[blockSize:][:recordSize]
	binary.LittleEndian.PutUint64(record[8:], offset)
	copy(record[blockSize:], chunk[:])
	m.hash.Write(record)
}

// AddPages measures consecutive pages with their content: for each an EADD and
// sixteen EEXTENDs. The content is a whole number of pages; what is left over
// is not measured.
func (m *Measurer) AddPages(offset uint64, flags PageFlags, content []byte) {
	for ; len(content) >= PageSize; content = content[PageSize:] {
		m.prepare(offset, flags)
		for i := range PageSize / ChunkSize {
			record := m.page[blockSize+i*recordSize:][:recordSize]
			binary.LittleEndian.PutUint64(record[8:], offset+uint64(i*ChunkSize))
			copy(record[blockSize:], content[i*ChunkSize:])
		}
		m.hash.Write(m.page[:])
		offset += PageSize
	}
}

// Sum returns the MRENCLAVE of what was measured so far.
func (m *Measurer) Sum() MRENCLAVE { return MRENCLAVE(m.hash.Sum(nil)) }

// prepare fills in the EADD block.
func (m *Measurer) prepare(offset uint64, flags PageFlags) {
	binary.LittleEndian.PutUint64(m.page[8:], offset)
	binary.LittleEndian.PutUint64(m.page[16:], uint64(flags))
}
