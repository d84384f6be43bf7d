package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func TestMeasureSeveralFiles(t *testing.T) {
	one := written(t, "one.so", newEnclave(t, productionBody()))
	other := written(t, "other.so", newEnclave(t, productionBody()))
	none := written(t, "none", []byte("nothing of SGX"))

	single := runProgram(t, "measure", one)
	value := strings.TrimSpace(single.stdout)
	got := runProgram(t, "measure", one, other)
	if want := value + "  " + one + "\n" + value + "  " + other + "\n"; got.code != 0 || got.stdout != want {
		t.Errorf("exit %d, %q, want %q", got.code, got.stdout, want)
	}
	got = runProgram(t, "measure", one, none, other)
	if want := value + "  " + one + "\n" + value + "  " + other + "\n"; got.code != 11 || got.stdout != want || strings.Count(got.stderr, "✓") != 2 || strings.Count(got.stderr, "✗") != 1 {
		t.Errorf("exit %d, %q\n%s", got.code, got.stdout, got.stderr)
	}
	got = runProgram(t, "measure", "--json", one, none)
	var answer struct {
		Schema string
		Files  []fileAnswer
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); err != nil || got.code != 11 || answer.Schema != "mrelease.measure-files/v1" || len(answer.Files) != 2 || answer.Files[0].Failure != nil || answer.Files[1].Failure.Code != "E-ENCLAVE-NONE" {
		t.Errorf("exit %d, %v, %s", got.code, err, got.stdout)
	}
	if got := runProgram(t, "measure", one, "ghcr.io/acme/hello:1.0.0"); got.code != 2 || !strings.Contains(got.stderr, "each must be a file") {
		t.Errorf("a file and an image: %+v", got)
	}
}

func TestMeasureExpected(t *testing.T) {
	path := written(t, "enclave.signed.so", newEnclave(t, productionBody()))
	value := strings.TrimSpace(runProgram(t, "measure", path).stdout)
	if got := runProgram(t, "measure", path, "--expect", strings.ToUpper(value)); got.code != 0 {
		t.Errorf("%+v", got)
	}
	wrong := strings.Repeat("0", 64)
	got := runProgram(t, "measure", path, "--expect", wrong)
	if got.code != 11 || strings.Contains(got.stderr, "✓") || !strings.Contains(got.stderr, "E-MEASURE-EXPECTED") || !strings.Contains(got.stderr, wrong) || !strings.Contains(got.stderr, "MRENCLAVE "+value) {
		t.Errorf("%+v", got)
	}
	if got := runProgram(t, "measure", path, "--expect", "12"); got.code != 2 || !strings.Contains(got.stderr, "64 hex digits") {
		t.Errorf("%+v", got)
	}
	if got := runProgram(t, "measure", "--help"); !strings.Contains(got.stdout, "Exit codes: 0") {
		t.Errorf("the help has no exit codes: %s", got.stdout)
	}
}

// The vectors that other people's tools made, where they are: each with the exit code and
// what it must show.
func TestMeasureVectors(t *testing.T) {
	const vectors = "../../../shared/vectors/"
	if _, err := os.Stat(vectors); err != nil {
		t.Skip("the vectors are not there: ", err)
	}
	signer := "fb4bab3d6036ac1d730fa83d7366df1dd2dfeac194ef335d6854d8a6c6475542"
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"fortanix-test_enclave.sgxs", "fortanix-test_enclave.sig", "--expect", signer}, 0, []string{"its pages measure to what is signed", "size 256 KiB, threads 1", "8 KiB rw- measured             saved state"}},
		{[]string{"fortanix-test_enclave.sgxs", "intel-le_prod_css.bin"}, 11, []string{"E-ENCLAVE-CHANGED"}},
		{[]string{"fortanix-test_enclave.sig", "--expect", signer}, 15, []string{"isvprodid 65535"}},
		{[]string{"fortanix-test_enclave.sig", "--expect", strings.Repeat("0", 64)}, 11, []string{"E-MEASURE-EXPECTED", "MRSIGNER " + signer}},
		{[]string{"intel-libsgx_pce.signed.so.1.25.100.1"}, 0, []string{"heap 32 KiB, stack 20 KiB, threads 1", "date 2024-08-11, vendor 0x8086 (Intel)", "pages of 4 KiB: 206 r--, 294 r-x, 39 rw-, 1 tcs"}},
	} {
		args := []string{"measure"}
		for _, arg := range tt.args {
			if strings.Contains(arg, ".") {
				arg = vectors + arg
			}
			args = append(args, arg)
		}
		got := runProgram(t, args...)
		for _, want := range tt.want {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%q is not told:\n%s", want, got.stderr)
			}
		}
		if got.code != tt.code || got.code != 0 && strings.Contains(got.stderr, "✓") {
			t.Errorf("%v: exit %d, want %d\n%s", tt.args, got.code, tt.code, got.stderr)
		}
	}
}
