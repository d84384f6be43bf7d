package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mrelease/mrelease/bounds"
)

// decode reads JSON within its bounds, in which no member is there twice, or in letters that
// some decoders take for others.
func decode(data []byte) (any, error) {
	if err := size(data); err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, errors.New("cannot be read: it is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	value, err := next(d)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after its end")
		}
	}
	if err != nil {
		return nil, errors.New("cannot be read: " + bounds.Malformed(err))
	}
	return value, nil
}

// next reads a value, whose depth is bounded.
func next(d *json.Decoder) (any, error) {
	t, err := d.Token()
	switch {
	case err != nil:
		return nil, err
	case t == json.Delim('['):
		list := []any{}
		for d.More() {
			element, err := next(d)
			if err != nil {
				return nil, err
			}
			list = append(list, element)
		}
		_, err = d.Token()
		return list, err
	case t == json.Delim('{'):
		return members(d)
	}
	return t, nil
}

func members(d *json.Decoder) (any, error) {
	all := map[string]any{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string) // the decoder takes nothing else
		if strings.ContainsFunc(name, func(c rune) bool { return c > unicode.MaxASCII || 'A' <= c && c <= 'Z' }) {
			return nil, fmt.Errorf("it has the member %.100q, and OpenVEX has lower-case letters", name)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("it has the member %.100q twice", name)
		}
		if all[name], err = next(d); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return all, err
}

// text writes a value in one way.
func text(value any) string {
	data, err := json.Marshal(value) // which sorts the members of objects
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func in(where, member string) string { return strings.TrimPrefix(where+"."+member, ".") }

// text reads a text that may be missing.
func (r *reader) text(m map[string]any, where, member string) string {
	s, ok := m[member].(string)
	if value, there := m[member]; there && (!ok || s == "") {
		r.wrong(in(where, member), "want a text that is not empty, got %.100s", text(value))
	}
	return s
}

func (r *reader) texts(m map[string]any, where string, members ...string) {
	for _, member := range members {
		r.text(m, where, member)
	}
}

// need reads a text that must be there.
func (r *reader) need(m map[string]any, where, member string) string {
	if _, there := m[member]; !there {
		r.wrong(in(where, member), "is missing")
	}
	return r.text(m, where, member)
}

func (r *reader) time(m map[string]any, where, member string) (t time.Time) {
	if s := r.text(m, where, member); s != "" && t.UnmarshalText([]byte(s)) != nil {
		r.wrong(in(where, member), "want a time in RFC 3339, such as 2026-01-31T12:00:00Z, got %.100q", s)
	}
	return t
}

func (r *reader) version(m map[string]any) uint64 {
	n, _ := m["version"].(json.Number)
	version, err := strconv.ParseUint(n.String(), 10, 31)
	if err != nil || version == 0 {
		r.wrong("version", "want a whole number from 1, got %.100s", text(m["version"]))
	}
	return version
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok
}

func isObject(value any) bool {
	_, ok := value.(map[string]any)
	return ok
}

// list reads a list that may be missing, of elements of one kind.
func (r *reader) list(m map[string]any, where, member string, is func(any) bool, kind string) []any {
	value, there := m[member]
	list, ok := value.([]any)
	for _, element := range list {
		ok = ok && is(element)
	}
	if there && !ok {
		r.wrong(in(where, member), "want a list of %s", kind)
		return nil
	}
	return list
}

func isIRI(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != ""
}
