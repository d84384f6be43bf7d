package canary

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// Expected is what is expected of the result of a run; of a zero one, that there is a
// result.
type Expected struct {
	File         string        // path in it, with slashes, of a file; empty: none
	Digest       string        // sha256:… of that
	Judge        string        // program that judges it; empty: none
	JudgeTimeout time.Duration // for the program
}

// judgeVariables are the only variables of the environment that a judge is given: what a
// program needs to find others, a folder for its files, and the user's language. The others
// may be passwords of the release.
func judgeVariables() []string {
	return []string{"PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LANG", "LC_ALL", "TZ"}
}

// verdict is how a result was judged: what was compared, or what is wrong with it.
type verdict struct {
	problem, expected, actual string // problem is empty for a good one
	printed                   string // by the judge
}

// judge compares a result that lies in a folder. Its error says why it could not.
func (e Expected) judge(ctx context.Context, folder string, getenv func(string) string) (verdict, error) {
	if e.File != "" {
		v, err := e.compare(folder)
		if err != nil || v.problem != "" {
			return v, err
		}
	}
	if e.Judge == "" {
		return verdict{}, nil
	}
	return e.ask(ctx, folder, getenv)
}

// compare compares a file's digest. The folder is the run's: no link in it is followed out.
func (e Expected) compare(folder string) (verdict, error) {
	digest, err := digestOf(folder, e.File)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR):
		return verdict{problem: "its result has no file " + e.File, expected: e.Digest, actual: "no such file"}, nil
	case err != nil:
		return verdict{}, fmt.Errorf("reading result: %w", err)
	case digest != e.Digest:
		return verdict{problem: "its result has another " + e.File, expected: e.Digest, actual: digest}, nil
	}
	return verdict{}, nil
}

// JudgeDigest returns the digest of the judge's file, sha256:…; empty without a judge.
func (e Expected) JudgeDigest() (string, error) {
	if e.Judge == "" {
		return "", nil
	}
	digest, err := digestOf(filepath.Dir(e.Judge), filepath.Base(e.Judge))
	if err != nil {
		return "", fmt.Errorf("reading the judge: %w", err)
	}
	return digest, nil
}

func digestOf(folder, name string) (digest string, err error) {
	root, err := os.OpenRoot(folder)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// ask starts the judge's program in the result's folder. It is the user's own: what it
// says by its exit code counts, and what it prints is kept for who reads of a failure.
func (e Expected) ask(ctx context.Context, folder string, getenv func(string) string) (verdict, error) {
	program, err := filepath.Abs(e.Judge)
	if err != nil {
		return verdict{}, fmt.Errorf("looking for the judge: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, e.JudgeTimeout)
	defer cancel()
	said := &tail{most: bounds.Printed}
	c := exec.CommandContext(limited, program)
	c.Dir, c.Stdout, c.Stderr, c.WaitDelay = folder, said, said, time.Second
	defer asGroup(c)()
	c.Env = []string{} // and not the process's
	for _, name := range judgeVariables() {
		if value := getenv(name); value != "" {
			c.Env = append(c.Env, name+"="+value)
		}
	}
	err = c.Run()
	v := verdict{expected: "exit code 0 of " + e.Judge, printed: said.String()}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return verdict{printed: v.printed}, nil
	case ctx.Err() != nil:
		return verdict{}, ctx.Err()
	case limited.Err() != nil:
		return verdict{}, &JudgeError{Program: program, Problem: "it did not end within " + e.JudgeTimeout.String(), Printed: v.printed}
	case errors.As(err, &exit) && exit.Exited():
		v.problem, v.actual = "its judge refused the result", fmt.Sprintf("exit code %d", exit.ExitCode())
		return v, nil
	}
	return verdict{}, &JudgeError{Program: program, Problem: err.Error(), Printed: v.printed, Err: err}
}

// JudgeError says that the judge's program gave no verdict. It says nothing of the run.
type JudgeError struct {
	Program string
	Problem string
	Printed string // by the program
	Err     error
}

// Error implements error.
func (e *JudgeError) Error() string { return "judging the canary's result: " + e.Problem }

// Unwrap returns why the program did not run.
func (e *JudgeError) Unwrap() error { return e.Err }

// Evidence returns the program and what it printed.
func (e *JudgeError) Evidence() [][2]string {
	return append([][2]string{{"program", e.Program}}, printed("the judge printed", e.Printed)...)
}

// printed is evidence where something was printed.
func printed(by, text string) [][2]string {
	if text == "" {
		return nil
	}
	return [][2]string{{by, text}}
}

// tail keeps the end of what is written to it.
type tail struct {
	most int
	kept []byte
	left bool // something was left out
}

// Write implements [io.Writer].
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-t.most):]...)
	if over := len(t.kept) - t.most; over > 0 || len(p) > t.most {
		t.kept, t.left = t.kept[max(over, 0):], true
	}
	return len(p), nil
}

// String returns what was kept.
func (t *tail) String() string {
	if t.left {
		return "… " + string(t.kept)
	}
	return string(t.kept)
}
