// Package sbom is the list of what is in an image, as a scanner writes it: SPDX 2 in JSON.
//
// A scanner writes the time of the scan and a random name of the document, and may list
// things in an order of its own. [Normalise] brings that into one form, so that two scans
// of the same image by the same scanner are equal, byte for byte:
//
//   - the times at which the document and its annotations were made are the release's;
//   - UUIDs in the document's namespace are made from the rest of the document (version 8 of
//     RFC 9562, of a SHA-256), wherever they occur in it;
//   - the elements of all arrays are sorted by their text: SPDX has no order in any;
//   - the scanner is named among the creators, with its digest;
//   - the whole is in the canonical form of RFC 8785 (JCS).
//
// The digest of a document is the SHA-256 of that form, so whoever has the file or the
// statement finds it with jq -jcS . FILE | sha256sum.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	spdx "github.com/spdx/tools-golang/json"

	"github.com/mrelease/mrelease/bounds"
)

// Type is the predicate type of statements with a document.
const Type = "https://spdx.dev/Document"

// Document is what a scanner lists, in its one form.
type Document struct {
	Raw      []byte // JSON in the form of RFC 8785
	Packages int
	Creators []string // who made it, as it says
}

// Digest is the SHA-256 of the document.
func (d Document) Digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256(d.Raw))}
}

// IsBy reports whether the document names a scanner, as [Normalise] has it.
func (d Document) IsBy(scanner string) bool { return slices.Contains(d.Creators, tool(scanner)) }

// tool names a scanner as creators are named.
func tool(scanner string) string { return "Tool: " + scanner }

// Error says why something is no document that can be taken.
type Error struct{ Problem, Got, Want string }

func (e *Error) Error() string { return "the SBOM " + e.Problem }

// Evidence returns what was found, and what is wanted.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}}
}

const wanted = "a document of SPDX 2.2 or 2.3 in JSON, as it is or in a statement of type " + Type

// Parse reads a document that somebody else may have written, and brings it into the form of
// RFC 8785; it changes no value. Its error is an [*Error].
func Parse(data []byte) (Document, error) {
	var d Document
	value, err := decode(data)
	if err != nil {
		return d, err
	}
	return encode(value)
}

// Normalise reads what a scanner wrote, a document or an in-toto statement with one, and
// brings it into its one form. Its error is an [*Error].
func Normalise(written []byte, made time.Time, scanner string) (Document, error) {
	value, err := decode(written)
	if err != nil {
		return Document{}, err
	}
	if value, err = unwrap(value); err != nil {
		return Document{}, err
	}
	if err := date(value, made, scanner); err != nil {
		return Document{}, err
	}
	if value, err = rename(value); err != nil {
		return Document{}, err
	}
	return encode(value)
}

// decode bounds a text before it is decoded, and the number of an object's members after
// that: the canonical form takes the square of it.
func decode(data []byte) (any, error) {
	if len(data) > bounds.SBOM {
		return nil, &Error{"is too large", fmt.Sprintf("%d bytes", len(data)), bounds.Bytes(bounds.SBOM) + " at most"}
	}
	if err := bounds.CheckValues(data, bounds.SBOMValues); err != nil {
		return nil, &Error{"is too large: " + err.Error(), "more", "less"}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, &Error{"cannot be read: " + bounds.Malformed(err), "malformed JSON", wanted}
	}
	if d.More() {
		return nil, &Error{"cannot be read: there is more after its end", "malformed JSON", wanted}
	}
	if n := widest(value); n > bounds.SBOMMembers {
		return nil, &Error{"cannot be read: it has an object with too many members", fmt.Sprint(n), fmt.Sprintf("%d at most", bounds.SBOMMembers)}
	}
	return value, nil
}

// widest returns how many members an object in a value has at most.
func widest(value any) (most int) {
	switch v := value.(type) {
	case map[string]any:
		most = len(v)
		for _, member := range v {
			most = max(most, widest(member))
		}
	case []any:
		for _, element := range v {
			most = max(most, widest(element))
		}
	}
	return most
}

// unwrap returns the document in a statement.
func unwrap(value any) (any, error) {
	statement, ok := value.(map[string]any)
	if !ok || statement["predicateType"] == nil {
		return value, nil
	}
	if statement["predicateType"] != Type {
		return nil, &Error{"is in a statement of another type", fmt.Sprintf("%.200q", fmt.Sprint(statement["predicateType"])), wanted}
	}
	return statement["predicate"], nil
}

// encode writes a document, which must be one.
func encode(value any) (d Document, err error) {
	if d.Raw, err = canonical(value); err != nil {
		return Document{}, &Error{"cannot be written: " + err.Error(), "something else", wanted}
	}
	parsed, err := spdx.Read(bytes.NewReader(d.Raw))
	if err != nil {
		return Document{}, &Error{"cannot be read: " + bounds.Malformed(err), "something else", wanted}
	}
	switch {
	case parsed.SPDXIdentifier != "DOCUMENT":
		return Document{}, &Error{"does not say that it is a document", fmt.Sprintf("SPDXID %.200q", parsed.SPDXIdentifier), "SPDXID SPDXRef-DOCUMENT"}
	case parsed.DocumentNamespace == "":
		return Document{}, &Error{"has no namespace", "nothing", "documentNamespace"}
	case parsed.CreationInfo == nil:
		return Document{}, &Error{"does not say who made it", "nothing", "creationInfo"}
	}
	d.Packages = len(parsed.Packages)
	for _, c := range parsed.CreationInfo.Creators {
		d.Creators = append(d.Creators, c.CreatorType+": "+c.Creator)
	}
	return d, nil
}

// canonical writes a value as RFC 8785 says.
func canonical(value any) ([]byte, error) {
	if _, ok := value.(map[string]any); !ok {
		return nil, errors.New("it is no object")
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return jsoncanonicalizer.Transform(text)
}
