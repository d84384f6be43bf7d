package result

import (
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/printable"
)

const (
	maxPart  = 255 // bytes of a name in a folder: what file systems take
	maxDepth = 64  // folders within each other
)

// tree is the names that an archive writes. A name and another one that some file
// systems take for the same are refused together.
type tree map[string]node // by what a file system may make of a name

type node struct {
	spelled string
	isFile  bool
}

// add takes a name, with a slash at its end for a folder. Its error is a
// [*RefusedError] or a [*bounds.Error].
func (t tree) add(name string) error {
	path, isFolder := strings.CutSuffix(name, "/")
	if err := checkName(path); err != "" {
		return &RefusedError{name, err}
	}
	whole := folded(path) // which has as many slashes
	parts, keys := strings.Split(path, "/"), strings.Split(whole, "/")
	n, k := -1, -1
	for i := range parts {
		n, k = n+1+len(parts[i]), k+1+len(keys[i])
		here, key := path[:n], whole[:k]
		isLast := i == len(parts)-1
		before, taken := t[key]
		switch {
		case taken && before.spelled != here:
			return &RefusedError{name, "on some file systems it is the same as " + printable.Text(before.spelled)}
		case taken && isLast && (!isFolder || before.isFile):
			return &RefusedError{name, "the archive has it twice, or as file and folder"}
		case taken && before.isFile:
			return &RefusedError{name, "it is in a folder that is a file"}
		}
		t[key] = node{here, isLast && !isFolder}
	}
	if len(t) > bounds.ResultFiles {
		return &bounds.Error{Where: decrypted, What: "the number of its files and folders", Most: fmt.Sprint(bounds.ResultFiles)}
	}
	return nil
}

// checkName says why a path is not written; "" for one that is.
func checkName(path string) string {
	parts := strings.Split(path, "/")
	switch {
	case path == "" || !filepath.IsLocal(filepath.FromSlash(path)) || strings.HasPrefix(path, "/"):
		return "it leads out of the folder"
	case strings.ContainsAny(path, `\:`):
		return "it holds a character that some systems take for a separator"
	case len(parts) > maxDepth:
		return "it is too deep"
	}
	if err := printable.CheckLine(path); err != nil {
		return "it " + err.Error()
	}
	for _, part := range parts {
		switch {
		case part == "" || part == "." || part == "..":
			return "it leads out of the folder"
		case len(part) > maxPart:
			return "it is too long"
		}
	}
	return ""
}

// folded returns what equal names have in common on file systems that know no letter
// case, or but one way to write a letter with accents, or, as Windows', take no name that
// ends with a dot or a space.
func folded(name string) string {
	parts := strings.Split(cases.Fold().String(norm.NFC.String(name)), "/")
	for i, part := range parts {
		parts[i] = strings.TrimRight(part, ". ")
	}
	return norm.NFC.String(strings.Join(parts, "/"))
}
