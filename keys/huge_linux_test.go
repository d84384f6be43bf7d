package keys

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What was read of the program's file is not in this process any more, and all still works.
func TestForgetProgram(t *testing.T) {
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for _, m := range findProgram() {
		if _, err := io.Copy(io.Discard, io.NewSectionReader(memory, int64(m.from), int64(m.to-m.from))); err != nil {
			t.Fatal(err)
		}
	}
	before := programPages(t)
	findProgram().forget()
	if after := programPages(t); after >= before*2/3 {
		t.Errorf("%d KiB of files are in memory, and were %d before", after, before)
	}
}

// What was put into the program's memory when it was loaded stays, as addresses are where it
// was linked with -buildmode=pie: the file does not have them.
func TestForgetProgramKeepsWhatIsNotInTheFile(t *testing.T) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	loaded, err := unix.Mmap(int(program.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(loaded) }()
	const address = "an address that the loader puts in"
	copy(loaded, address)
	if err := unix.Mprotect(loaded, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	findProgram().forget()
	if !strings.HasPrefix(string(loaded), address) {
		t.Errorf("it is gone: %q", loaded[:len(address)])
	}
}

// programPages is how much of files is in this process's memory, in KiB.
func programPages(t *testing.T) (kib int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, _ := fmt.Sscanf(line, "RssFile: %d kB", &kib); n == 1 {
			return kib
		}
	}
	t.Fatal("the kernel does not say how much of files is in memory")
	return 0
}
