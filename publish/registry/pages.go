package registry

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
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
		query, goesOn, err := outside.NextPage(s.url(path), a.header)
		if err != nil || !goesOn || !wanted {
			return !goesOn, err
		}
		path, _, _ = strings.Cut(path, "?")
		path += "?" + query
	}
	return false, nil
}
