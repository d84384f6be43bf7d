package measure_test

import (
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/mrelease/mrelease/measure"
)

// The object that iExec's CLI wrote on chain, byte for byte.
func TestObjectOfTheSDK(t *testing.T) {
	data, err := os.ReadFile("../poco/testdata/sdk8-createApp-scone.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		IexecJSON struct{ MREnclave json.RawMessage }
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	o, err := measure.ParseObject(recorded.IexecJSON.MREnclave)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"framework":"SCONE","version":"v5.9","entrypoint":"python /app/app.py","heapSize":1073741824,"fingerprint":"2d4b9efd066d0bb058b8da79bf8551be7d244779bc41d03a12201a4004779609"}`
	if o.String() != want {
		t.Errorf("object = %s, want %s", o, want)
	}
	o.Entrypoint = `sh -c "a && b > c"`
	if again, err := measure.ParseObject([]byte(o.String())); err != nil || again != o {
		t.Errorf("%s reads as %v, %v", o, again, err)
	}
}

// An object has the keys that its framework has, as iExec's SDK demands.
func TestObjectOfAnotherFramework(t *testing.T) {
	const text = `{"framework":"GRAMINE","version":"v0","fingerprint":"` + hash + `"}`
	o, err := measure.ParseObject([]byte(text))
	if err != nil || o.String() != text {
		t.Errorf("%s reads as %v, %v", text, o, err)
	}
}

func TestParseObjectRefuses(t *testing.T) {
	const good = `{"framework":"SCONE","version":"v5.9","entrypoint":"node /a.js","heapSize":1073741824,"fingerprint":"` + hash + `"}`
	if _, err := measure.ParseObject([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ text, part string }{
		"lower-case framework":  {`{"framework":"scone","version":"v5","entrypoint":"x","heapSize":1,"fingerprint":"` + hash + `"}`, "framework"},
		"no entrypoint":         {`{"framework":"SCONE","version":"v5","heapSize":1,"fingerprint":"` + hash + `"}`, "entrypoint"},
		"empty version":         {`{"framework":"SCONE","version":"","entrypoint":"x","heapSize":1,"fingerprint":"` + hash + `"}`, "version"},
		"no heap":               {`{"framework":"SCONE","version":"v5","entrypoint":"x","heapSize":0,"fingerprint":"` + hash + `"}`, "heapSize"},
		"entrypoint of another": {`{"framework":"GRAMINE","version":"v0","entrypoint":"x","fingerprint":"` + hash + `"}`, "entrypoint"},
		"heap of another":       {`{"framework":"TDX","version":"v0","heapSize":1,"fingerprint":"` + hash + `"}`, "heapSize"},
		"empty key of another":  {`{"framework":"GRAMINE","version":"v0","entrypoint":"","fingerprint":"` + hash + `"}`, "enclave object"},
		"huge heap":             {`{"framework":"SCONE","version":"v5","entrypoint":"x","heapSize":9007199254740992,"fingerprint":"` + hash + `"}`, "heapSize"},
		"0x":                    {`{"framework":"SCONE","version":"v5","entrypoint":"x","heapSize":1,"fingerprint":"0x` + hash + `"}`, "fingerprint"},
		"old key":               {`{"provider":"SCONE","version":"v5","entrypoint":"x","heapSize":1,"fingerprint":"` + hash + `"}`, "enclave object"},
		"heap as text":          {`{"framework":"SCONE","version":"v5","entrypoint":"x","heapSize":"1","fingerprint":"` + hash + `"}`, "enclave object"},
		"key twice":             {`{"version":"v5",` + good[1:], "enclave object"},
		"other letter case":     {`{"Framework":"SCONE","version":"v5","entrypoint":"x","heapSize":1,"fingerprint":"` + hash + `"}`, "enclave object"},
		"two objects":           {good + "{}", "enclave object"},
		"array":                 {"[]", "enclave object"},
		"truncated":             {good[:40], "enclave object"},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := measure.ParseObject([]byte(tt.text))
			var format *measure.FormatError
			if !errors.As(err, &format) || format.Part != tt.part {
				t.Errorf("%v, %v, want a FormatError about %s", o, err, tt.part)
			}
		})
	}
}

func FuzzParseFingerprint(f *testing.F) {
	f.Add(key + "|" + tag + "|" + hash)
	f.Add(key + "|" + tag + "|" + hash + "|python3 /app/app.py")
	f.Add(key[1:] + "|" + tag + "|" + hash)
	f.Add("||")
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := measure.ParseFingerprint(s)
		var format *measure.FormatError
		if err != nil && !errors.As(err, &format) {
			t.Errorf("%q: %v names no part", s, err)
		}
		if err == nil && parsed.String() != s {
			t.Errorf("%q reads as %q", s, parsed)
		}
	})
}

func FuzzParseMRENCLAVE(f *testing.F) {
	f.Add(hash)
	f.Add(hash + "\n")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := measure.ParseMRENCLAVE(s); err == nil && m.String() != s {
			t.Errorf("%q reads as %s", s, m)
		}
	})
}

func FuzzParseObject(f *testing.F) {
	f.Add(`{"framework":"SCONE","version":"v5.9","entrypoint":"node /a.js","heapSize":1073741824,"fingerprint":"` + hash + `"}`)
	f.Add(`{"framework":"SCONE"}{}`)
	f.Fuzz(func(t *testing.T, s string) {
		o, err := measure.ParseObject([]byte(s))
		if err != nil {
			return
		}
		if again, err := measure.ParseObject([]byte(o.String())); err != nil || again != o {
			t.Errorf("%q is %s, which reads as %v, %v", s, o, again, err)
		}
	})
}
