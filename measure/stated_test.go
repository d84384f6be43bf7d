package measure_test

import (
	"errors"
	"testing"

	"github.com/mrelease/mrelease/measure"
)

// What an image states without being run.
func TestStated(t *testing.T) {
	fingerprint := key + "|" + tag + "|" + hash
	claimed, nothing := legacy(), measure.Spec{Format: measure.None}
	claimed.Claim = fingerprint
	inFile := object()
	inFile.File = "/conf/fingerprint.txt"
	for name, tt := range map[string]struct {
		spec  measure.Spec
		file  string
		want  string
		known bool
	}{
		"a fingerprint file":           {legacy(), fingerprint + "\n", fingerprint, true},
		"the publisher's claim":        {claimed, "", fingerprint, true},
		"both":                         {claimed, fingerprint, fingerprint, true},
		"nothing":                      {legacy(), "", "", false},
		"the MRENCLAVE without a seal": {legacy(), hash, "", false},
		"the MRENCLAVE of an object":   {inFile, hash, `{"framework":"SCONE","version":"v5.9","entrypoint":"node /app/app.js","heapSize":1073741824,"fingerprint":"` + hash + `"}`, true},
		"TDX":                          {nothing, "", "", true},
	} {
		files := map[string]string{"etc/x": "x"}
		if tt.file != "" {
			files["conf/fingerprint.txt"] = tt.file
		}
		enclave, known, err := measure.Stated(t.Context(), image(t, files), tt.spec)
		if err != nil || known != tt.known || enclave.Value != tt.want {
			t.Errorf("%s: %q, %t, %v, want %q, %t", name, enclave.Value, known, err, tt.want, tt.known)
		}
	}
}

func TestStatedRefuses(t *testing.T) {
	contradicted := legacy()
	contradicted.Claim = key + "|" + tag + "|" + other
	var mismatch *measure.MismatchError
	files := map[string]string{"conf/fingerprint.txt": key + "|" + tag + "|" + hash}
	if _, _, err := measure.Stated(t.Context(), image(t, files), contradicted); !errors.As(err, &mismatch) {
		t.Errorf("two values: %v, want a MismatchError", err)
	}
	var malformed *measure.FormatError
	files = map[string]string{"conf/fingerprint.txt": key[1:] + "|" + tag + "|" + hash}
	if _, _, err := measure.Stated(t.Context(), image(t, files), legacy()); !errors.As(err, &malformed) || malformed.Part != "KEY" {
		t.Errorf("a key of 63 digits: %v, want a FormatError about the KEY", err)
	}
}

func TestUnmeasured(t *testing.T) {
	if e := measure.Unmeasured(legacy()); len(e.Value) != len(key+"|"+tag+"|"+hash) || e.IsSynthetic() {
		t.Errorf("legacy: %q", e.Value)
	}
	if _, err := measure.ParseObject([]byte(measure.Unmeasured(object()).Value)); err != nil {
		t.Errorf("object: %v", err)
	}
	if e := measure.Unmeasured(measure.Spec{Format: measure.None}); e.Value != "" {
		t.Errorf("none: %q", e.Value)
	}
}
