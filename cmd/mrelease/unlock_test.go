package main

import (
	"errors"
	"math"
	"os"
	"regexp"
	"runtime/debug"
	"strconv"
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

func TestReserveGivesHugePages(t *testing.T) {
	setting, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(setting), "[never]") {
		t.Skipf("this kernel gives none: %s %v", setting, err)
	}
	const size = 64 << 20
	reserve(size)
	memory := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		memory[i] = 1
	}
	if got := hugeBytes(t); got < size/2 {
		t.Errorf("%d bytes of huge pages after filling %d", got, size)
	}
	if memory[size/2] != 1 {
		t.Error("the memory was lost")
	}
}

// hugeBytes returns how much of the process's memory is in huge pages.
func hugeBytes(t *testing.T) int {
	t.Helper()
	usage, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^AnonHugePages: +(\d+) kB$`).FindSubmatch(usage)
	if found == nil {
		t.Fatalf("no AnonHugePages in:\n%s", usage)
	}
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
