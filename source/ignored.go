package source

import (
	"errors"
	"os"
	"path"
	"path/filepath"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/source/gitignore"
)

// readIgnoreFile adds the .gitignore of a folder. As in git, one that is a link or cannot
// be read ignores nothing.
func (s *plainStatus) readIgnoreFile(folder string) error {
	file := filepath.Join(s.root, folder, ".gitignore")
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	if folder == "." {
		folder = ""
	}
	return s.readIgnored(file, folder)
}

// readIgnored adds the patterns of a file that ignores below a folder.
func (s *plainStatus) readIgnored(file, folder string) error {
	if file == "" {
		return nil
	}
	data, err := bounds.ReadFile(file, bounds.GitFile)
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return err
	}
	if err == nil {
		s.ignored.Add(string(data), folder)
	}
	return nil
}

// readIgnoreFiles adds what is said outside of the place that is compared: the user's
// file, the repository's, and those of the folders above, the topmost first.
func (s *plainStatus) readIgnoreFiles(place string) error {
	s.ignored = gitignore.Patterns{}
	err := errors.Join(s.readIgnored(s.excludes, ""), s.readIgnored(filepath.Join(s.root, ".git", "info", "exclude"), ""))
	for _, folder := range above(place) {
		err = errors.Join(err, s.readIgnoreFile(folder))
	}
	return err
}

// above are the folders that a place is in, from the root on.
func above(place string) []string {
	if place == "." {
		return nil
	}
	return append(above(path.Dir(place)), path.Dir(place))
}

// Ignores reports whether the text of a .gitignore names a file or folder, by its path
// beside it, or a folder that it is in.
func Ignores(text, name string, isDir bool) bool {
	var p gitignore.Patterns
	p.Add(text, "")
	return p.Match(name, isDir)
}
