package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
)

// pages asks for a list, a page after the other, until more wants no more of it. The
// list was read whole when no page is left; it was not, too, when there are more than
// bounds.Pages.
func (s *session) pages(ctx context.Context, path string, accept types.MediaType, more func(answer) (bool, error)) (whole bool, err error) {
	for range bounds.Pages {
		a, err := s.get(ctx, path, accept)
		if err != nil {
			return false, err
		}
		wanted, err := more(a)
		if err != nil {
			return false, err
		}
		query, goesOn, err := next(s.url(path), a.header)
		if err != nil || !goesOn || !wanted {
			return !goesOn, err
		}
		path, _, _ = strings.Cut(path, "?")
		path += "?" + query
	}
	return false, nil
}

// next returns the query of a list's next page, which its Link header names (RFC 8288).
// Nothing but the query is taken from it: the next page of a list is the same list's, at
// the same registry.
func next(list string, header http.Header) (query string, goesOn bool, err error) {
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
