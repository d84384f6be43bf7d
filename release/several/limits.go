package several

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// perBuild is the memory that a build is given, beside what it shares with the others: the
// steps of a Dockerfile, the layers that are compressed, and what is read of the context.
const perBuild = 1 << 30

// Builds is how many apps are built at the same time: one for each processor, and for each
// GiB of the memory that this process may have. The builder itself runs several steps of one
// build at the same time.
func Builds() int {
	n := runtime.GOMAXPROCS(0)
	if memory := memory(); memory > 0 {
		n = min(n, int(memory/perBuild))
	}
	return max(n, 1)
}

// memory is what this process may have, in bytes: that of the machine, or of its control
// group, if that is less; 0 when neither can be read.
func memory() (least uint64) {
	for _, read := range []func() uint64{ofMachine, ofGroup} {
		if m := read(); m > 0 && (least == 0 || m < least) {
			least = m
		}
	}
	return least
}

// ofMachine reads Linux's table of memory; 0 where there is none.
func ofMachine() uint64 {
	table, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemTotal:" {
			kilobytes, _ := strconv.ParseUint(fields[1], 10, 50) // 0 for what is no number
			return kilobytes << 10
		}
	}
	return 0
}

// ofGroup reads the limit of the control group that a container's processes see as the root
// of all, of both versions; 0 for none.
func ofGroup() uint64 {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			limit, _ := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64) // "max" is none
			return limit
		}
	}
	return 0
}
