package approval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/document"
)

// Error says that a file is no plan that can be applied: it is malformed, has a member
// that no plan has, or is of another layout.
type Error struct {
	File    string
	Problem string
	Got     string
	Want    string
}

func (e *Error) Error() string { return fmt.Sprintf("the plan %s %s", e.File, e.Problem) }

// Evidence returns what was expected, and what is there.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.File}}
}

// HashError says that a plan is not the one that was approved: it was changed after it
// was written, or its hash is not the one that was given.
type HashError struct {
	File      string
	Got, Want string // that of its content; the one in it, or the one that was given
	Changed   bool   // the one in it is not that of its content
}

func (e *HashError) Error() string {
	if e.Changed {
		return fmt.Sprintf("the plan %s was changed after it was written", e.File)
	}
	return fmt.Sprintf("the plan %s is another one than was approved", e.File)
}

// Evidence returns both hashes.
func (e *HashError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}, {"where", e.File}}
}

// ReadFile reads a plan, as [Parse] does.
func ReadFile(path string) (Plan, error) {
	data, err := bounds.ReadFile(path, bounds.Plan)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return Plan{}, beyond(path, larger)
	}
	if err != nil {
		return Plan{}, fmt.Errorf("reading plan: %w", err)
	}
	return Parse(path, data)
}

// Parse reads what was in a plan's file. It takes one form only, that of [Plan.Encode],
// whatever space is between: a member that is unknown, twice, missing or written in other
// letters is an error, so that whoever looks at the file with another program sees the
// same plan. Errors: *Error, *HashError, *document.Error.
func Parse(file string, data []byte) (p Plan, err error) {
	var larger *bounds.Error
	if errors.As(bounds.CheckJSON(data), &larger) {
		return p, beyond(file, larger)
	}
	is := document.Of(data)
	family, _, _ := strings.Cut(Schema, "/")
	switch {
	case is.Schema == Schema:
	case strings.HasPrefix(is.Schema, family+"/"):
		return p, &Error{file, "is of a layout that this program does not know", is.Schema, Schema}
	default:
		return p, &document.Error{File: file, Want: "plan to apply (schema " + Schema + ", which mrelease plan -o writes)", Is: is.String()}
	}
	malformed := func(problem string) error {
		return &Error{file, "is malformed", problem, "a plan as mrelease plan -o wrote it"}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return Plan{}, malformed(bounds.Malformed(err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Plan{}, malformed("more text after its end")
	}
	return p, p.check(file, data, malformed)
}

func beyond(file string, larger *bounds.Error) *Error {
	return &Error{file, "cannot be read: " + larger.Reason(), "more", "at most " + larger.Most}
}

// check makes sure that a text says what was read of it, and that its hash is that of it.
func (p Plan) check(file string, data []byte, malformed func(string) error) error {
	if _, err := p.Cost.Ceiling(); err != nil {
		return malformed(err.Error())
	}
	sealed := p
	if err := sealed.Seal(); err != nil {
		return malformed(err.Error())
	}
	own, err := whole(sealed, p.Hash)
	if err != nil {
		return malformed(err.Error())
	}
	if text, err := transform(data); err != nil || !bytes.Equal(text, own) {
		return malformed("a member that is twice, missing, or in other letters")
	}
	if p.Hash != sealed.Hash {
		return &HashError{file, sealed.Hash, p.Hash, true}
	}
	return nil
}

// whole is the canonical form of all of a plan, with a hash.
func whole(p Plan, hash string) ([]byte, error) {
	p.Hash = hash
	encoded, err := p.Encode()
	if err != nil {
		return nil, err
	}
	return transform(encoded)
}

// CheckHash makes sure that a plan is the one that was approved. Its error is a
// *HashError.
func (p Plan) CheckHash(file, approved string) error {
	if p.Hash != approved {
		return &HashError{file, p.Hash, approved, false}
	}
	return nil
}
