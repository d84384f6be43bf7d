// Package vex reads documents of OpenVEX 0.2.0: what their author says of vulnerabilities in
// a product (affected, not affected and why, fixed, under investigation). A document is taken
// whole or not at all: a tool that reads it less strictly must find the same in it. So no
// member may be there twice, or in other letters, which some decoders take for the same.
//
// A document may change as often as vulnerabilities are found: its version is counted up
// under the same @id, and the one with the highest counts.
package vex

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// Type is the predicate type of statements with a document: OpenVEX's own, and cosign's
// openvex. Which version of OpenVEX it is of stands in the document.
const Type = "https://openvex.dev/ns"

// Context is the @context of documents that are read, and the predicate type that other tools
// write in the place of [Type].
const Context = Type + "/v0.2.0"

// Document is what an author says.
type Document struct {
	Raw        []byte // JSON, as it was written
	ID         string // an IRI
	Author     string
	Time       time.Time // at which it was updated last, else issued
	Version    uint64    // from 1
	Statements []Statement

	value any
}

// Statement is what is said of one vulnerability.
type Statement struct {
	Vulnerability string
	Status        Status
	Products      []Product // none: what the document is attested of
}

// Status is what a vulnerability is to a product.
type Status string

// The four of OpenVEX.
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Statuses returns all, in the order in which they are told.
func Statuses() []Status { return []Status{Affected, UnderInvestigation, NotAffected, Fixed} }

func justifications() []string {
	return []string{"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path", "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"}
}

// Error says all that is wrong with a document.
type Error struct{ Problems []string }

func (e *Error) Error() string { return "the VEX document " + strings.Join(e.Problems, "; ") }

// UnknownError says that a document is of another version of OpenVEX than is known here.
type UnknownError struct{ Context string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("the VEX document is of a version of OpenVEX that is not known here: @context is %.100q, want %q", e.Context, Context)
}

// Parse reads a document that somebody else may have written. Its error is an [*UnknownError],
// or an [*Error] with all that is wrong.
func Parse(data []byte) (Document, error) {
	value, err := decode(data)
	if err != nil {
		return Document{}, &Error{[]string{err.Error()}}
	}
	members, ok := value.(map[string]any)
	if !ok {
		return Document{}, &Error{[]string{"is no JSON object"}}
	}
	if context, ok := members["@context"].(string); ok && context != Context && (context == Type || strings.HasPrefix(context, Type+"/")) {
		return Document{}, &UnknownError{context}
	}
	var r reader
	d := r.document(members)
	d.Raw, d.value = data, value
	if r.problems != nil {
		return Document{}, &Error{r.told()}
	}
	return d, nil
}

// Equal reports whether two documents are the same as JSON.
func (d Document) Equal(other Document) bool { return text(d.value) == text(other.value) }

// Current returns of several documents the one that counts of each @id, the newest of all
// first. Its error is an [*Error] where two of one @id have the same version and say
// different things: nobody can tell which counts.
func Current(all []Document) ([]Document, error) {
	current := map[string]Document{}
	for _, d := range all {
		if have, ok := current[d.ID]; !ok || d.Version > have.Version {
			current[d.ID] = d
		}
	}
	for _, d := range all {
		if have := current[d.ID]; d.Version == have.Version && !d.Equal(have) {
			return nil, &Error{[]string{fmt.Sprintf("%.200q is there twice in version %d, with different content", d.ID, d.Version)}}
		}
	}
	var sorted []Document
	for _, d := range current {
		sorted = append(sorted, d)
	}
	slices.SortFunc(sorted, func(a, b Document) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID)) })
	return sorted, nil
}

// About returns the statements that are about an image.
func (d Document) About(i Image) []Statement {
	var about []Statement
	for _, s := range d.Statements {
		if len(s.Products) == 0 || slices.ContainsFunc(s.Products, func(p Product) bool { return p.is(i) }) {
			about = append(about, s)
		}
	}
	return about
}

// maxTold is how many problems are told: a document may have as many as it has bytes.
const maxTold = 20

// reader takes a document apart, and keeps what is wrong.
type reader struct{ problems []string }

func (r *reader) wrong(where, format string, args ...any) {
	r.problems = append(r.problems, strings.TrimPrefix(where+": ", ": ")+fmt.Sprintf(format, args...))
}

func (r *reader) told() []string {
	if more := len(r.problems) - maxTold; more > 0 {
		return append(r.problems[:maxTold:maxTold], fmt.Sprintf("has %d problems more", more))
	}
	return r.problems
}

