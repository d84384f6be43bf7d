package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/printable"
)

// GitError says that a repository cannot be read, and so not what the source is.
type GitError struct {
	Where   string // the repository
	Problem string
	Cure    string // empty: what git says of it is the only help
}

// Error implements error.
func (e *GitError) Error() string { return "the git repository cannot be read" }

// Evidence returns what git says.
func (e *GitError) Evidence() [][2]string {
	return [][2]string{{"expected", "a repository that git reads"}, {"actual", printable.Text(e.Problem)}, {"where", e.Where}}
}

// Remedy is what to do about it.
func (e *GitError) Remedy() string {
	if e.Cure != "" {
		return e.Cure
	}
	return "run git status in " + e.Where + ", and mend what it says"
}

// findGit returns the absolute path of git's program; empty when the machine has none.
// A folder of PATH that is not absolute is passed by: it may be the repository's own.
func findGit(getenv func(string) string) string {
	for _, dir := range filepath.SplitList(getenv("PATH")) {
		file := filepath.Join(dir, "git")
		if info, err := os.Stat(file); filepath.IsAbs(dir) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file
		}
	}
	return ""
}

// program is git's program with all that it is given of the world.
type program struct {
	path  string
	dir   string   // working folder
	env   []string // the whole environment
	extra []string // arguments before the command's name
}

// quiet is an environment in which git asks nobody, waits for nobody, follows no
// configuration but that of the repository it is pointed at, and fetches nothing:
// no transport is allowed, for a repository can name the program that is one.
func quiet(home string) []string {
	return []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "GIT_PAGER=", "GIT_EDITOR=false", "GIT_OPTIONAL_LOCKS=0", "GIT_ALLOW_PROTOCOL=none",
		"GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_LITERAL_PATHSPECS=1", "GIT_DISCOVERY_ACROSS_FILESYSTEM=1", "GIT_ADVICE=0",
	}
}

// run returns what git prints. Its error is a [*GitError], or that of the context.
func (p program) run(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	asked, cancel := context.WithTimeout(ctx, bounds.GitTime)
	defer cancel()
	cmd := exec.CommandContext(asked, p.path, slices.Concat(p.extra, args)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = p.dir, p.env, 5*time.Second
	cmd.Stdin = bytes.NewReader(stdin)
	stdout, stderr := &capped{most: bounds.GitOutput}, &capped{most: bounds.ErrorBody, forgets: true}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.text, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case stdout.larger():
		err = &bounds.Error{What: "the answer of git " + args[0], Most: bounds.Bytes(bounds.GitOutput)}
	case asked.Err() != nil:
		err = fmt.Errorf("git %s gave no answer within %s", args[0], bounds.GitTime)
	case len(stderr.text) > 0:
		err = errors.New(strings.TrimPrefix(strings.Join(strings.Fields(string(stderr.text)), " "), "fatal: "))
	}
	return nil, &GitError{Where: p.dir, Problem: err.Error()}
}

// line is run for an answer of one line.
func (p program) line(ctx context.Context, args ...string) (string, error) {
	out, err := p.run(ctx, nil, args...)
	return strings.TrimSuffix(string(out), "\n"), err
}

// fields is run for an answer whose parts end with a zero byte.
func (p program) fields(ctx context.Context, stdin []byte, args ...string) ([]string, error) {
	out, err := p.run(ctx, stdin, args...)
	if err != nil || len(out) == 0 {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"), nil
}

// zeroEnded writes the parts of a question.
func zeroEnded(parts []string) []byte {
	return []byte(strings.Join(parts, "\x00") + "\x00")
}

// capped keeps what is written to it, up to a number of bytes.
type capped struct {
	text    []byte
	most    int
	forgets bool // what is more is forgotten; else it is an error
	more    bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	kept := p[:min(len(p), c.most-len(c.text))]
	c.text = append(c.text, kept...)
	c.more = c.more || len(kept) < len(p)
	if c.larger() {
		return len(kept), errors.New("more than is taken")
	}
	return len(p), nil
}

func (c *capped) larger() bool { return c.more && !c.forgets }
