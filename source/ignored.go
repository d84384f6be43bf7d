package source

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

func (s *plainStatus) isIgnored(name string, isDir bool) bool {
	return gitignore.NewMatcher(s.ignored).Match(strings.Split(name, "/"), isDir)
}

func (s *plainStatus) readIgnoreFile(folder string) {
	var domain []string
	if folder != "." {
		domain = strings.Split(folder, "/")
	}
	s.readIgnored(path.Join(folder, ".gitignore"), domain)
}

// readIgnored takes the patterns of a file. As in git, one that cannot be read
// ignores nothing.
func (s *plainStatus) readIgnored(file string, domain []string) {
	data, err := os.ReadFile(filepath.Join(s.root, file))
	if err == nil {
		s.ignored = append(s.ignored, patterns(string(data), domain)...)
	}
}

func patterns(text string, domain []string) (all []gitignore.Pattern) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && !strings.HasPrefix(line, "#") {
			all = append(all, gitignore.ParsePattern(line, domain))
		}
	}
	return all
}

// Ignores reports whether the text of a .gitignore names a file or folder, by its path
// beside it, or a folder that it is in.
func Ignores(text, name string, isDir bool) bool {
	matcher := gitignore.NewMatcher(patterns(text, nil))
	parts := strings.Split(name, "/")
	for i := range parts {
		if matcher.Match(parts[:i+1], isDir || i < len(parts)-1) {
			return true
		}
	}
	return false
}