func (r *reader) document(m map[string]any) Document {
	r.texts(m, "", "role", "tooling", "supplier")
	if got := r.need(m, "", "@context"); got != "" && got != Context {
		r.wrong("@context", "want %q, got %.100q", Context, got)
	}
	d := Document{ID: r.need(m, "", "@id"), Author: r.need(m, "", "author"), Time: r.time(m, "", "timestamp")}
	if d.ID != "" && !isIRI(d.ID) {
		r.wrong("@id", "want an IRI, such as https://example.com/vex/hello, got %.100q", d.ID)
	}
	if m["timestamp"] == nil {
		r.wrong("timestamp", "is missing: want a time in RFC 3339")
	}
	if updated := r.time(m, "", "last_updated"); !updated.IsZero() {
		d.Time = updated
	}
	d.Version = r.version(m)
	list, _ := m["statements"].([]any)
	if len(list) == 0 {
		r.wrong("statements", "want a list of at least one")
	}
	for i, s := range list {
		d.Statements = append(d.Statements, r.statement(s, fmt.Sprintf("statements[%d]", i)))
	}
	return d
}

func (r *reader) statement(value any, where string) (s Statement) {
	m, ok := value.(map[string]any)
	if !ok {
		r.wrong(where, "want an object")
		return s
	}
	r.texts(m, where, "@id", "supplier", "status_notes")
	for _, member := range []string{"timestamp", "last_updated", "action_statement_timestamp"} {
		r.time(m, where, member)
	}
	if vulnerability, ok := m["vulnerability"].(map[string]any); ok {
		at := in(where, "vulnerability")
		r.texts(vulnerability, at, "@id", "description")
		r.list(vulnerability, at, "aliases", isText, "texts")
		s.Vulnerability = r.need(vulnerability, at, "name")
	} else {
		r.wrong(in(where, "vulnerability"), "want an object with a name")
	}
	s.Status = Status(r.need(m, where, "status"))
	r.status(s.Status, m, where)
	for i, p := range r.list(m, where, "products", isObject, "objects") {
		s.Products = append(s.Products, r.product(p, fmt.Sprintf("%s.products[%d]", where, i)))
	}
	return s
}

// status demands what must be said with a status, and nothing that belongs to another.
func (r *reader) status(s Status, m map[string]any, where string) {
	said := map[string]string{}
	for _, member := range []string{"justification", "impact_statement", "action_statement"} {
		said[member] = r.text(m, where, member)
	}
	reason := said["justification"]
	switch {
	case s == "":
		return
	case !slices.Contains(Statuses(), s):
		r.wrong(in(where, "status"), "want one of not_affected, affected, fixed, under_investigation, got %.100q", string(s))
		return
	case s == NotAffected && reason == "" && said["impact_statement"] == "":
		r.wrong(where, "is not_affected: want a justification or an impact_statement")
	case s == Affected && said["action_statement"] == "":
		r.wrong(where, "is affected: want an action_statement")
	}
	if reason != "" && !slices.Contains(justifications(), reason) {
		r.wrong(in(where, "justification"), "want one of %s, got %.100q", strings.Join(justifications(), ", "), reason)
	}
	for member, of := range map[string]Status{"justification": NotAffected, "impact_statement": NotAffected, "action_statement": Affected} {
		if said[member] != "" && s != of {
			r.wrong(in(where, member), "belongs to the status %s, and the status is %s", of, s)
		}
	}
}

func (r *reader) product(value any, where string) (p Product) {
	m := value.(map[string]any)
	p.read(r, m, where)
	if len(p.names) == 0 && p.sha256 == "" {
		r.wrong(where, "names nothing: want an @id, a purl in identifiers, or a sha-256 in hashes")
	}
	for i, c := range r.list(m, where, "subcomponents", isObject, "objects") {
		new(Product).read(r, c.(map[string]any), fmt.Sprintf("%s.subcomponents[%d]", where, i))
	}
	return p
}

// size is why a text is too large to be decoded.
func size(data []byte) error {
	if len(data) > bounds.VEX {
		return fmt.Errorf("is too large: %d bytes, %s at most", len(data), bounds.Bytes(bounds.VEX))
	}
	if err := bounds.CheckJSON(data); err != nil {
		return fmt.Errorf("is too large: %w", err)
	}
	return nil
}
