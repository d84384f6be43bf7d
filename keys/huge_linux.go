package keys

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages. A kernel that has none to give changes nothing.
func adviseHuge(memory []byte) { _ = unix.Madvise(memory, unix.MADV_HUGEPAGE) }
