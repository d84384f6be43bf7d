package enclave_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
)

// program is on every machine, and loads the C library.
const program = "/bin/sh"

// measured returns what the program measures to with these variables.
func measured(t *testing.T, name string, env map[string]string) enclave.Measurement {
	t.Helper()
	s, err := enclave.ParseSettings(enclave.Defaults(), func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	m, err := enclave.Measure(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func copyFile(t *testing.T, from, to string, more ...byte) string {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, append(content, more...), 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// libc returns the C library that the program loads, as the system's own tool
// tells.
func libc(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	match := regexp.MustCompile(`libc\.so\.6 => (\S+)`).FindSubmatch(out)
	switch {
	case match != nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("ldd tells no libc.so.6 of %s: %v", program, err)
	default:
		t.Skipf("ldd tells no libc.so.6 of %s: %v", program, err)
	}
	return string(match[1])
}

func TestMeasureDependsOnItsInputs(t *testing.T) {
	plain := measured(t, program, nil)
	dir := t.TempDir()
	copyFile(t, libc(t), filepath.Join(dir, "libc.so.6"), 0)
	extension := copyFile(t, libc(t), filepath.Join(dir, "extension.so"), 1)
	for name, env := range map[string]map[string]string{
		"heap":       {"SCONE_HEAP": "1G"},
		"stack":      {"SCONE_STACK": "4M"},
		"dlopen":     {"SCONE_ALLOW_DLOPEN": "1"},
		"dlopen 2":   {"SCONE_ALLOW_DLOPEN": "2"},
		"tcs":        {"SCONE_TCS": "16"},
		"mprotect":   {"SCONE_MPROTECT": "1"},
		"fork":       {"SCONE_FORK": "1"},
		"syslibs":    {"SCONE_SYSLIBS": "1"},
		"extensions": {"SCONE_EXTENSIONS_PATH": extension},
		"libraries":  {"LD_LIBRARY_PATH": dir},
		"preload":    {"LD_PRELOAD": extension},
	} {
		t.Run(name, func(t *testing.T) {
			got := measured(t, program, env)
			if got.Static == plain.Static {
				t.Error("the measurement is the same")
			}
			if same := got.EDMM == plain.EDMM; same != (name == "heap") {
				t.Errorf("the measurement with EDMM is the same: %t", same)
			}
		})
	}
	changed := measured(t, copyFile(t, program, filepath.Join(dir, "program"), 0), nil)
	if changed == plain {
		t.Error("a changed program has the same measurement")
	}
}

func TestMeasureDependsOnNothingElse(t *testing.T) {
	plain := measured(t, program, nil)
	dir := t.TempDir()
	for name, env := range map[string]map[string]string{
		"defaults":   {"SCONE_HEAP": "64M", "SCONE_STACK": "64K", "SCONE_ALLOW_DLOPEN": "0", "SCONE_TCS": "8", "SCONE_MPROTECT": "0", "SCONE_FORK": "no", "SCONE_SYSLIBS": "0"},
		"log":        {"SCONE_LOG": "7"},
		"mode":       {"SCONE_MODE": "sim"},
		"queues":     {"SCONE_QUEUES": "8", "SCONE_SLOTS": "1", "SCONE_SSPINS": "1", "SCONE_SSLEEP": "1"},
		"config":     {"SCONE_CONFIG_ID": "x/app", "SCONE_CAS_ADDR": "cas", "SCONE_LAS_ADDR": "las"},
		"version":    {"SCONE_VERSION": "1", "SCONE_HASH": "1"},
		"signature":  {"SCONE_ISVSVN": "1", "SCONE_ISVPRODID": "1", "SCONE_PRODUCTION": "1"},
		"same files": {"LD_LIBRARY_PATH": dir},
	} {
		t.Run(name, func(t *testing.T) {
			if measured(t, program, env) != plain {
				t.Error("the measurement is another one")
			}
		})
	}
	if measured(t, copyFile(t, program, filepath.Join(dir, "other-name")), nil) != plain {
		t.Error("the program's name is in the measurement")
	}
	heap := measured(t, program, map[string]string{"SCONE_MIN_HEAP": "8M"})
	if heap.Static != plain.Static || heap.EDMM == plain.EDMM {
		t.Error("the minimal heap counts with EDMM, and with EDMM only")
	}
}

func TestSizesInBytes(t *testing.T) {
	for _, v := range []string{"1073741824", "1048576K", "1024M", "1G", "1g"} {
		if n, err := enclave.ParseSize(v); err != nil || n != 1<<30 {
			t.Errorf("%s is %d, %v", v, n, err)
		}
	}
	for _, v := range []string{"", "0", "-1", "1T", "G", "1.5G", "1 G", "99999999999G"} {
		if n, err := enclave.ParseSize(v); err == nil {
			t.Errorf("%q is %d", v, n)
		}
	}
}

func TestMeasurementIsMarked(t *testing.T) {
	m := measured(t, program, nil)
	if !measure.MRENCLAVE(m.Static).IsSynthetic() || !measure.MRENCLAVE(m.EDMM).IsSynthetic() {
		t.Errorf("%s and %s are not marked", m.Static, m.EDMM)
	}
	if m.Static == m.EDMM {
		t.Error("both values are the same")
	}
	if parsed, err := measure.ParseMRENCLAVE(m.Static.String()); err != nil || !bytes.Equal(parsed[:], m.Static[:]) {
		t.Errorf("%s reads as %s, %v", m.Static, parsed, err)
	}
}

func TestMeasureFails(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]enclave.Settings{
		text:       enclave.Defaults(),
		"/nowhere": enclave.Defaults(),
		program:    {Extensions: []string{"/nowhere.so"}},
	} {
		if m, err := enclave.Measure(name, s); err == nil {
			t.Errorf("%s measures to %s", name, m.Static)
		}
	}
	for name, v := range map[string]string{"SCONE_HEAP": "big", "SCONE_TCS": "-1", "SCONE_FORK": "2", "SCONE_ALLOW_DLOPEN": "3"} {
		if _, err := enclave.ParseSettings(enclave.Defaults(), func(n string) string { return map[string]string{name: v}[n] }); err == nil {
			t.Errorf("%s=%s is taken", name, v)
		}
	}
}
