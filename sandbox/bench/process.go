package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cost is what a piece of work took. CPU is that of the processes and what they
// waited for; Peak is the memory of the largest one.
type cost struct {
	Wall, CPU time.Duration
	Peak      int64 // bytes
}

// and is the cost of one piece of work after the other.
func (c cost) and(d cost) cost {
	return cost{c.Wall + d.Wall, c.CPU + d.CPU, max(c.Peak, d.Peak)}
}

// timed runs a command that must succeed, and returns what it printed on
// standard output.
func timed(cmd *exec.Cmd) ([]byte, cost, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return nil, cost{}, fmt.Errorf("running %s: %w\n%s%s", filepath.Base(cmd.Path), err, &stdout, &stderr)
	}
	state := cmd.ProcessState
	c := cost{Wall: wall, CPU: state.UserTime() + state.SystemTime()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		c.Peak = usage.Maxrss << 10
	}
	return stdout.Bytes(), c, nil
}

// daemon is a buildkitd.
type daemon struct {
	address string
	process *exec.Cmd
	log     bytes.Buffer
}

// startDaemon starts a buildkitd with its state in a folder, and waits until it
// answers.
func (b *bench) startDaemon(ctx context.Context, root string) (*daemon, error) {
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	d := &daemon{address: "unix://" + filepath.Join(root, "socket")}
	d.process = exec.CommandContext(ctx, b.path("bin/buildkitd"), "--root", filepath.Join(root, "state"), "--addr", d.address, "--containerd-worker=false")
	d.process.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin") // of runc
	d.process.Stdout, d.process.Stderr = &d.log, &d.log
	d.process.Cancel = func() error { return d.process.Process.Signal(syscall.SIGTERM) }
	if err := d.process.Start(); err != nil {
		return nil, fmt.Errorf("starting buildkitd: %w", err)
	}
	for range 1000 {
		if _, err := os.Stat(filepath.Join(root, "socket")); err == nil {
			return d, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, d.stop())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, errors.Join(fmt.Errorf("starting buildkitd: it does not answer:\n%s", &d.log), d.stop())
}

func (d *daemon) stop() error {
	err := d.process.Process.Signal(syscall.SIGTERM)
	_ = d.process.Wait() // a daemon that was told to end has no exit code to look at
	return err
}

// used returns the CPU time of the daemon and of what it ran to the end, and its
// largest memory.
func (d *daemon) used() (cost, error) {
	proc := filepath.Join("/proc", strconv.Itoa(d.process.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(proc, "stat"))
	if err != nil {
		return cost{}, fmt.Errorf("measuring buildkitd: %w", err)
	}
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return cost{}, fmt.Errorf("measuring buildkitd: %w", err)
	}
	// After the name in parentheses come the fields from number 3; 14 to 17 are
	// the times of the process and its children, in hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var c cost
	for _, ticks := range fields[11:15] {
		n, err := strconv.Atoi(ticks)
		if err != nil {
			return cost{}, fmt.Errorf("measuring buildkitd: %w", err)
		}
		c.CPU += time.Duration(n) * 10 * time.Millisecond
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &c.Peak); err == nil {
			c.Peak <<= 10
			break
		}
	}
	return c, nil
}

// during adds to a piece of work what the daemon did for it meanwhile.
func (d *daemon) during(work func() (cost, error)) (cost, error) {
	before, err := d.used()
	if err != nil {
		return cost{}, err
	}
	c, err := work()
	if err != nil {
		return cost{}, err
	}
	after, err := d.used()
	return c.and(cost{CPU: after.CPU - before.CPU, Peak: after.Peak}), err
}
