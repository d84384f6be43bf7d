package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/cmd/usage"
	"github.com/mrelease/mrelease/measure/sgx"
	"github.com/mrelease/mrelease/printable"
)

// ran is what a run of the program left.
type ran struct {
	code           int
	stdout, stderr string
}

func runProgram(t *testing.T, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, func(string) string { return "" }, &stdout, &stderr)
	return ran{code, stdout.String(), stderr.String()}
}

// onlyDocument decodes standard output, which must be one JSON document.
func (r ran) onlyDocument(t *testing.T) (answer fileAnswer) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.stdout))
	if err := d.Decode(&answer); err != nil {
		t.Fatalf("%v in %s", err, r.stdout)
	}
	if err := d.Decode(&struct{}{}); err != io.EOF {
		t.Errorf("more than one document: %s", r.stdout)
	}
	return answer
}

func productionBody() sgx.Body {
	return sgx.Body{Date: 0x20250101, Attributes: sgx.Attributes{Flags: sgx.Mode64Bit, XFRM: 3}, AttributesMask: sgx.Attributes{Flags: ^uint64(0)}}
}

func TestMeasureFile(t *testing.T) {
	path := written(t, "enclave.signed.so", newEnclave(t, productionBody()))
	plain := runProgram(t, "measure", path)
	if plain.code != 0 || len(plain.stdout) != 65 || !strings.Contains(plain.stderr, "its pages measure to what is signed") {
		t.Fatalf("%+v", plain)
	}
	answer := runProgram(t, "measure", path, "--json").onlyDocument(t)
	if e := answer.Enclaves[0]; !e.Proven || e.Computed.String() != strings.TrimSpace(plain.stdout) || answer.Failure != nil {
		t.Errorf("%+v", answer)
	}
}

// A mask that leaves DEBUG open lets the host choose; what is not signed has no
// product; Intel's own signatures are told.
func TestMeasureFileSaysWhatTheSignatureSays(t *testing.T) {
	locked, open, debug, intel := productionBody(), productionBody(), productionBody(), productionBody()
	open.AttributesMask.Flags = ^sgx.Debug
	debug.Attributes.Flags |= sgx.Debug
	intel.ReleaseType = true
	for name, tt := range map[string]struct {
		body  sgx.Body
		says  string
		debug sgx.DebugMode
	}{
		"locked": {locked, "isvprodid 0, isvsvn 0, debug refused", sgx.DebugRefused},
		"open":   {open, "debug allowed", sgx.DebugAllowed},
		"debug":  {debug, "debug signed", sgx.DebugSigned},
		"Intel":  {intel, "EINIT refuses this signature outside Intel's own use", sgx.DebugRefused},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, "enclave.signed.so", newEnclave(t, tt.body))
			got := runProgram(t, "measure", path)
			if got.code != 0 || !strings.Contains(got.stderr, tt.says) || len(got.stdout) != 65 {
				t.Errorf("%+v, want %s", got, tt.says)
			}
			e := runProgram(t, "measure", path, "--json").onlyDocument(t).Enclaves[0]
			if e.Debug != tt.debug || (e.Note != "") != tt.body.ReleaseType || e.Product == nil {
				t.Errorf("%+v", e)
			}
		})
	}
	stream := append([]byte("ECREATE\x00\x01\x00\x00\x00\x00\x00\x01\x00"), make([]byte, 48)...)
	got := runProgram(t, "measure", written(t, "enclave.sgxs", stream), "--json")
	if got.code != 0 || strings.Contains(got.stdout, "isv") || strings.Contains(got.stdout, "debug") || strings.Contains(got.stdout, "signed") {
		t.Errorf("%+v", got)
	}
}

