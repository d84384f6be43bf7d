package buildkit_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ran is what a program printed that was run as an image's own.
func ran(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var printed bytes.Buffer
	code, err := shared(t).Run(t.Context(), programImage(t, v1.Config{Entrypoint: append([]string{"/program"}, args...)}), nil, &printed, &printed)
	check(t, err)
	return code, printed.String()
}

// TestAttackConfinedContainer lets the program that is measured take what it can get.
func TestAttackConfinedContainer(t *testing.T) {
	t.Run("4 GB of files", func(t *testing.T) {
		code, out := ran(t, "fill", "/", "4096")
		equal(t, "exit code", code, 1)
		contains(t, "output", out, "no space left on device")
	})
	t.Run("10,000 processes", func(t *testing.T) {
		needGroups(t)
		code, out := ran(t, "spawn", "10000")
		equal(t, "exit code", code, 1)
		contains(t, "output", out, "resource temporarily unavailable")
	})
	t.Run("all memory", func(t *testing.T) {
		needGroups(t)
		_, out := ran(t, "cat", limitFile(t))
		if limit := strings.TrimSpace(out); len(limit) < 6 || len(limit) > 13 {
			t.Errorf("the limit of memory is %q", limit)
		}
	})
	t.Run("new privileges and capabilities", func(t *testing.T) {
		_, out := ran(t, "cat", "/proc/self/status")
		contains(t, "status", out, "NoNewPrivs:\t1\n", "CapEff:\t00000000000000cb\n", "CapBnd:\t00000000000000cb\n")
	})
	t.Run("the machine's users", func(t *testing.T) {
		if max, err := os.ReadFile("/proc/sys/user/max_user_namespaces"); err != nil || strings.TrimSpace(string(max)) == "0" {
			t.Skip("this machine has no user namespaces")
		}
		_, out := ran(t, "link", "/proc/self/ns/user")
		if own := must(os.Readlink("/proc/self/ns/user")); strings.TrimSpace(out) == own {
			t.Errorf("the program is in the user namespace of this process, %s", own)
		}
	})
	t.Run("what it wrote stays behind", func(t *testing.T) {
		if left := string(must(os.ReadFile("/proc/self/mountinfo"))); strings.Contains(left, common.dir) && strings.Contains(left, "/written") {
			t.Errorf("mounts are left: %s", left)
		}
	})
}

func needGroups(t *testing.T) {
	t.Helper()
	data := string(must(os.ReadFile("/proc/self/cgroup")))
	controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	for _, name := range []string{"memory", "pids"} {
		if !strings.Contains(data, ":"+name+":") && !strings.Contains(string(controllers), name) {
			t.Skip("this machine has no control groups for " + name)
		}
	}
}

// limitFile is where a container sees its limit of memory.
func limitFile(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		return "/sys/fs/cgroup/memory.max"
	}
	return "/sys/fs/cgroup/memory/memory.limit_in_bytes"
}

// BenchmarkRun measures how long it takes to run a program that prints a line.
func BenchmarkRun(b *testing.B) {
	common.once.Do(common.open)
	image := assemble(v1.Config{Entrypoint: []string{"/program", "print", "x"}}, must(programLayer()))
	for b.Loop() {
		if _, err := common.builder.Run(b.Context(), image, nil, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
