package settings

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ethereum/go-ethereum/common"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/poco"
)

// A Problem is one thing that is wrong with the configuration.
type Problem struct {
	Where string `json:"where"`          // file:line:column, "environment NAME" or "flag --name"
	Key   string `json:"key,omitempty"`  // path of the key, such as build.context
	Text  string `json:"text"`           //
	Cure  string `json:"cure,omitempty"` // what mends it, where that is more than to correct the place
	Unset string `json:"-"`              // variable of the environment that is not set, where that is the problem
}

// String writes a problem as one line.
func (p Problem) String() string { return p.Where + ": " + p.Says() }

// Says is what is wrong, without the place.
func (p Problem) Says() string {
	if p.Key == "" {
		return p.Text
	}
	return p.Key + ": " + p.Text
}

// Place returns the place of a problem in a file: line and column from 1, or 0 when it
// is the whole file's. The file is empty when it is elsewhere: in the environment, a
// flag, or no place at all.
func (p Problem) Place() (file string, line, column int) {
	if m := regexp.MustCompile(`^(.+?):(\d+)(?::(\d+))?$`).FindStringSubmatch(p.Where); m != nil {
		line, _ = strconv.Atoi(m[2]) // digits; a number too large becomes the largest
		column, _ = strconv.Atoi(m[3])
		return m[1], line, column
	}
	if ext := filepath.Ext(p.Where); ext != ".yaml" && ext != ".yml" || strings.Contains(p.Where, ", ") {
		return "", 0, 0 // several files are no place
	}
	return p.Where, 0, 0
}

// A decoder fills a struct from YAML files, environment and flags, and keeps
// all that is wrong instead of stopping at the first. Keys are named by the
// struct tag `yaml`; one without it is no key.
type decoder struct {
	Problems []Problem
	places   map[string]string // key -> where it was set last
	unread   bool              // a file, or what it is on the whole: nothing is known of what it should say
}

// file merges a file into the struct that target points to: later files win
// key by key.
func (d *decoder) file(path string, target any) error {
	data, err := bounds.ReadFile(path, bounds.Config)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // as editors on Windows write it
	if !utf8.Valid(data) {
		d.syntax(path, errors.New("is no text in UTF-8: save it as such"))
		return nil
	}
	if err := checkDepth(string(data)); err != nil {
		d.syntax(path, err)
		return nil
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(path, err)
		return nil
	}
	bodies := slices.DeleteFunc(f.Docs, func(doc *ast.DocumentNode) bool { return doc.Body == nil })
	if len(bodies) > 1 {
		d.syntax(path, fmt.Errorf("holds %d YAML documents, divided by ---, where it is to hold one: the others can be files of their own, each with --config", len(bodies)))
		return nil
	}
	for _, doc := range bodies {
		n := node{doc.Body, path, "", map[string]ast.Node{}}
		d.value(n, reflect.ValueOf(target).Elem())
		d.unread = d.unread || slices.ContainsFunc(d.Problems, func(p Problem) bool { return p.Key == "" })
	}
	return nil
}

// syntax keeps why a file cannot be read.
func (d *decoder) syntax(path string, err error) {
	d.unread = true
	var se *yaml.SyntaxError
	if !errors.As(err, &se) {
		d.Problems = append(d.Problems, Problem{Where: path, Text: err.Error()})
		return
	}
	where := path // Error would draw the place, which takes gigabytes for a line of 64 KB
	if t := se.Token; t != nil && t.Position != nil {
		where = fmt.Sprintf("%s:%d:%d", path, t.Position.Line, t.Position.Column)
	}
	text := se.Message
	if strings.Contains(text, "\t") {
		text = "begins with a tab: YAML wants spaces there"
	}
	d.Problems = append(d.Problems, Problem{Where: where, Text: text})
}

// node is a YAML node with what is known of its place.
type node struct {
	ast.Node
	path    string
	key     string
	anchors map[string]ast.Node
}

func (n node) where() string {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return fmt.Sprintf("%s:%d:%d", n.path, t.Position.Line, t.Position.Column)
	}
	return n.path
}

func (n node) child(key string, value ast.Node) node {
	if n.key != "" {
		key = n.key + "." + key
	}
	return node{value, n.path, key, n.anchors}
}

func (d *decoder) fail(n node, format string, args ...any) {
	d.Problems = append(d.Problems, Problem{Where: n.where(), Key: n.key, Text: fmt.Sprintf(format, args...)})
}

// resolve follows anchors and aliases to the value that counts.
func (d *decoder) resolve(n node) node {
	switch v := n.Node.(type) {
	case *ast.AnchorNode:
		n.anchors[v.Name.GetToken().Value] = v.Value
		n.Node = v.Value
	case *ast.AliasNode:
		value, ok := n.anchors[v.Value.GetToken().Value]
		if !ok {
			d.fail(n, "unknown alias *%s", v.Value.GetToken().Value)
			return n
		}
		n.Node = value
	}
	return n
}