// An enclave whose code was changed, with one byte more that would hide it, is
// refused, prints no value that was only signed, and never ends with 0.
func TestAttackMeasureFile(t *testing.T) {
	enclave := newEnclave(t, productionBody())
	signature := signBody(t, productionBody())
	changed := bytes.Clone(enclave)
	changed[enclaveCode] ^= 1
	windows := append(make([]byte, 512), signature...)
	copy(windows, "MZ")
	windows[0x3c] = 0x80
	copy(windows[0x80:], "PE\x00\x00")
	poke := func(at int, b byte) []byte {
		file := bytes.Clone(changed)
		file[at] = b
		return file
	}
	altered := bytes.Clone(signature)
	altered[600] ^= 1 // of the RSA signature, from 516 to 900
	for name, tt := range map[string]struct {
		file []byte
		exit int
		code string
		says string
	}{
		"code changed":                         {changed, 11, "E-ENCLAVE-CHANGED", "computed MRENCLAVE"},
		"code changed and e_shstrndx":          {poke(62, 0), 11, "E-ENCLAVE-UNMEASURED", "sgx"},
		"code changed and the section's name":  {poke(enclaveNote+noteHeader+blockSize+3, 'N'), 11, "E-ENCLAVE-UNMEASURED", "sgx_metadata"},
		"code changed and the ELF magic":       {poke(1, 'e'), 11, "E-ENCLAVE-UNMEASURED", "sgx"},
		"code changed and the note's name":     {poke(enclaveNote+12, 'S'), 11, "E-ENCLAVE-FILE", "has another name"},
		"code changed and the metadata's mark": {poke(enclaveNote+noteHeader, 0), 11, "E-ENCLAVE-UNSIGNED", "not signed"},
		"a signature for an enclave":           {signature, 15, "E-ENCLAVE-SIGNATURE-ONLY", "SIGSTRUCT"},
		"a Windows library for an enclave":     {windows, 15, "E-ENCLAVE-SIGNATURE-ONLY", "Windows"},
		"a signature that was changed":         {altered, 12, "E-ENCLAVE-SIGNATURE", "RSA"},
		"a signature in some file":             {append([]byte("some file"), signature...), 15, "E-ENCLAVE-SIGNATURE-ONLY", "runtime"},
	} {
		t.Run(name, func(t *testing.T) {
			path := written(t, "enclave.signed.so", tt.file)
			got := runProgram(t, "measure", path)
			if got.code != tt.exit || !strings.Contains(got.stderr, tt.code+":") || !strings.Contains(got.stderr, tt.says) {
				t.Errorf("%+v, want %d %s, %s", got, tt.exit, tt.code, tt.says)
			}
			if measured := tt.code == "E-ENCLAVE-CHANGED"; measured != (got.stdout != "") {
				t.Errorf("standard output: %s", got.stdout)
			}
			if json := runProgram(t, "measure", path, "--json"); json.code != tt.exit || strings.Contains(json.stdout, `"proven": true`) {
				t.Errorf("%+v", json)
			} else {
				json.onlyDocument(t)
			}
		})
	}
}

// A small file that asks for gigabytes of hashing is refused at once; the caller
// may allow more, and is told how far it is.
func TestAttackSmallFileThatMakesUsHash(t *testing.T) {
	file := newEnclave(t, productionBody())
	binary.LittleEndian.PutUint64(file[64+40:], 1<<30)                     // the segment's size in memory
	binary.LittleEndian.PutUint64(file[enclaveNote+noteHeader+40:], 1<<40) // the enclave's
	got := runProgram(t, "measure", written(t, "enclave.signed.so", file), "--hash-limit", "1")
	if got.code != usage.ExitMeasurement || !strings.Contains(got.stderr, "E-ENCLAVE-LIMIT") || !strings.Contains(got.stderr, "--hash-limit") || got.stdout != "" {
		t.Errorf("%+v", got)
	}
	if got := runProgram(t, "measure", "--hash-limit", "0"); got.code != usage.ExitUsage {
		t.Errorf("%+v", got)
	}
}

func TestHashProgress(t *testing.T) {
	var told bytes.Buffer
	a := &app{story: story{w: printable.NewWriter(&told)}, hashLimit: 16}
	clock := time.Unix(0, 0)
	tell := a.hashProgress(func() time.Time { return clock })
	for range 40 {
		clock = clock.Add(progressEvery / 10)
		tell(3<<20, 5<<30)
	}
	if lines := strings.Count(told.String(), "3 MB of 5120 MB hashed"); lines != 4 {
		t.Errorf("told %d times: %s", lines, told.String())
	}
}
