package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/measure/corim"
	"github.com/mrelease/mrelease/measure/sgx"
)

func measuredImage(t testing.TB) name.Digest {
	t.Helper()
	image, err := name.NewDigest("registry.example/app@sha256:" + strings.Repeat("b", 64))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// measurementOf returns a statement's predicate, of a signed enclave.
func measurementOf(t testing.TB, image name.Digest) []byte {
	t.Helper()
	signer, number := sgx.MRSIGNER{7}, uint16(1)
	masked := func(size int) *corim.Masked {
		return &corim.Masked{Value: make([]byte, size), Mask: bytes.Repeat([]byte{0xff}, size)}
	}
	m, err := NewMeasurement(image, corim.Reference{MRENCLAVE: sgx.MRENCLAVE{1}, MRSIGNER: &signer, ProductID: &number, SecurityVersion: &number, Attributes: masked(16), MiscSelect: masked(4)})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A statement of a measurement that differs in a letter from the one that is written is none.
func TestMeasurementIsWrittenInOneWay(t *testing.T) {
	image := measuredImage(t)
	written := measurementOf(t, image)
	if _, err := parseMeasurement(image, written); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(string) string{
		"another value":             func(s string) string { return strings.Replace(s, `"mrenclave":"01`, `"mrenclave":"02`, 1) },
		"another CoRIM":             func(s string) string { return strings.Replace(s, `"corim":"2`, `"corim":"3`, 1) },
		"no CoRIM":                  func(s string) string { return s[:strings.Index(s, `,"corim"`)] + "}" },
		"another profile":           func(s string) string { return strings.Replace(s, corim.Profile, "2.16.840.1.113741.1.16.2", 1) },
		"a value twice":             func(s string) string { return strings.Replace(s, `"isvsvn":1`, `"isvsvn":2,"isvsvn":1`, 1) },
		"in other letters":          func(s string) string { return strings.Replace(s, `"isvsvn"`, `"ISVSVN"`, 1) },
		"one more value":            func(s string) string { return strings.Replace(s, `"isvsvn"`, `"isvext":1,"isvsvn"`, 1) },
		"one value less":            func(s string) string { return strings.Replace(s, `"isvsvn":1,`, "", 1) },
		"digits in capitals":        func(s string) string { return strings.Replace(s, `"ffffffff"`, `"FFFFFFFF"`, 1) },
		"synthetic, which it isn't": func(s string) string { return strings.Replace(s, `"mrsigner"`, `"synthetic":true,"mrsigner"`, 1) },
		"null":                      func(string) string { return "null" },
		"a list":                    func(string) string { return "[]" },
		"deep":                      func(string) string { return strings.Repeat("[", 10_000) },
	} {
		changed := change(string(written))
		if changed == string(written) {
			t.Fatalf("%s: nothing was changed", what)
		}
		var wrong *ReferenceError
		if _, err := parseMeasurement(image, []byte(changed)); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", what, err)
		}
	}
	signer := sgx.MRSIGNER{7}
	for what, r := range map[string]corim.Reference{
		"of sizes that no quote has":     {MRSIGNER: &signer, ProductID: new(uint16), SecurityVersion: new(uint16), Attributes: &corim.Masked{Value: corim.Hex{0}}, MiscSelect: &corim.Masked{}},
		"with a signer and nothing more": {MRSIGNER: &signer},
		"with attributes of nobody":      {Attributes: &corim.Masked{Value: make(corim.Hex, 16), Mask: make(corim.Hex, 16)}},
	} {
		m, err := NewMeasurement(image, r)
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var wrong *ReferenceError
		if _, err := parseMeasurement(image, data); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", what, err)
		}
	}
	other, err := name.NewDigest("registry.example/app@sha256:" + strings.Repeat("c", 64))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseMeasurement(other, written); err == nil {
		t.Error("it is taken for another image's")
	}
}

// What is taken is written as it was read.
func FuzzMeasurement(f *testing.F) {
	image := measuredImage(f)
	f.Add(measurementOf(f, image))
	f.Add([]byte(`{"profile":"2.16.840.1.113741.1.16.1","reference":{"mrenclave":"` + strings.Repeat("0", 64) + `"},"corim":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMeasurement(image, data)
		if err != nil {
			return
		}
		written, err := json.Marshal(m)
		var read bytes.Buffer
		if err := errors.Join(err, json.Compact(&read, data)); err != nil || !bytes.Equal(read.Bytes(), written) {
			t.Errorf("%v: read %s, written %s", err, data, written)
		}
	})
}
