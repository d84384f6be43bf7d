// Package document says what a file is, for those who wanted another one. It looks at
// the file's kind and its outermost names only, and quotes nothing else: a key may be
// in it.
package document

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error says that a file is something else than was asked for.
type Error struct {
	File string
	Want string // "record"
	Is   string // what it is
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s is no %s: it is %s", e.File, e.Want, e.Is)
}

// Evidence returns what it is, and where.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Is}, {"where", e.File}}
}

// Document is what was seen of a file.
type Document struct {
	Schema string   // which a JSON object names; else empty
	Keys   []string // of a JSON object, in their order, as far as it could be read
	kind   string   // of what is no JSON object
	media  string
	broken bool
}

// maxShown bounds what is quoted of a file, in bytes.
const maxShown = 100

// Of looks at a file's content, whose size and depth the caller has bounded.
func Of(data []byte) Document {
	d := Document{kind: kindOf(data)}
	if d.kind == "" {
		d.readObject(data)
	}
	return d
}

// Has reports whether it is a JSON object with all of some keys, in any letter case, as
// Go's decoder takes them.
func (d Document) Has(keys ...string) bool {
	for _, key := range keys {
		if !slices.ContainsFunc(d.Keys, func(k string) bool { return strings.EqualFold(k, key) }) {
			return false
		}
	}
	return true
}

// IsText reports whether it is a JSON object or a PEM file, which no program is.
func (d Document) IsText() bool {
	return d.kind == "" && !d.broken || strings.HasPrefix(d.kind, "a PEM file")
}

// String says what it is.
func (d Document) String() string {
	what := d.kind
	switch {
	case what != "":
	case d.Schema != "":
		what = "JSON of schema " + shown(d.Schema)
	case d.media != "":
		what = "JSON of media type " + shown(d.media)
	case d.Has("imageLayoutVersion"), d.Has("manifests"):
		what = "a part of an OCI layout, of which the folder is the image"
	case d.Has("crypto"):
		what = "a wallet's keystore file"
	case len(d.Keys) == 0:
		what = "a JSON object"
	default:
		what = "a JSON object that begins with the key " + shown(d.Keys[0])
	}
	if d.broken {
		what += ", malformed"
	}
	return what
}

func shown(text string) string {
	if len(text) > maxShown {
		text = strings.ToValidUTF8(text[:maxShown], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

// kindOf names what begins as no JSON object does; empty for one that does.
func kindOf(data []byte) string {
	text := bytes.TrimLeft(data, " \t\r\n\ufeff")
	if len(text) == 0 {
		return "empty"
	}
	if text[0] == '{' {
		return ""
	}
	if json.Valid(text) {
		return "JSON, but no object"
	}
	if block, _ := pem.Decode(text); block != nil {
		return "a PEM file: " + shown(block.Type)
	}
	if bytes.HasPrefix(data, []byte("\x7fELF")) {
		return "an ELF program or library"
	}
	if len(data) > 262 && string(data[257:262]) == "ustar" {
		return "a tar archive"
	}
	if utf8.Valid(data) && !bytes.ContainsRune(data, 0) {
		return "text that is no JSON"
	}
	return "no text (" + http.DetectContentType(data) + ")"
}

// readObject reads the keys of the outermost object, and those of its values that say
// what it is. What is malformed ends it.
func (d *Document) readObject(data []byte) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	dec := json.NewDecoder(bytes.NewReader(data))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var key json.Token
		var value json.RawMessage
		if key, err = dec.Token(); err != nil {
			break
		}
		name, _ := key.(string)
		if err = dec.Decode(&value); err == nil {
			d.Keys = append(d.Keys, name)
			d.read(name, value)
		}
	}
	d.broken = !json.Valid(data)
}

func (d *Document) read(name string, value json.RawMessage) {
	into := map[string]*string{"schema": &d.Schema, "mediatype": &d.media}[strings.ToLower(name)]
	if into != nil && json.Unmarshal(value, into) != nil {
		*into = "" // no text
	}
}
