package vectors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/publish/evidence"
	"github.com/mrelease/mrelease/publish/record"
)

// leaf is a value in a record: the keys to it.
type leaf []string

func (l leaf) String() string { return strings.Join(l, ".") }

// leaves returns the values of a JSON object in order, but for the signature over it.
func leaves(object map[string]any, under leaf) (all []leaf) {
	for _, key := range sortedKeys(object) {
		at := append(slices.Clone(under), key)
		if inner, ok := object[key].(map[string]any); ok {
			all = append(all, leaves(inner, at)...)
		} else if at.String() != "signature" {
			all = append(all, at)
		}
	}
	return all
}

// changed is another value of the same kind.
func changed(value any) (any, error) {
	switch v := value.(type) {
	case string:
		return nextDigit(v), nil
	case json.Number:
		n, err := v.Int64()
		return n + 1, err
	}
	return nil, fmt.Errorf("no other value for %v", value)
}

// nextDigit changes the last letter of a text, so that a hex digit stays one, and a decimal
// digit too.
func nextDigit(text string) string {
	if text == "" {
		return "1"
	}
	last := text[len(text)-1]
	switch last {
	case '9', 'f', 'F', 'z':
		last--
	default:
		last++
	}
	return text[:len(text)-1] + string(last)
}

// alter returns a record with another value at a leaf; with other unless that is nil.
func alter(text string, at leaf, other any) (r record.Record, err error) {
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return r, fmt.Errorf("reading a record: %w", err)
	}
	inner := object
	for _, key := range at[:len(at)-1] {
		inner, _ = inner[key].(map[string]any)
	}
	last := at[len(at)-1]
	if other == nil {
		if other, err = changed(inner[last]); err != nil {
			return r, fmt.Errorf("%s: %w", at, err)
		}
	}
	inner[last] = other
	data, err := json.Marshal(object)
	if err != nil {
		return r, fmt.Errorf("writing a record: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("%s: reading a record: %w", at, err)
	}
	return r, nil
}

// sign has a wallet sign a record, and puts it into a file.
func sign(ctx context.Context, f *evidence.File, r record.Record, w node.Wallet) error {
	if err := r.Sign(ctx, w); err != nil {
		return err
	}
	return put(f, r)
}

func put(f *evidence.File, r record.Record) error {
	text, err := r.Encode()
	f.Record = string(text)
	return err
}

// lies are what must come of a record in which the owner signs another value: the clause,
// and what does not hold. What is left out contradicts another part of the record.
func lies() map[string]struct {
	clause string
	want   Want
} {
	type lie = struct {
		clause string
		want   Want
	}
	return map[string]lie{
		"version":           {"6.1", refused(12, noProvenance, "provenance")},
		"source.commit":     {"6.1", refused(12, noProvenance, "provenance")},
		"source.epoch":      {"6.1", refused(12, noProvenance, "provenance")},
		"source.inputs":     {"3.2", refused(12, badRecord, "image", "provenance")},
		"image.config":      {"3.2", refused(12, badRecord, "image")},
		"image.publicKey":   {"5.6", incomplete()},                            // the file does not hold all places in which its signature could be
		"app.chain":         {"1.1", Want{Exit: exitUsage, Code: "E-CONFIG"}}, // nobody knows a chain of that name
		"order.signed.sign": {"14.5", incomplete()},                           // a contract may have signed, which only the chain can tell
		"image.reference":   {"1.3", refused(13, conflict, "app")},
		"app.name":          {"1.3", refused(13, conflict, "app")},
		"app.registry":      {"1.3", refused(12, badRecord, "app")},
	}
}

// records adds vectors of changed records.
func (s *set) records(ctx context.Context, m *maker, b base) error {
	var object map[string]any
	if err := json.Unmarshal([]byte(b.file.Record), &object); err != nil {
		return fmt.Errorf("reading a record: %w", err)
	}
	stranger, err := account(strangerAccount)
	if err != nil {
		return err
	}
	theirs, err := m.theirs.Who()
	if err != nil {
		return err
	}
	others := map[string]any{"image.publicKey": theirs.PublicKey, "schema": "mrelease.record/v2", "enclave.format": "legacy"}
	lies := lies()
	var errs []error
	for _, at := range leaves(object, nil) {
		r, err := alter(b.file.Record, at, others[at.String()])
		if err != nil {
			return err
		}
		lie, known := lies[at.String()]
		if !known {
			lie.clause, lie.want = "2.2", refused(12, badRecord)
		}
		errs = append(errs,
			s.forge("2.1", "another "+at.String()+", and nobody signed it anew", b, refused(12, badRecord), func(f *evidence.File) error { return put(f, r) }),
			s.forge("2.3", "another "+at.String()+", signed by a stranger", b, refused(12, badRecord), func(f *evidence.File) error { return sign(ctx, f, r, stranger) }),
			s.forge(lie.clause, "another "+at.String()+", signed by the owner", b, lie.want, func(f *evidence.File) error { return sign(ctx, f, r, b.owner) }))
	}
	return errors.Join(append(errs, s.writtenOtherwise(b))...)
}

// writtenOtherwise adds vectors of a record that is the same as JSON, or is none.
func (s *set) writtenOtherwise(b base) error {
	var errs []error
	text := b.file.Record
	for _, other := range [][2]string{
		{"a record in one line", strings.Join(strings.Fields(text), "")},
		{"a record without its last line feed", strings.TrimSuffix(text, "\n")},
		{"a record with a space more", strings.Replace(text, `"version": `, `"version":  `, 1)},
		{"a record with a member more", strings.Replace(text, "{\n", "{\n  \"more\": 1,\n", 1)},
		{"a record with a member twice", strings.Replace(text, "{\n", "{\n  \"version\": \"1.0.0\",\n", 1)},
		{"a record with a member in capitals", strings.Replace(text, `"version"`, `"Version"`, 1)},
		{"a record with an escaped letter", strings.Replace(text, `"version": "1`, `"version": "\u0031`, 1)},
		{"a record without its signature", text[:strings.Index(text, ",\n  \"signature\"")] + "\n}\n"},
		{"a record that is cut", text[:len(text)/2]},
		{"a record that is a list", "[]\n"},
		{"no record", ""},
		{"a record of deep lists", strings.Repeat("[", 10_000)},
		{"two records", text + text},
	} {
		errs = append(errs, s.forge("2.1", other[0], b, refused(12, badRecord), func(f *evidence.File) error {
			f.Record = other[1]
			return nil
		}))
	}
	return errors.Join(errs...)
}
