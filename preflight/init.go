package preflight

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mrelease/mrelease/examples"
	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/settings"
)

// ExistsError refuses to overwrite files.
type ExistsError struct{ Files []string }

// Error implements error.
func (e *ExistsError) Error() string {
	return strings.Join(e.Files, ", ") + ": there already, and not overwritten"
}

// Evidence returns the files.
func (e *ExistsError) Evidence() [][2]string {
	var facts [][2]string
	for _, f := range e.Files {
		facts = append(facts, [2]string{"there already", f})
	}
	return facts
}

// Begun is what [Begin] wrote, by paths.
type Begun struct {
	Project   iexeccli.Project // of iExec's command line, with what was taken from it
	Written   []string
	Kept      []string // that were there
	Completed []Completed
}

// The files that Begin writes.
const (
	dockerfileFile = "Dockerfile"
	ignoreFile     = ".dockerignore"
)

// Begin writes the files that a project begins with into a folder, which it makes: the
// configuration, and what is not there of the rest. Its error is an [*ExistsError] when
// there is a configuration.
func Begin(dir string) (b Begun, err error) {
	files, kept := filesToWrite(dir)
	if _, ok := files[settings.File]; !ok {
		return Begun{}, &ExistsError{kept}
	}
	b.Kept = kept
	b.Project, err = iexeccli.Read(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Begun{}, &settings.Error{Problems: []settings.Problem{{
			Where: filepath.Join(dir, iexeccli.File), Text: settings.Reason(cmp.Or(errors.Unwrap(err), err)),
			Cure: "correct the file, which iExec's command line would not read either; or move it away, and init begins without it",
		}}}
	}
	if _, ok := files[dockerfileFile]; ok && b.Project.Enclave.Framework != "" && !b.Project.Enclave.RunsProgram() {
		delete(files, dockerfileFile)
		delete(files, ignoreFile)
		b.Project.Left = append(b.Project.Left, iexeccli.Note{From: dockerfileFile, Text: "there is none, and none is written: an image of " + b.Project.Enclave.Framework + " is made with its framework's tools"})
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Begun{}, fmt.Errorf("making folder: %w", err)
	}
	for _, name := range []string{settings.File, dockerfileFile, ignoreFile} {
		text, ok := files[name]
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		if err := writeNew(path, text(b.Project)); err != nil {
			return Begun{}, err
		}
		b.Written = append(b.Written, path)
	}
	b.Completed, err = CompleteIgnoreFiles(dir, filepath.Join(dir, settings.File))
	return b, err
}

// filesToWrite maps the names of the files that are not there to their texts. The
// .dockerignore belongs to our Dockerfile: it would hide from another one what that
// copies.
func filesToWrite(dir string) (files map[string]func(iexeccli.Project) string, kept []string) {
	files = map[string]func(iexeccli.Project) string{
		settings.File:  settings.Template,
		dockerfileFile: dockerfile,
		ignoreFile:     func(iexeccli.Project) string { return examples.Dockerignore() },
	}
	for _, name := range []string{settings.File, dockerfileFile, ignoreFile} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			delete(files, name)
			kept = append(kept, filepath.Join(dir, name))
		}
	}
	if _, ok := files[dockerfileFile]; !ok {
		delete(files, ignoreFile)
	}
	return files, kept
}

func dockerfile(p iexeccli.Project) string {
	if p.Format == measure.None {
		return examples.UnsealedDockerfile()
	}
	return examples.Dockerfile()
}

// writeNew writes a file that must not be there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
