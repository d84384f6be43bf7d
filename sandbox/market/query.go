package market

import (
	"net/url"
	"slices"
	"strings"
)

// checkTwice refuses parameters that are given twice, as the real market does: it gets a
// list where it expects a text. Of a number it reads the first.
func checkTwice(q url.Values) error {
	numbers := []string{"page", "pageIndex", "pageSize", "minVolume", "minTrust", "maxTrust", "category", "minWorkClockTimeRef", "maxWorkClockTimeRef"}
	for key, values := range q {
		switch {
		case len(values) < 2 || slices.Contains(numbers, key):
		case strings.HasSuffix(key, "Tag") || strings.HasSuffix(key, "Hash"):
			return internal() // it makes lower case of a list
		case strings.HasPrefix(key, "is") || key == "bulkOnly":
			return notOf("boolean", key, values)
		default:
			return notOf("string", key, values)
		}
	}
	return nil
}

// notOf says that a parameter's values are not of a type.
func notOf(typ, key string, values []string) error {
	var list []string
	for _, v := range values {
		list = append(list, "  "+shown(shown(v)))
	}
	return invalid("%s must be a `%s` type, but the final value was: `[\n%s\n]`.", key, typ, strings.Join(list, ",\n"))
}

// boolean reads a parameter that is true or false.
func boolean(q url.Values, key string) (bool, error) {
	if !q.Has(key) {
		return false, nil
	}
	switch strings.ToLower(q.Get(key)) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, invalid("%s must be a `boolean` type, but the final value was: `%s`.", key, shown(q.Get(key)))
}
