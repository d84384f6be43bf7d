package buildkit

import (
	"errors"
	"testing"
)

func TestOddLayer(t *testing.T) {
	const mounted = "failed to solve: mount callback failed on /state/tmp/containerd-mount1: "
	for text, want := range map[string]string{
		mounted + "link /state/tmp/containerd-mount1/nothing /state/tmp/containerd-mount1/app: no such file or directory": "link /nothing /app: no such file or directory",
		mounted + "write /state/tmp/containerd-mount1/app: no space left on device":                                       "",
		mounted + "read-only file system":            "",
		"failed to solve: no such file or directory": "",
	} {
		got := ""
		if e := oddLayer(errors.New(text)); e != nil {
			got = e.Problem
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestFullDisk(t *testing.T) {
	const full = "write /state/x: no space left on device"
	for _, tt := range []struct {
		text string
		exit int
		want string
	}{
		{"failed to solve: ResourceExhausted: " + full, 0, full}, {full, 0, full}, {"open /state/x: disk quota exceeded", 0, "open /state/x: disk quota exceeded"},
		{"process \"cp a b\" did not complete successfully: exit code: 1: " + full, 1, ""}, {"no space left on device: here it is not", 0, ""},
	} {
		if got := fullDisk(&BuildError{Err: errors.New(tt.text), ExitCode: tt.exit}); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}
