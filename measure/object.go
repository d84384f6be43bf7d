package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Object is the JSON value that chains store about an enclave since version 6
// of iExec's SDK. Its key order is part of the app's address, so there is one
// way to write it: MarshalJSON of this struct, compact.
type Object struct {
	Framework   string    `json:"framework"`            // upper case: iExec's services compare it by letter
	Version     string    `json:"version"`              // names a pipeline of the secret service, such as v5 or v5.9
	Entrypoint  string    `json:"entrypoint,omitempty"` // with HeapSize, of a framework that RunsProgram
	HeapSize    uint64    `json:"heapSize,omitempty"`   // bytes; must be the heap that was measured
	Fingerprint MRENCLAVE `json:"fingerprint"`
}

// ParseObject reads the value that a chain stores. Unknown, missing and
// repeated keys are errors, and those of another framework, as they are for iExec's backend
// (TeeEnclaveConfiguration of iexec-commons-poco).
func ParseObject(data []byte) (Object, error) {
	var o struct {
		Framework, Version, Entrypoint *string
		HeapSize                       *uint64
		Fingerprint                    *string
	}
	if err := checkKeys(data); err != nil {
		return Object{}, err
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return Object{}, &FormatError{"enclave object", "is no JSON object of its keys: " + err.Error(), excerpt(string(data))}
	}
	runs := o.Framework != nil && Object{Framework: *o.Framework}.RunsProgram()
	for _, field := range []struct {
		key     string
		missing bool
	}{
		{"framework", o.Framework == nil}, {"version", o.Version == nil}, {"entrypoint", runs && o.Entrypoint == nil},
		{"heapSize", runs && o.HeapSize == nil}, {"fingerprint", o.Fingerprint == nil},
	} {
		if field.missing {
			return Object{}, &FormatError{field.key, "is missing", excerpt(string(data))}
		}
	}
	object := Object{Framework: *o.Framework, Version: *o.Version}
	if o.Entrypoint != nil {
		object.Entrypoint = *o.Entrypoint
	}
	if o.HeapSize != nil {
		object.HeapSize = *o.HeapSize
	}
	if err := decodeHex("fingerprint", *o.Fingerprint, object.Fingerprint[:]); err != nil {
		return Object{}, err
	}
	err := object.Validate()
	if err == nil && !runs && (o.Entrypoint != nil || o.HeapSize != nil) {
		err = &FormatError{"enclave object", "has a key that framework " + object.Framework + " does not have", excerpt(string(data))}
	}
	return object, err
}

// checkKeys refuses keys in another letter case, keys twice, and bytes behind
// the object: encoding/json takes all three.
func checkKeys(data []byte) error {
	allowed := map[string]bool{"framework": true, "version": true, "entrypoint": true, "heapSize": true, "fingerprint": true}
	malformed := func(problem string) error {
		return &FormatError{"enclave object", problem, excerpt(string(data))}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return malformed("is no JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return malformed("is no JSON: " + err.Error())
		}
		key, _ := t.(string)
		if !allowed[key] {
			return malformed(fmt.Sprintf("has the key %q unexpectedly or twice", key))
		}
		delete(allowed, key)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return malformed("is no JSON: " + err.Error())
		}
	}
	if _, err := dec.Token(); err != nil {
		return malformed("is no JSON: " + err.Error())
	}
	if _, err := dec.Token(); err != io.EOF {
		return malformed("has bytes behind it")
	}
	return nil
}

// Validate reports the first field that iExec's backend would refuse
// (TeeEnclaveConfigurationValidator of iexec-commons-poco).
func (o Object) Validate() error {
	switch {
	case o.Framework == "" || o.Framework != strings.ToUpper(o.Framework):
		return &FormatError{"framework", "must be an upper-case name", excerpt(o.Framework)}
	case o.Version == "":
		return &FormatError{"version", "is empty", `""`}
	case !o.RunsProgram() && o.Entrypoint != "":
		return &FormatError{"entrypoint", "is not a key of framework " + o.Framework + ": iExec's SDK refuses it", excerpt(o.Entrypoint)}
	case !o.RunsProgram() && o.HeapSize != 0:
		return &FormatError{"heapSize", "is not a key of framework " + o.Framework + ": iExec's SDK refuses it", fmt.Sprint(o.HeapSize)}
	case !o.RunsProgram():
		return nil
	case strings.TrimSpace(o.Entrypoint) == "":
		return &FormatError{"entrypoint", "is empty", excerpt(o.Entrypoint)}
	case o.HeapSize == 0:
		return &FormatError{"heapSize", "is 0, want the measured heap in bytes", "0"}
	case o.HeapSize > 1<<53-1:
		return &FormatError{"heapSize", "is above 2^53-1", fmt.Sprint(o.HeapSize)}
	}
	return nil
}

// String returns the value as chains store it: compact JSON in canonical key
// order. Characters such as < and & stand for themselves, as JSON.stringify of
// iExec's SDK writes them.
func (o Object) String() string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(o); err != nil {
		panic("measure: encoding enclave object: " + err.Error()) // strings, a number and hex: cannot fail
	}
	return strings.TrimSuffix(b.String(), "\n")
}
