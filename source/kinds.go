package source

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// Git opens its files whatever they are: a named pipe in the place of one has it wait for a
// writer, and so would whoever reads without git. A repository may be anybody's, so what is
// no file is looked for first.

// checkFiles makes sure that there is nothing to wait for in the repository that a folder
// lies in. Its error is a [*GitError].
func checkFiles(dir string) error {
	root := rootOf(dir)
	if root == "" {
		return nil
	}
	folder := filepath.Join(root, ".git")
	if err := checkKind(folder); err != nil {
		return err
	}
	if other := leadsTo(folder, "gitdir: "); other != "" {
		folder = other
	}
	err := checkBelow(folder)
	if common := leadsTo(filepath.Join(folder, "commondir"), ""); common != "" && err == nil {
		err = checkBelow(common)
	}
	return err
}

// leadsTo is the folder that a file of git's leads to; empty when it leads to none.
func leadsTo(file, prefix string) string {
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	text, err := bounds.ReadFile(file, bounds.GitFile)
	to, ok := strings.CutPrefix(strings.TrimRight(string(text), "\r\n"), prefix)
	switch {
	case err != nil || !ok || to == "":
		return ""
	case filepath.IsAbs(to):
		return to
	}
	return filepath.Join(filepath.Dir(file), to)
}

// checkBelow looks at all that a folder of git's holds.
func checkBelow(folder string) error {
	return filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile, or none
		}
		if err != nil {
			return &GitError{Where: file, Problem: err.Error()}
		}
		if entry.Type().IsRegular() || entry.IsDir() {
			return nil
		}
		return checkKind(file)
	})
}

// checkKind refuses what a reader would wait for, or read without end.
func checkKind(file string) error {
	info, err := os.Stat(file)
	if err != nil || info.Mode()&(fs.ModeNamedPipe|fs.ModeDevice) == 0 {
		return nil // what is not there is git's affair
	}
	kind := "a named pipe"
	if info.Mode()&fs.ModeDevice != 0 {
		kind = "a device"
	}
	return &GitError{Where: file, Problem: "it is " + kind + ", and git reads a file there", Cure: "remove " + file + ", or put the file back"}
}

// checkTree looks at the files of a work tree that say how git compares others: those below
// some places, and in the folders above.
func checkTree(root string, places []string) error {
	named := []string{".gitattributes", ".gitignore", ".gitmodules"}
	check := func(folder string) (err error) {
		for _, name := range named {
			err = errors.Join(err, checkKind(filepath.Join(root, folder, name)))
		}
		return err
	}
	for _, place := range places {
		for folder := path.Dir(filepath.ToSlash(place)); ; folder = path.Dir(folder) {
			if err := check(folder); err != nil {
				return err
			}
			if folder == "." {
				break
			}
		}
		err := filepath.WalkDir(filepath.Join(root, place), func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil // which git will say
			case entry.IsDir() && entry.Name() == ".git":
				return fs.SkipDir
			case !entry.Type().IsRegular() && slices.Contains(named, entry.Name()):
				return checkKind(file)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
