package keys

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages. A kernel that has none to give changes nothing.
func adviseHuge(memory []byte) { _ = unix.Madvise(memory, unix.MADV_HUGEPAGE) }

// forgetProgram takes the pages of the program's own file out of this process, which the
// kernel keeps: those of the start are not needed again, and the others are there at once.
// What cannot be seen, or is written to, stays.
func forgetProgram() {
	for _, m := range programMaps() {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// span is a range of addresses.
type span struct{ from, to uintptr }

// programMaps is where the program's own file is in memory, and only read.
func programMaps() (all []span) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(maps)) {
		var m span
		var rights string
		n, _ := fmt.Sscanf(line, "%x-%x %s", &m.from, &m.to, &rights)
		if n == 3 && strings.HasSuffix(line, " "+self+"\n") && !strings.Contains(rights, "w") {
			all = append(all, m)
		}
	}
	return all
}
