//go:build conformance

package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/sandbox/container"
)

// shape is how a container is started.
type shape struct {
	name         string
	capabilities []string
	covered      []string // paths that are masked
	denies       bool     // a filter denies user namespaces
	daemon       bool     // a buildkitd outside builds
}

// usual are the capabilities that Docker gives.
func usual() []string {
	return strings.Fields("CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE")
}

// covered are the paths that Docker masks.
func covered() []string {
	return strings.Fields("/proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug /proc/scsi /sys/firmware")
}

func shapes() []shape {
	return []shape{
		{name: "privileged", capabilities: append(usual(), strings.Fields("CAP_SYS_ADMIN CAP_NET_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_DAC_READ_SEARCH CAP_IPC_LOCK")...)},
		{name: "rootless", capabilities: usual()},
		{name: "with a daemon", capabilities: usual(), covered: covered(), denies: true, daemon: true},
	}
}

// image is the container image, unpacked.
type image struct {
	rootfs string
	args   []string
	env    []string
}

// unpack takes the image that make image-amd64 built.
func unpack(t *testing.T) image {
	t.Helper()
	rootfs := filepath.Join(t.TempDir(), "rootfs")
	config, err := container.Unpack(t.Context(), "../../build/image", rootfs)
	must(t, err)
	return image{rootfs, config.Entrypoint, config.Env}
}

// command runs the image's entrypoint in a container.
func (i image) command(t *testing.T, s shape, j job, args ...string) *exec.Cmd {
	t.Helper()
	bundle := t.TempDir()
	bind := func(path, to, more string) map[string]any {
		return map[string]any{"destination": to, "type": "bind", "source": path, "options": append([]string{"rbind"}, strings.Fields(more)...)}
	}
	mounts := []map[string]any{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": []string{"nosuid", "mode=755"}},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666"}},
		{"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
		bind("/sys", "/sys", ""), bind("/etc/resolv.conf", "/etc/resolv.conf", "ro"),
		bind(filepath.Dir(j.dir), filepath.Dir(j.dir), ""), bind(absolute(t, "../../build/base"), absolute(t, "../../build/base"), "ro"),
		bind(j.state, "/var/cache/mrelease", ""), // the volume
	}
	env := i.env
	for _, variable := range j.env {
		if !strings.HasPrefix(variable, "MRELEASE_STATE=") {
			env = append(env, variable)
		}
	}
	if s.daemon {
		env = append(env, "BUILDKIT_HOST="+startDaemon(t, filepath.Dir(j.dir)))
	}
	linux := map[string]any{
		"namespaces":  []map[string]string{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}}, // the world is on this machine's loopback
		"maskedPaths": s.covered,
	}
	if s.denies { // as Docker's own profile does
		linux["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "architectures": []string{"SCMP_ARCH_X86_64"}, "syscalls": []map[string]any{
			{"names": []string{"unshare", "setns", "mount"}, "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
			{"names": []string{"clone"}, "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": []map[string]any{{"index": 0, "value": 0x10000000, "valueTwo": 0x10000000, "op": "SCMP_CMP_MASKED_EQ"}}},
			{"names": []string{"clone3"}, "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
		}}
	}
	config, err := json.Marshal(map[string]any{
		"ociVersion": "1.0.2", "root": map[string]any{"path": i.rootfs}, "hostname": "container", "mounts": mounts, "linux": linux,
		"process": map[string]any{
			"user": map[string]int{"uid": 0, "gid": 0}, "args": append(i.args, args...), "env": env, "cwd": j.dir,
			"capabilities": map[string]any{"bounding": s.capabilities, "effective": s.capabilities, "permitted": s.capabilities},
		},
	})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(bundle, "config.json"), config, 0o600))
	return exec.CommandContext(t.Context(), "runc", "run", "--bundle", bundle, "conformance-"+filepath.Base(filepath.Dir(bundle))+filepath.Base(bundle))
}

// release plans and releases in containers.
func (i image) release(t *testing.T, s shape, j job) outcome {
	plan := run(t, i.command(t, s, j, append([]string{"plan", "--json", "--version", version}, j.configs()...)...))
	c := i.command(t, s, j, append([]string{"release", "--progress", "quiet", "--version", version}, j.configs()...)...)
	stderr, err := c.StderrPipe()
	must(t, err)
	var answer, log bytes.Buffer
	c.Stdout = &answer
	start := time.Now()
	must(t, c.Start())
	lines := bufio.NewReader(stderr)
	first, err := lines.ReadString('\n')
	t.Logf("%.2f s to the first line: %s", time.Since(start).Seconds(), strings.TrimSpace(first))
	if err == nil {
		_, err = io.Copy(&log, lines)
	}
	if err := c.Wait(); err != nil {
		t.Fatalf("%v\n%s%s%s", err, first, &log, &answer)
	}
	must(t, err)
	return outcome{read(t, filepath.Join(j.dir, "dist", "record.json")), plan}
}

// A container that can build in no way says what it lacks, and what mends it.
func TestAContainerThatCannotBuildSaysWhy(t *testing.T) {
	image, w := unpack(t), startWorld(t, nil)
	for _, tt := range []struct {
		shape shape
		want  string
	}{
		{shape{name: "as Docker starts it", capabilities: usual(), covered: covered(), denies: true}, "a seccomp filter, such as that of a container, allows no user namespace"},
		{shape{name: "with /proc covered", capabilities: usual(), covered: covered()}, "parts of /proc are covered here"},
		{shape{name: "without capabilities", capabilities: []string{}}, "newuidmap is not installed"},
	} {
		t.Run(tt.shape.name, func(t *testing.T) {
			out, err := image.command(t, tt.shape, newJob(t, "hello-python", w, t.TempDir()), "build", "--builder", "embedded").CombinedOutput()
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), tt.want) || !strings.Contains(string(out), "remedy") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// startDaemon starts a buildkitd and returns its address.
func startDaemon(t *testing.T, dir string) string {
	t.Helper()
	socket := filepath.Join(dir, "buildkitd.sock")
	if _, err := os.Stat(socket); err == nil {
		return "unix://" + socket
	}
	c := exec.Command(program(t, "buildkitd"), "--root", filepath.Join(dir, "daemon"), "--addr", "unix://"+socket, "--containerd-worker=false")
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Signal(os.Interrupt)
		_ = c.Wait() // an interrupted daemon has no exit code to look at
	})
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			return "unix://" + socket
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("buildkitd did not start")
	return ""
}
