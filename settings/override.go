package settings

import (
	"encoding"
	"reflect"
	"slices"
)

// override sets every key for which lookup has a value; it is asked with the
// key's path.
func (d *decoder) override(target any, lookup func(key string) (text, where string, ok bool)) {
	d.overrideFields(reflect.ValueOf(target).Elem(), "", lookup)
}

func (d *decoder) overrideFields(v reflect.Value, prefix string, lookup func(string) (string, string, bool)) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("yaml")
		field := v.Field(i)
		if field.Type() == reflect.TypeFor[Apps]() || field.Type() == reflect.TypeFor[Builders]() {
			continue // which a file alone lists
		}
		_, parses := field.Addr().Interface().(encoding.TextUnmarshaler)
		switch {
		case name == "" || field.Kind() == reflect.Map:
		case field.Kind() == reflect.Struct && !parses:
			d.overrideFields(field, prefix+name+".", lookup)
		default:
			d.overrideField(field, prefix+name, lookup)
		}
	}
}

func (d *decoder) overrideField(v reflect.Value, key string, lookup func(string) (string, string, bool)) {
	text, where, ok := lookup(key)
	if !ok {
		return
	}
	d.places[key] = where
	d.forget(key)
	if err := setText(key, v, text, "."); err != nil {
		d.Problems = append(d.Problems, Problem{Where: where, Key: key, Text: err.Error()})
	}
}

// forget drops what is wrong with a value that another one took the place of.
func (d *decoder) forget(key string) {
	d.Problems = slices.DeleteFunc(d.Problems, func(p Problem) bool { return p.Key == key })
}
