package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/proof"
	"github.com/mrelease/mrelease/publish/record"
)

// Schema names the layout of a file.
const Schema = "mrelease.evidence/v1"

// maxReason bounds why there is no proof, in bytes: it is shown.
const maxReason = 500

// File is what a verification was told.
type File struct {
	Schema   string       `json:"schema"`
	Made     time.Time    `json:"made"`               // UTC, in seconds, as the clock of who made it has it
	Record   string       `json:"record"`             // the release's record, to the byte
	Proof    *proof.Chain `json:"proof,omitempty"`    // of app and order
	Unproven string       `json:"unproven,omitempty"` // why there is no proof
	Answers  []Answer     `json:"answers"`            // in the order of Service and Question, each once
}

// Answer is what a service answered.
type Answer struct {
	Service  Service `json:"service"`
	Question string  `json:"question"` // path with query, of a registry with its host; of a node, method and parameters
	Status   int     `json:"status"`   // of HTTP
	Type     string  `json:"type,omitempty"`
	Link     string  `json:"link,omitempty"`    // where a list goes on
	Filters  string  `json:"filters,omitempty"` // OCI-Filters-Applied, of a list of referrers
	Body     []byte  `json:"body,omitempty"`
}

// Service is who answers.
type Service string

// The services.
const (
	Node     Service = "node"
	Market   Service = "market"
	Registry Service = "registry"
)

// Error says why a file is none.
type Error struct {
	Path, Problem string
	Got, Want     string
}

func (e *Error) Error() string { return e.Path + " " + e.Problem }

// Evidence returns both values.
func (e *Error) Evidence() [][2]string {
	return [][2]string{{"where", e.Path}, {"expected", e.Want}, {"actual", e.Got}}
}

// Read reads a file with [Parse].
func Read(path string) (File, error) {
	data, err := bounds.ReadFile(path, bounds.Evidence)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return File{}, &Error{path, "cannot be read: " + larger.Reason(), "more", "at most " + larger.Most}
	}
	if err != nil {
		return File{}, fmt.Errorf("reading evidence: %w", err)
	}
	f, err := Parse(data)
	var wrong *Error
	if errors.As(err, &wrong) {
		wrong.Path = path
	}
	return f, err
}

// Parse reads what [File.Encode] wrote, and nothing else. Error: *Error.
func Parse(data []byte) (f File, err error) {
	fail := func(problem, got, want string) (File, error) {
		return File{}, &Error{"the file", problem, got, want}
	}
	if err := bounds.CheckJSON(data); err != nil {
		return fail("cannot be read: "+err.Error(), "more", "JSON of schema "+Schema)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return fail("cannot be read: "+bounds.Malformed(err), "malformed JSON", "JSON of schema "+Schema)
	}
	if f.Schema != Schema {
		return fail("is of another schema", fmt.Sprintf("%.200s", f.Schema), Schema)
	}
	if n := len(f.Answers); n > bounds.Answers {
		return fail("has more answers than are read", fmt.Sprint(n), fmt.Sprintf("at most %d", bounds.Answers))
	}
	if _, offset := f.Made.Zone(); offset != 0 || f.Made.Nanosecond() != 0 {
		return fail("has a time that is not in seconds of UTC", f.Made.String(), "as 2026-01-02T15:04:05Z")
	}
	if len(f.Unproven) > maxReason {
		return fail("has too long a reason for its want of a proof", fmt.Sprintf("%d bytes", len(f.Unproven)), fmt.Sprintf("at most %d", maxReason))
	}
	for i, a := range f.Answers {
		if a.Status != http.StatusOK && a.Status != http.StatusNotFound {
			return fail("has an answer that is not kept", fmt.Sprintf("status %d", a.Status), "status 200 or 404")
		}
		if i > 0 && f.Answers[i-1].compare(a) >= 0 || a.Service != Node && a.Service != Market && a.Service != Registry {
			return fail("has answers that are not in order, or twice", fmt.Sprintf("%.200q", a.Question), "each once, in order")
		}
	}
	encoded, err := f.Encode()
	if err != nil || !bytes.Equal(encoded, data) {
		return fail("is not written as mrelease writes it", "other bytes", "canonical JSON")
	}
	return f, nil
}

// Encode is the one way to write a file.
func (f File) Encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(f); err != nil {
		return nil, fmt.Errorf("encoding evidence: %w", err)
	}
	return out.Bytes(), nil
}

// Write writes a file so that a reader sees the old one or the new one. Errors: *Error for
// one that would not be read again.
func (f File) Write(path string) error {
	data, err := f.Encode()
	if err != nil {
		return err
	}
	if int64(len(data)) > bounds.Evidence || len(f.Answers) > bounds.Answers {
		return &Error{path, "would be larger than is read again", fmt.Sprintf("%s, %d answers", bounds.Bytes(int64(len(data))), len(f.Answers)), fmt.Sprintf("%s, %d answers", bounds.Bytes(bounds.Evidence), bounds.Answers)}
	}
	if _, err := Parse(data); err != nil {
		return err
	}
	if err := record.Replace(path, data); err != nil {
		return fmt.Errorf("writing evidence: %w", err)
	}
	return nil
}

func (a Answer) compare(b Answer) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Question, b.Question))
}

// find returns the answer to a question; nil when the file has none.
func (f File) find(s Service, question string) *Answer {
	at, there := slices.BinarySearchFunc(f.Answers, Answer{Service: s, Question: question}, Answer.compare)
	if !there {
		return nil
	}
	return &f.Answers[at]
}

// AbsentError says that a file has no answer to a question.
type AbsentError struct{ Question string }

func (e *AbsentError) Error() string { return "the file has no answer to " + e.Question }

// Absent tells what asks that it is not a service that failed.
func (e *AbsentError) Absent() {}
