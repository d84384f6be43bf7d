// Package gitignore says which files git ignores, as git's own program does where it is
// (gitignore(5)). go-git's matcher takes a pattern for one of every part of a path, so
// that of "*" and "!src" all files below src are not ignored, which git ignores.
package gitignore

import (
	"path"
	"strings"
)

// Patterns are those of several ignore files, in the order in which they were added: the
// last one that fits decides.
type Patterns struct {
	all     []pattern
	folders map[string]bool // that are ignored, or not
}

type pattern struct {
	text     string
	folder   string // that the ignore file is in; "" for the root
	negated  bool
	dirOnly  bool
	baseOnly bool // it is compared with the last part of a path
}

// Add adds the patterns of an ignore file. Folder is where it is, relative to the root of
// the work tree and with slashes; empty for the root, and for files that are elsewhere.
func (p *Patterns) Add(text, folder string) {
	p.folders = map[string]bool{}
	text = strings.TrimPrefix(text, "\ufeff")
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if line = trimmed(line); line == "" || line[0] == '#' {
			continue
		}
		if one, ok := parse(line); ok {
			one.folder = folder
			p.all = append(p.all, one)
		}
	}
}

// trimmed cuts spaces at the end, up to one that stands behind a backslash.
func trimmed(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			end = min(i+1, len(line))
		} else if line[i] != ' ' {
			end = i + 1
		}
	}
	return line[:end]
}

func parse(line string) (p pattern, ok bool) {
	p.text, p.negated = strings.CutPrefix(line, "!")
	p.text, p.dirOnly = strings.CutSuffix(p.text, "/")
	p.baseOnly = !strings.Contains(p.text, "/")
	p.text = strings.TrimPrefix(p.text, "/")
	return p, p.text != ""
}

// Match reports whether a file or folder is ignored, by its path with slashes, relative to
// the root: by itself, or in a folder that is.
func (p *Patterns) Match(name string, isDir bool) bool {
	for i := range len(name) {
		if name[i] == '/' && p.folder(name[:i]) {
			return true
		}
	}
	if isDir {
		return p.folder(name)
	}
	return p.decide(name, false)
}

func (p *Patterns) folder(name string) bool {
	ignored, known := p.folders[name]
	if !known && p.folders != nil {
		ignored = p.decide(name, true)
		p.folders[name] = ignored
	}
	return ignored
}

// decide looks at the path itself.
func (p *Patterns) decide(name string, isDir bool) bool {
	for i := len(p.all) - 1; i >= 0; i-- {
		if p.all[i].match(name, isDir) {
			return !p.all[i].negated
		}
	}
	return false
}

func (p pattern) match(name string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	if p.folder != "" {
		below, ok := strings.CutPrefix(name, p.folder+"/")
		if !ok {
			return false
		}
		name = below
	}
	if p.baseOnly {
		return wild(p.text, path.Base(name))
	}
	// What is before the first special byte is cut: stars behind it then begin the pattern.
	plain := strings.IndexAny(p.text, `*?[\`)
	if plain < 0 {
		return p.text == name
	}
	rest, ok := strings.CutPrefix(name, p.text[:plain])
	return ok && wild(p.text[plain:], rest)
}
