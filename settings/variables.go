package settings

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// prefix begins the names of this program's variables.
const prefix = "MRELEASE_"

// variableOf is the variable of the environment that sets a key.
func variableOf(key string) string {
	return prefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// variables are the names that mean something to this program: those of keys, and those
// that are no part of a configuration.
func variables() []string {
	names := []string{WalletPassword, WalletKey, PayerPassword, PayerKey}
	for _, other := range []string{"BUILDER", "STATE", "VERSION", "COMMIT", "DOTENV", "JUNIT"} {
		names = append(names, prefix+other)
	}
	return append(names, keyVariables(reflect.TypeFor[Settings](), "")...)
}

func keyVariables(t reflect.Type, above string) (names []string) {
	for i := range t.NumField() {
		field := t.Field(i)
		key := field.Tag.Get("yaml")
		switch parses := reflect.PointerTo(field.Type).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()); {
		case key == "" || field.Type.Kind() == reflect.Map || field.Type == reflect.TypeFor[Builders]():
		case field.Type.Kind() == reflect.Struct && !parses:
			names = append(names, keyVariables(field.Type, above+key+".")...)
		default:
			names = append(names, variableOf(above+key))
		}
	}
	return names
}

// filesOnly returns the key with entries of its own that a variable would set, or one of
// them; empty when there is none. Names of entries cannot be told from variables.
func filesOnly(variable string) string {
	for _, key := range []string{"build.args", "build.bases", "build.contexts", "build.secrets", "chains", "apps", "builders"} {
		if of := variableOf(key); variable == of || strings.HasPrefix(variable, of+"_") {
			return key
		}
	}
	return ""
}

// Misspelt tells of variables of an environment (NAME=value) that are called as this
// program's are, that it does not know, and that are near to one that it does, or to what only a file sets. No value
// is shown.
func Misspelt(environment []string) (told []string) {
	known := variables()
	for _, pair := range environment {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || !strings.HasPrefix(name, prefix) || slices.Contains(known, name) {
			continue
		}
		if key := filesOnly(name); key != "" {
			told = append(told, fmt.Sprintf("environment %s is not read: %s is set in a file (--config)", name, key))
		} else if near := Nearest(name, known); near != "" {
			told = append(told, fmt.Sprintf("environment %s is not read: did you mean %s?", name, near))
		}
	}
	slices.Sort(told)
	return told
}
