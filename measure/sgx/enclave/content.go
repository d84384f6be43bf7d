package enclave

import "encoding/binary"

// content writes what a region holds from a byte offset on. Both the offset
// and the length are whole pages.
type content func(dst []byte, at uint64) error

// reader reads a file at an offset that was checked to be in it.
type reader func(dst []byte, at uint64) error

// patch is a change of a file or an image before it is measured.
type patch struct {
	at   uint64
	data []byte
}

// word is a patch of eight bytes.
func word(at, value uint64) patch {
	return patch{at, binary.LittleEndian.AppendUint64(nil, value)}
}

// apply makes the patches, in order, in what was read from an offset on.
func apply(patches []patch, dst []byte, at uint64) {
	end := at + uint64(len(dst))
	for _, p := range patches {
		from, to := max(p.at, at), min(p.at+uint64(len(p.data)), end)
		if from < to {
			copy(dst[from-at:to-at], p.data[from-p.at:])
		}
	}
}

// filled is one 32-bit number again and again.
func filled(value uint32) content {
	return func(dst []byte, _ uint64) error {
		n := copy(dst, binary.LittleEndian.AppendUint32(nil, value))
		for n < len(dst) {
			n += copy(dst[n:], dst[:n])
		}
		return nil
	}
}

// repeated is the same page again and again. Pages are made when they are
// needed, for there may be thousands of threads.
func repeated(page func(dst []byte)) content {
	return func(dst []byte, _ uint64) error {
		clear(dst[:pageSize])
		page(dst[:pageSize])
		for n := pageSize; n < len(dst); {
			n += copy(dst[n:], dst[:n])
		}
		return nil
	}
}

// segment is n bytes of a file at an offset, preceded by lead zeros and
// followed by zeros.
func segment(read reader, offset, n, lead uint64) content {
	return func(dst []byte, at uint64) error {
		from, to := max(at, lead), min(at+uint64(len(dst)), lead+n)
		if from >= to {
			clear(dst)
			return nil
		}
		clear(dst[:from-at])
		clear(dst[to-at:])
		return read(dst[from-at:to-at], offset+from-lead)
	}
}

// shifted is content from an offset on.
func (c content) shifted(by uint64) content {
	return func(dst []byte, at uint64) error { return c(dst, at+by) }
}

// patched is content with patches, whose places count from base.
func (c content) patched(patches []patch, base uint64) content {
	return func(dst []byte, at uint64) error {
		if err := c(dst, at); err != nil {
			return err
		}
		apply(patches, dst, base+at)
		return nil
	}
}
