package page

import (
	"errors"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/settings"
)

// Places are the lines of files that an error finds fault with.
func Places(err error) []ci.At {
	var all []ci.At
	if wrong, ok := errors.AsType[*settings.Error](err); ok {
		for _, p := range wrong.Problems {
			if file, line, column := p.Place(); file != "" {
				all = append(all, ci.At{File: file, Line: line, Column: column, Text: p.Says()})
			}
		}
	}
	if broken, ok := errors.AsType[*buildkit.BuildError](err); ok && broken.Line > 0 {
		all = append(all, ci.At{File: broken.Dockerfile, Line: broken.Line, Text: broken.Error()})
	}
	if ignore, ok := errors.AsType[*buildkit.IgnoreError](err); ok {
		all = append(all, ci.At{File: ignore.File, Line: ignore.Line, Text: ignore.Error()})
	}
	return all
}
