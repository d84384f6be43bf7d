package buildkit

import (
	"errors"
	"fmt"
	"path/filepath"
)

// isLinkedOut reports whether the Dockerfile is reached by links that lead out of
// the context, or, when it is named by another path, out of its folder. Whoever may
// commit can make such a link to any file of the machine: what is in it decides what
// is built, and is not to be read in messages about it.
func (s Source) isLinkedOut() bool {
	home := filepath.Dir(s.path())
	if below(s.path(), s.Context) {
		home = s.Context
	}
	file, err := filepath.EvalSymlinks(s.path())
	folder, folderErr := filepath.EvalSymlinks(home)
	return errors.Join(err, folderErr) != nil || !below(file, folder)
}

// below reports whether a path leads below a folder, by their names.
func below(path, folder string) bool {
	path, err := filepath.Abs(path)
	folder, folderErr := filepath.Abs(folder)
	if errors.Join(err, folderErr) != nil {
		return false
	}
	inside, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(inside)
}

// hide takes out of an error what BuildKit says of the Dockerfile's text.
func (s Source) hide(e *BuildError) {
	if !s.isLinkedOut() {
		return
	}
	e.Instruction, e.Step, e.Cause = "", "", ""
	e.Err = fmt.Errorf("it is a link to a file elsewhere, whose text is not shown, and cannot be built%s", exitCode(e))
}

func exitCode(e *BuildError) string {
	if e.ExitCode == 0 {
		return ""
	}
	return fmt.Sprintf(": exit code %d", e.ExitCode)
}

// hideFindings takes the texts out of what the linter found.
func (s Source) hideFindings(found []Finding) []Finding {
	if !s.isLinkedOut() {
		return found
	}
	for i := range found {
		found[i].Text = "the Dockerfile is a link to a file elsewhere, whose text is not shown"
	}
	return found
}
