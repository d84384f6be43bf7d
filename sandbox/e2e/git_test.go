package e2e

import (
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/rogpeppe/go-internal/testscript"
)

// gitCommand does what the scripts need of git, which a machine need not have:
//
//	git init             which then says what is released, in place of MRELEASE_COMMIT
//	git commit           all files
//	git tag NAME         lightweight, at HEAD
//	git annotate NAME    annotated, at HEAD
func gitCommand(ts *testscript.TestScript, s *script, args []string) {
	if len(args) == 1 && args[0] == "init" {
		_, err := git.PlainInit(s.dir, false)
		ts.Check(err)
		ts.Setenv("MRELEASE_COMMIT", "") // now the repository says it
		return
	}
	repo, err := git.PlainOpen(s.dir)
	ts.Check(err)
	if len(args) == 1 && args[0] == "commit" {
		ts.Check(commit(repo))
		return
	}
	if len(args) != 2 || args[0] != "tag" && args[0] != "annotate" {
		ts.Fatalf("usage: git init, git commit, git tag NAME, or git annotate NAME")
	}
	head, err := repo.Head()
	ts.Check(err)
	var options *git.CreateTagOptions
	if args[0] == "annotate" {
		options = &git.CreateTagOptions{Tagger: author(), Message: args[1]}
	}
	_, err = repo.CreateTag(args[1], head.Hash(), options)
	ts.Check(err)
}

func commit(repo *git.Repository) error {
	tree, err := repo.Worktree()
	if err != nil {
		return err
	}
	if err := tree.AddWithOptions(&git.AddOptions{All: true}); err != nil {
		return err
	}
	_, err = tree.Commit("change", &git.CommitOptions{Author: author(), AllowEmptyCommits: true})
	return err
}

func author() *object.Signature {
	return &object.Signature{Name: "Test", Email: "test@example.com", When: time.Unix(1_600_000_000, 0).UTC()}
}
