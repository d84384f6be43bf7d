package buildkit

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"

	"github.com/moby/buildkit/client"
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

// hideText takes out of a status what it quotes of the Dockerfile: of the name of a
// step is left which it is, and of how many.
func hideText(status *client.SolveStatus) {
	for _, v := range status.Vertexes {
		if ownStep.MatchString(v.Name) {
			continue
		}
		v.Error = ""
		if number := stepNumber.FindStringSubmatch(v.Name); number != nil {
			v.Name = "[" + number[1] + "] …"
		} else {
			v.Name = "…"
		}
	}
	status.Warnings = nil
}

var (
	// ownStep matches the names that hold no word of the Dockerfile.
	ownStep    = regexp.MustCompile(`^(\[internal\] load (build definition|build context|\.dockerignore)|exporting )`)
	stepNumber = regexp.MustCompile(`^\[(?:[^\]]* )?([0-9]+/[0-9]+)\]`)
)

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
