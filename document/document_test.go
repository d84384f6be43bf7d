package document_test

import (
	"strings"
	"testing"

	"github.com/mrelease/mrelease/document"
)

func TestWhatAFileIs(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "empty"},
		"space":          {" \n", "empty"},
		"a schema":       {`{"schema":"mrelease.lock/v1","b":1}`, `JSON of schema "mrelease.lock/v1"`},
		"a broken one":   {`{"schema":"mrelease.lock/v1","b":`, `JSON of schema "mrelease.lock/v1", malformed`},
		"two":            {`{"schema":"a"} {}`, `JSON of schema "a", malformed`},
		"no text":        {`{"schema":7,"b":1}`, `a JSON object that begins with the key "schema"`},
		"a manifest":     {`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`, `JSON of media type "application/vnd.oci.image.manifest.v1+json"`},
		"a layout":       {`{"imageLayoutVersion":"1.0.0"}`, "a part of an OCI layout, of which the folder is the image"},
		"a wallet":       {`{"address":"ab","Crypto":{},"version":3}`, "a wallet's keystore file"},
		"no key":         {`{}`, "a JSON object"},
		"a mark before":  {"\ufeff" + `{"schema":"a"}`, `JSON of schema "a"`},
		"a list":         {`[1]`, "JSON, but no object"},
		"a number":       {`12`, "JSON, but no object"},
		"a key":          {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", `a PEM file: "PRIVATE KEY"`},
		"a program":      {"\x7fELF\x02\x01\x01\x00", "an ELF program or library"},
		"an archive":     {"name" + strings.Repeat("\x00", 253) + "ustar\x0000", "a tar archive"},
		"a compressed":   {"\x1f\x8b\x08\x00\x00", "no text (application/x-gzip)"},
		"a document":     {"image: ghcr.io/acme/hello\n", "text that is no JSON"},
		"a long schema":  {`{"schema":"` + strings.Repeat("a", 1000) + `"}`, `JSON of schema "` + strings.Repeat("a", 100) + `…"`},
		"only a bracket": {"{", "a JSON object, malformed"},
	} {
		if got := document.Of([]byte(c.text)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestHas(t *testing.T) {
	d := document.Of([]byte(`{"a":1,"B":{"c":2}}`))
	if !d.Has("a", "b") || d.Has("c") || d.Has("a", "x") {
		t.Errorf("%+v", d)
	}
}
