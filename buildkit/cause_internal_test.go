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
