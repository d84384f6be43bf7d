package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/examples"
	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/preflight"
	"github.com/mrelease/mrelease/settings"
)

// The files that init writes.
const (
	configFile     = "mrelease.yaml"
	dockerfileFile = "Dockerfile"
	ignoreFile     = ".dockerignore"
)

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a configuration to begin with",
		Long: `init writes mrelease.yaml and, where there is no Dockerfile, one with its
.dockerignore; and it adds to .gitignore and .dockerignore what a release writes,
and the keys. It asks nothing and overwrites nothing. In a folder with the
iexec.json of iExec's command line it takes the app's name, image, owner,
enclave, chain and order from there. What only you can know is marked "yours".`,
		Example: "  mrelease init\n  mrelease init my-app",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return a.init(dir)
		},
	}
}

// initAnswer is the answer of mrelease init --json.
type initAnswer struct {
	Schema  string   `json:"schema"`
	Written []string `json:"written"`
	Kept    []string `json:"kept,omitempty"` // files that were there
	// Completed are the ignore files that lacked what a release writes, or a key.
	Completed []preflight.Completed `json:"completed,omitempty"`
	Took      []importNote          `json:"took,omitempty"` // from iExec's files
	Left      []importNote          `json:"left,omitempty"` // what could not be taken from them
}

type importNote struct {
	From string `json:"from"`
	Text string `json:"text"`
}

// existsError refuses to overwrite files.
type existsError struct{ Files []string }

func (e *existsError) Error() string {
	return strings.Join(e.Files, ", ") + ": there already, and not overwritten"
}

// Evidence returns the files.
func (e *existsError) Evidence() [][2]string {
	var facts [][2]string
	for _, f := range e.Files {
		facts = append(facts, [2]string{"there already", f})
	}
	return facts
}

func (a *app) init(dir string) error {
	files, kept := filesToWrite(dir)
	if _, ok := files[configFile]; !ok {
		return &existsError{kept}
	}
	project, err := iexeccli.Read(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &settings.Error{Problems: []settings.Problem{{Where: filepath.Join(dir, iexeccli.File), Text: err.Error()}}}
	}
	answer := initAnswer{Schema: "mrelease.init/v1", Kept: kept, Took: notes(project.Took), Left: notes(project.Left)}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	for _, name := range []string{configFile, dockerfileFile, ignoreFile} {
		text, ok := files[name]
		if !ok {
			continue
		}
		path := filepath.Join(dir, name)
		if err := writeNew(path, text(project)); err != nil {
			return err
		}
		answer.Written = append(answer.Written, path)
	}
	if answer.Completed, err = preflight.CompleteIgnoreFiles(dir, filepath.Join(dir, configFile)); err != nil {
		return err
	}
	return a.answerInit(answer)
}

// filesToWrite maps the names of the files that are not there to their texts. The
// .dockerignore belongs to our Dockerfile: it would hide from another one what that
// copies.
func filesToWrite(dir string) (files map[string]func(iexeccli.Project) string, kept []string) {
	files = map[string]func(iexeccli.Project) string{
		configFile:     settings.Template,
		dockerfileFile: dockerfile,
		ignoreFile:     func(iexeccli.Project) string { return examples.Dockerignore() },
	}
	for _, name := range []string{configFile, dockerfileFile, ignoreFile} {
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

func notes(of []iexeccli.Note) []importNote {
	var all []importNote
	for _, n := range of {
		all = append(all, importNote(n))
	}
	return all
}

func (a *app) answerInit(answer initAnswer) error {
	for _, n := range answer.Took {
		a.story.note("%s %s: %s", a.story.paint(green, "✓"), n.From, n.Text)
	}
	for _, n := range answer.Left {
		a.story.note("%s %s: not taken: %s", a.story.paint(red, "✗"), n.From, n.Text)
	}
	for _, path := range answer.Kept {
		a.story.note("kept %s", path)
	}
	for _, c := range answer.Completed {
		a.story.note("completed %s: %s", c.File, strings.Join(c.Lines, ", "))
	}
	a.story.note(`next: complete the lines marked "yours", then run mrelease check`)
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err := fmt.Fprintln(a.stdout, strings.Join(answer.Written, "\n"))
	return err
}
