package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mrelease/mrelease/iexeccli"
	"github.com/mrelease/mrelease/preflight"
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

func (a *app) init(dir string) error {
	begun, err := preflight.Begin(dir)
	if err != nil {
		return err
	}
	check := "mrelease check"
	if dir != "." {
		check = "cd " + dir + " && " + check
	}
	return a.answerInit(check, initAnswer{
		Schema: "mrelease.init/v1", Written: begun.Written, Kept: begun.Kept, Completed: begun.Completed,
		Took: notes(begun.Project.Took), Left: notes(begun.Project.Left),
	})
}

func notes(of []iexeccli.Note) []importNote {
	var all []importNote
	for _, n := range of {
		all = append(all, importNote(n))
	}
	return all
}

func (a *app) answerInit(check string, answer initAnswer) error {
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
	a.story.note(`next: complete the lines marked "yours", then run %s`, check)
	if a.json {
		return printJSON(a.stdout, answer)
	}
	_, err := fmt.Fprintln(a.stdout, strings.Join(answer.Written, "\n"))
	return err
}
