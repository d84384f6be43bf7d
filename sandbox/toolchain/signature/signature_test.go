package signature_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/sandbox/toolchain/enclave"
	"github.com/mrelease/mrelease/sandbox/toolchain/signature"
)

func measured() enclave.Measurement {
	var m enclave.Measurement
	copy(m.Static[:], "SYNTHETIC one")
	copy(m.EDMM[:], "SYNTHETIC two")
	return m
}

func sign(t *testing.T, o signature.Options) *signature.Signature {
	t.Helper()
	s, err := signature.Sign(measured(), enclave.Defaults(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What verifies enclaves finds both SIGSTRUCTs in the file, and accepts them.
func TestSignedProgramHoldsTwoSIGSTRUCTs(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	if err := sign(t, signature.Options{SecurityVersion: 3}).Write(name, []byte("\x7fELF program")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	found, err := sgx.Find(t.Context(), bytes.NewReader(data), int64(len(data)))
	if err != nil || len(found) != 2 {
		t.Fatalf("found %d SIGSTRUCTs, %v", len(found), err)
	}
	for i, want := range []enclave.Hash{measured().Static, measured().EDMM} {
		if found[i].Err != nil {
			t.Errorf("SIGSTRUCT %d: %v", i, found[i].Err)
		}
		b := found[i].SIGSTRUCT.Body()
		if enclave.Hash(b.MRENCLAVE) != want || b.SecurityVersion != 3 || !b.Debug() || !b.DebugLocked() {
			t.Errorf("SIGSTRUCT %d states %+v, want the measurement %s", i, b, want)
		}
	}
}

func TestReadIsTheInverseOfWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	program := []byte("program")
	s := sign(t, signature.Options{Production: true})
	for range 2 { // the second signature takes the place of the first
		if err := s.Write(name, program); err != nil {
			t.Fatal(err)
		}
		got, rest, err := signature.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(rest, program) || !bytes.Equal(got.Static.Bytes(), s.Static.Bytes()) || !bytes.Equal(got.EDMM.Bytes(), s.EDMM.Bytes()) || !got.Production() {
			t.Errorf("read another signature or program (%q)", rest)
		}
		program = rest
		if alone, err := signature.Of(name); err != nil || !bytes.Equal(alone.Static.Bytes(), s.Static.Bytes()) {
			t.Errorf("the signature alone is %v, %v", alone, err)
		}
	}
	for _, unsigned := range [][]byte{program, bytes.Repeat(program, 100)} {
		if err := os.WriteFile(name, unsigned, 0o755); err != nil {
			t.Fatal(err)
		}
		if got, err := signature.Of(name); got != nil || err != nil {
			t.Errorf("a program of %d bytes that is not signed has the signature %v, %v", len(unsigned), got, err)
		}
	}
	if err := os.WriteFile(name, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if got, rest, err := signature.Read(name); got != nil || err != nil || !bytes.Equal(rest, program) {
		t.Errorf("an unsigned program has the signature %v, %v", got, err)
	}
}

func TestSignHasNoDateAndNoRandomness(t *testing.T) {
	o := signature.Options{ProductID: 1, XFRM: signature.DefaultXFRM}
	a, b := sign(t, o), sign(t, o)
	if !bytes.Equal(a.Static.Bytes(), b.Static.Bytes()) || a.Static.Body().Date != 0 {
		t.Error("two signatures of the same differ, or have a date")
	}
}

func TestDamagedSignature(t *testing.T) {
	name := filepath.Join(t.TempDir(), "program")
	if err := sign(t, signature.Options{}).Write(name, nil); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 1808, 3616, len(data) - 52} {
		if err := os.WriteFile(name, data[cut:], 0o755); err != nil {
			t.Fatal(err)
		}
		if _, _, err := signature.Read(name); err == nil {
			t.Errorf("a signature without its first %d bytes is read", cut)
		}
	}
}
