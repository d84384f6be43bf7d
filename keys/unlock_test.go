package keys

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

func TestUnlockRestoresTheMemoryLimit(t *testing.T) {
	wrong := errors.New("wrong password")
	for name, memory := range map[string]int64{"little": 4 << 10, "usual": 64 << 20, "negative": -1, "absurd": math.MaxInt64} {
		during := int64(0)
		l := locked[int]{memory: memory, open: func() (int, error) {
			during = debug.SetMemoryLimit(-1)
			return 7, wrong
		}}
		before := debug.SetMemoryLimit(-1)
		if got, err := l.unlock(); got != 7 || err != wrong {
			t.Errorf("%s: got %d, %v, want what open returned", name, got, err)
		}
		if after := debug.SetMemoryLimit(-1); after != before {
			t.Errorf("%s: the limit is %d, was %d", name, after, before)
		}
		if name == "usual" && during != usualMemory+memoryBeside {
			t.Errorf("%s: the limit was %d while the key was opened", name, during)
		}
	}
}

// Whether the kernel has huge pages to give is another matter.
func TestHugePagesAreAskedFor(t *testing.T) {
	memory := huge(64 << 20)
	var address uint64
	if _, err := fmt.Sscanf(fmt.Sprintf("%p", memory), "0x%x", &address); err != nil {
		t.Fatal(err)
	}
	if flags := mappingFlags(t, address); !slices.Contains(flags, "hg") {
		t.Errorf("the flags of the memory are %q, want hg among them (proc_pid_smaps(5))", flags)
	}
	memory[0] = 1
}

// mappingFlags returns the VmFlags of the mapping that holds an address.
func mappingFlags(t *testing.T, address uint64) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		var start, end uint64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &start, &end); n == 2 {
			inside = start <= address && address < end
		}
		if flags, found := strings.CutPrefix(line, "VmFlags:"); found && inside {
			return strings.Fields(flags)
		}
	}
	t.Fatalf("no mapping holds %#x", address)
	return nil
}