func (d *decoder) value(n node, v reflect.Value) {
	n = d.resolve(n)
	d.places[n.key] = n.where()
	if _, isNull := n.Node.(*ast.NullNode); isNull {
		return // a key without a value keeps its default
	}
	switch into := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		d.forget(n.key)
		d.text(n, v)
		return
	case *Apps:
		d.apps(n, into)
		return
	case *Builders:
		d.builders(n, into)
		return
	case *AcceptedSigners:
		d.signers(n, into)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, d.field)
	case reflect.Map:
		d.mapping(n, v, d.entry)
	default:
		d.forget(n.key)
		d.scalar(n, v)
	}
}

func (d *decoder) mapping(n node, v reflect.Value, set func(node, string, ast.Node, reflect.Value)) {
	pairs, ok := n.Node.(*ast.MappingNode)
	if !ok {
		d.fail(n, "want keys and values, got %s", kind(n.Node))
		return
	}
	for _, pair := range pairs.Values {
		if pair.Key.IsMergeKey() {
			d.fail(n.child("<<", pair.Key), "merge keys are not supported")
			continue
		}
		set(n, pair.Key.GetToken().Value, pair.Value, v)
	}
}

func (d *decoder) field(n node, key string, value ast.Node, v reflect.Value) {
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("yaml") == key {
			d.value(n.child(key, value), v.Field(i))
			return
		}
	}
	known := keys(v.Type())
	text := "unknown key, want one of " + strings.Join(known, ", ")
	if near := Nearest(key, known); near != "" {
		text = fmt.Sprintf("unknown key, did you mean %s?", near)
	} else if above, below, dotted := strings.Cut(key, "."); dotted && slices.Contains(known, above) {
		text = fmt.Sprintf("unknown key: keys are not joined by dots, write %s below %s", below, above)
	}
	d.fail(n.child(key, value), "%s", text)
}

func (d *decoder) entry(n node, key string, value ast.Node, v reflect.Value) {
	if err := checkEntryName(key); err != nil {
		d.fail(n.child(key, value), "%v", err)
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	element := reflect.New(v.Type().Elem()).Elem()
	if old := v.MapIndex(reflect.ValueOf(key)); old.IsValid() {
		element.Set(old)
	}
	d.value(n.child(key, value), element)
	v.SetMapIndex(reflect.ValueOf(key), element)
}

// text reads a value that parses itself; a list of words is joined by commas.
func (d *decoder) text(n node, v reflect.Value) {
	text, ok := scalarText(n.Node)
	if list, isList := n.Node.(*ast.SequenceNode); isList && takesList(v) {
		var words []string
		ok = true
		for _, item := range list.Values {
			word, isScalar := scalarText(item)
			ok = ok && isScalar
			words = append(words, word)
		}
		text = strings.Join(words, ",")
	}
	if !ok {
		d.fail(n, "want a value, got %s", kind(n.Node))
		return
	}
	if err := setText(n.key, v, text, filepath.Dir(n.path)); err != nil {
		d.fail(n, "%v", err)
	}
}

// takesList tells the values of several words from those that a list cannot be.
func takesList(v reflect.Value) bool {
	switch v.Interface().(type) {
	case List, URLs, Addresses, poco.Tag:
		return true
	}
	return false
}

func (d *decoder) scalar(n node, v reflect.Value) {
	text, ok := scalarText(n.Node)
	_, isBool := n.Node.(*ast.BoolNode)
	if !ok || v.Kind() == reflect.Bool && !isBool {
		d.fail(n, "want %s, got %s", kindOf(v), kind(n.Node))
		return
	}
	if err := setText(n.key, v, text, filepath.Dir(n.path)); err != nil {
		d.fail(n, "%v", err)
	}
}

// Path is a path that a file names relative to its own folder, and the
// environment and flags relative to the working directory.
type Path string

// setText sets the value of a key from its text.
func setText(key string, v reflect.Value, text, dir string) error {
	if err := checkText(key, text); err != nil {
		return err
	}
	if p, ok := v.Addr().Interface().(*Path); ok {
		if strings.HasPrefix(text, "~") || strings.HasPrefix(text, "$") {
			return fmt.Errorf("want a path, got %q: neither ~ nor variables are expanded", text)
		}
		*p = Path(text)
		if text != "" && !filepath.IsAbs(text) && !strings.Contains(text, "://") && !keyPlace.MatchString(text) {
			*p = Path(filepath.Join(dir, text))
		}
		return nil
	}
	if a, ok := v.Addr().Interface().(*common.Address); ok && a.UnmarshalText([]byte(text)) != nil {
		return fmt.Errorf("want an address, 0x and 40 hex digits, got %q", text)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("want true or false, got %q", text)
		}
		v.SetBool(b)
	case reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("want a whole number that is not negative%s, got %q", bound(err), text)
		}
		v.SetUint(u)
	default:
		panic("configuration field of unsupported kind " + v.Kind().String())
	}
	return nil
}

// bound says how large a number may be, where that is what is wrong with one.
func bound(err error) string {
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Sprintf(" and at most %d", uint64(math.MaxUint64))
	}
	return ""
}

func scalarText(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.LiteralNode:
		return v.Value.Value, true
	case *ast.StringNode:
		return v.Value, true
	case ast.ScalarNode:
		return v.GetToken().Value, true
	}
	return "", false
}
