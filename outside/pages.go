package outside

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// NextPage returns the query of a list's next page, which its Link header names (RFC 8288).
// Nothing but the query is taken from it: the next page of a list is the same list's, at
// the same service.
func NextPage(list string, header http.Header) (query string, goesOn bool, err error) {
	target := nextLink(header.Values("Link"))
	if target == "" {
		return "", false, nil
	}
	here, err := url.Parse(list)
	if err != nil {
		return "", false, err
	}
	there, err := here.Parse(target)
	if err != nil || there.Host != here.Host || there.EscapedPath() != here.EscapedPath() || there.RawQuery == here.RawQuery {
		return "", false, fmt.Errorf("the list %s goes on at %q, which is another one", list, target)
	}
	return there.RawQuery, true, nil
}

// nextLink returns the target of the link whose relation is next; empty for none.
func nextLink(links []string) string {
	for _, rest := range links {
		for strings.Contains(rest, "<") {
			_, rest, _ = strings.Cut(rest, "<")
			var target string
			target, rest, _ = strings.Cut(rest, ">")
			if parameters, _, _ := strings.Cut(rest, "<"); hasRelation(parameters, "next") {
				return target
			}
		}
	}
	return ""
}

// hasRelation reports whether a relation is among those of a link's parameters.
func hasRelation(parameters, relation string) bool {
	for parameter := range strings.FieldsFuncSeq(parameters, func(r rune) bool { return r == ';' || r == ',' }) {
		key, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for one := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(one, relation) {
				return true
			}
		}
	}
	return false
}
