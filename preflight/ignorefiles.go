package preflight

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/settings"
	"github.com/mrelease/mrelease/source"
)

// Completed is an ignore file to which lines were added.
type Completed struct {
	File  string   `json:"file"`
	Lines []string `json:"lines"`
	New   bool     `json:"new"` // there was none
}

// CompleteIgnoreFiles lets git and the build of a project pass by what a release writes,
// and the keys that the configuration names: it adds to .gitignore and .dockerignore in dir what they do not name yet.
// A file that is a link is left as it is: what it leads to may be anything.
func CompleteIgnoreFiles(dir, config string) ([]Completed, error) {
	s := settings.Read(settings.Sources{Files: []string{config}, Getenv: func(string) string { return "" }}).Settings
	names := slices.Concat(folders(), []string{keystores}, keysIn(dir, s))
	var all []Completed
	for _, complete := range []func(string, []string) (Completed, error){completeGit, completeDocker} {
		c, err := complete(dir, names)
		if err != nil {
			return all, err
		}
		if c.Lines != nil {
			all = append(all, c)
		}
	}
	return all, nil
}

// folders are those that this program writes in a project: what a release makes, and the
// requester's result keys, where iExec's command line has them too.
func folders() []string { return []string{"dist", ".secrets"} }

// keystores is how geth and iExec's command line name the wallets that they make.
const keystores = "UTC--*"

// keysIn are the files of keys that lie in a folder, by their slash-separated paths in it,
// but for those of the name that all are left out of.
func keysIn(dir string, s settings.Settings) (names []string) {
	for _, file := range s.KeyFiles() {
		if name, err := filepath.Rel(dir, file.Path); err == nil && filepath.IsLocal(name) && !strings.HasPrefix(filepath.Base(name), "UTC--") {
			names = append(names, filepath.ToSlash(name))
		}
	}
	return names
}

func completeGit(dir string, names []string) (Completed, error) {
	c := Completed{File: filepath.Join(dir, ".gitignore")}
	text, err := c.read()
	if err != nil || text == nil {
		return c, err
	}
	for _, name := range names {
		if isDir := slices.Contains(folders(), name); source.Ignores(string(text), name, isDir) {
			continue
		} else if isDir {
			name += "/"
		}
		c.Lines = append(c.Lines, strings.Replace("/"+name, "/"+keystores, keystores, 1)) // those in any folder
	}
	return c, c.write(text, "# What mrelease writes, and keys.")
}

func completeDocker(dir string, names []string) (Completed, error) {
	c := Completed{File: filepath.Join(dir, "Dockerfile.dockerignore")}
	if _, err := os.Lstat(c.File); err != nil {
		c.File = filepath.Join(dir, ".dockerignore")
	}
	text, err := c.read()
	if err != nil || text == nil {
		return c, err
	}
	for _, name := range append([]string{".git"}, names...) {
		sent, err := buildkit.Source{Context: dir}.Sends(filepath.Join(dir, name))
		if err != nil {
			return c, fmt.Errorf("reading %s: %w", c.File, err)
		}
		if sent {
			c.Lines = append(c.Lines, strings.Replace(name, keystores, "**/"+keystores, 1))
		}
	}
	return c, c.write(text, "# What changes from run to run, and keys.")
}

// read returns the file's text, empty when there is none, and nil for what is no file.
func (c *Completed) read() ([]byte, error) {
	info, err := os.Lstat(c.File)
	if errors.Is(err, fs.ErrNotExist) {
		c.New = true
		return []byte{}, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil, err
	}
	text, err := bounds.ReadFile(c.File, bounds.Dockerfile)
	return append([]byte{}, text...), err
}

// write adds the lines below a comment.
func (c *Completed) write(text []byte, comment string) error {
	if c.Lines == nil {
		return nil
	}
	added := comment + "\n" + strings.Join(c.Lines, "\n") + "\n"
	if len(text) > 0 {
		added = "\n" + added
		if text[len(text)-1] != '\n' {
			added = "\n" + added
		}
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND|bounds.NoFollow, 0o644)
	if err != nil {
		return fmt.Errorf("completing %s: %w", c.File, err)
	}
	_, err = f.WriteString(added)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("completing %s: %w", c.File, err)
	}
	return nil
}
