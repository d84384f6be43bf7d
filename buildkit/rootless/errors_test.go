//go:build linux && amd64

package rootless

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

// kernel is /proc of a machine with these settings, and this status of a process.
func kernel(files map[string]string) fstest.MapFS {
	proc := fstest.MapFS{}
	for name, text := range files {
		proc[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return proc
}

// What this machine's kernel does not say is shown with a stand-in for its /proc.
func TestRefusalsNameTheirCure(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		proc    map[string]string
		problem string
		remedy  string
	}{
		{"Debian's switch", syscall.EPERM, map[string]string{"sys/kernel/unprivileged_userns_clone": "0\n"}, "kernel.unprivileged_userns_clone is 0", "sysctl -w kernel.unprivileged_userns_clone=1"},
		{"none left", syscall.ENOSPC, map[string]string{"sys/user/max_user_namespaces": "0\n"}, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="},
		{"none left, as some kernels say it", syscall.EPERM, map[string]string{"sys/user/max_user_namespaces": "0\n"}, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="},
		{"Ubuntu's AppArmor", syscall.EACCES, map[string]string{"sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, "apparmor_restrict_unprivileged_userns is 1", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{"a container", syscall.EPERM, map[string]string{"self/status": "Name:\tx\nNoNewPrivs:\t0\nSeccomp:\t2\n", "sys/user/max_user_namespaces": "100\n"}, "seccomp", "seccomp=unconfined"},
		{"an old kernel", syscall.EINVAL, nil, "no user namespaces", "CONFIG_USER_NS"},
		{"nobody says why", syscall.EPERM, map[string]string{"sys/kernel/unprivileged_userns_clone": "1\n"}, "operation not permitted", "ask who runs this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got *Error
			if err := refused(kernel(tt.proc), tt.err); !errors.As(err, &got) || !strings.Contains(got.Problem, tt.problem) || !strings.Contains(got.Remedy, tt.remedy) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestWhatIsNoRefusalStaysWhatItIs(t *testing.T) {
	var none *Error
	if err := refused(kernel(nil), syscall.ENOMEM); errors.As(err, &none) || !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("got %v", err)
	}
}

func TestUnusableNamespacesNameTheirCure(t *testing.T) {
	armored := map[string]string{"sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}
	for _, tt := range []struct {
		err     *mountError
		proc    map[string]string
		problem string
		remedy  string
	}{
		{&mountError{"/", syscall.EACCES}, armored, "AppArmor", "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		{&mountError{"/proc", syscall.EPERM}, nil, "/proc are covered", "systempaths=unconfined"},
		{&mountError{"/", syscall.EPERM}, nil, "mounting /: operation not permitted", "security module"},
	} {
		// On its way out of the child an error is a fault.
		var mount *mountError
		if err := newFault(tt.err).err(); !errors.As(err, &mount) {
			t.Fatalf("%v came as %v", tt.err, err)
		}
		var got *Error
		if err := unusable(kernel(tt.proc), mount); !errors.As(err, &got) || !strings.Contains(got.Problem, tt.problem) || !strings.Contains(got.Remedy, tt.remedy) {
			t.Errorf("%v: got %+v", tt.err, got)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var words tail
	for range 10 {
		if n, err := words.Write([]byte(strings.Repeat("x", maxTail/4) + "end")); n != maxTail/4+3 || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := words.String(); len(got) != maxTail || !strings.HasSuffix(got, "end") {
		t.Errorf("%d bytes, which end in %q", len(got), got[len(got)-3:])
	}
}
