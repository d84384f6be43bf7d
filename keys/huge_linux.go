package keys

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// adviseHuge asks for huge pages. A kernel that has none to give changes nothing.
func adviseHuge(memory []byte) { _ = unix.Madvise(memory, unix.MADV_HUGEPAGE) }

// program is where this process's memory is the program's own file.
type program []span

// forget takes the pages out of this process, which the kernel keeps: those of the start are
// not needed again, and the others are there at once.
func (p program) forget() {
	for _, m := range p {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// span is a range of addresses.
type span struct{ from, to uintptr }

// findProgram finds where memory is the program's own file, unchanged, and can only be read.
// What cannot be seen is left out, and so is what this process wrote to, be it only as it was
// loaded: the file does not have that. A program that was linked to be loaded anywhere
// (-buildmode=pie) has memory that can only be read, too, whose addresses were put in when it
// was loaded.
func findProgram() (all program) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	var m span
	isFile := false
	for line := range strings.Lines(string(maps)) {
		var at span
		var rights string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &at.from, &at.to, &rights); n == 3 {
			m = at
			isFile = strings.HasSuffix(line, " "+self+"\n") && !strings.Contains(rights, "w")
		}
		if changed := 1; isFile {
			if n, _ := fmt.Sscanf(line, "Anonymous: %d kB", &changed); n == 1 && changed == 0 {
				all = append(all, m)
			}
		}
	}
	return all
}
