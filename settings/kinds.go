package settings

import (
	"reflect"
	"slices"

	"github.com/agext/levenshtein"
	"github.com/goccy/go-yaml/ast"
)

func keys(t reflect.Type) []string {
	var names []string
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func kindOf(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Uint64:
		return "a whole number"
	}
	return "text"
}

func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	}
	return n.Type().String()
}

// Nearest returns the known name within two edits of a misspelt one, of which half of it is
// left; of several, one with the same letters in another order. It is empty when none is near.
func Nearest(name string, known []string) string {
	best, distance := "", 6
	for _, k := range known {
		d := 2 * levenshtein.Distance(name, k, nil)
		if letters(name) == letters(k) {
			d--
		}
		if d > len(name) { // it is another word
			continue
		}
		if d < distance {
			best, distance = k, d
		}
	}
	return best
}

func letters(name string) string {
	all := []byte(name)
	slices.Sort(all)
	return string(all)
}
