package enclave

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/mrelease/mrelease/measure/sgx"
)

// marks are what the enclaves of the two SDKs hold and other files do not: the
// names by which their loaders find what they need.
func marks() []string {
	magic := string(binary.LittleEndian.AppendUint64(nil, metadataMagic))
	return []string{noteSection + "\x00", noteName, magic, infoSection + "\x00", "_enclave_rva\x00", "_td_from_tcs_offset\x00"}
}

const longestMark = 32

// findMarks refuses a file that holds a signature, is no enclave to the loaders,
// and looks like one all the same: one changed byte in a name or a header must
// not turn an enclave whose code was changed into a file of which only the
// signature is looked at.
func findMarks(read reader, size uint64, found []sgx.Found) error {
	for _, s := range found {
		if isOE, err := inProperties(read, uint64(s.Offset)); isOE || err != nil {
			return markError("the properties of Open Enclave", uint64(s.Offset), err)
		}
	}
	buf := make([]byte, searchWindow+longestMark)
	for base := uint64(0); base < size; base += searchWindow {
		part := buf[:min(uint64(len(buf)), size-base)]
		if err := read(part, base); err != nil {
			return err
		}
		for _, mark := range marks() {
			if i := bytes.Index(part, []byte(mark)); i >= 0 {
				return markError(fmt.Sprintf("%q", bytes.TrimRight([]byte(mark), "\x00")), base+uint64(i), nil)
			}
		}
	}
	return nil
}

func markError(mark string, at uint64, err error) error {
	if err != nil {
		return err
	}
	return &UnmeasurableError{"file", fmt.Sprintf("has a mark of an SGX enclave (%s at %#x), and a loader would find none in it", mark, at)}
}

// inProperties reports whether a SIGSTRUCT stands where Open Enclave's structure
// has it: behind that structure's own size and the type of SGX enclaves.
func inProperties(read reader, sigstruct uint64) (bool, error) {
	const typeSGX = 2
	for _, size := range []uint64{sizeInfo, sizeInfoKSS, sizeInfoNow} {
		before := size - 8 - sgx.SIGSTRUCTSize
		if before > sigstruct {
			continue
		}
		var b [8]byte
		if err := read(b[:], sigstruct-before); err != nil {
			return false, err
		}
		if uint64(binary.LittleEndian.Uint32(b[:])) == size && binary.LittleEndian.Uint32(b[4:]) == typeSGX {
			return true, nil
		}
	}
	return false, nil
}

// isPE reports whether a file is a Windows program or library: a DOS header that
// points to "PE" (Microsoft's PE format, "MS-DOS Stub" and "Signature").
func isPE(r io.ReaderAt, size int64) bool {
	const atPointer = 0x3c
	var dos [atPointer + 4]byte
	var signature [4]byte
	if n, _ := r.ReadAt(dos[:], 0); n < len(dos) || dos[0] != 'M' || dos[1] != 'Z' {
		return false
	}
	at := int64(binary.LittleEndian.Uint32(dos[atPointer:]))
	if at > size-int64(len(signature)) {
		return false
	}
	n, _ := r.ReadAt(signature[:], at)
	return n == len(signature) && string(signature[:]) == "PE\x00\x00"
}
