//go:build unix

package canary

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/bounds"
)

// judged is a folder with a result, and a program beside it.
func judged(t *testing.T, script string) (e Expected, folder string) {
	t.Helper()
	dir := t.TempDir()
	folder = filepath.Join(dir, "result")
	write(t, filepath.Join(folder, "out", "answer.txt"), "42\n", 0o600)
	e.JudgeTimeout = 10 * time.Second
	if script != "" {
		e.Judge = filepath.Join(dir, "judge")
		write(t, e.Judge, "#!/bin/sh\n"+script+"\n", 0o700)
	}
	return e, folder
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// A digest is compared with that of the file, and what is no such file is no result.
func TestDigest(t *testing.T) {
	right := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("42\n")))
	for _, tt := range []struct{ file, digest, problem string }{
		{"out/answer.txt", right, ""},
		{"out/answer.txt", "sha256:" + strings.Repeat("0", 64), "its result has another out/answer.txt"},
		{"answer.txt", right, "its result has no file answer.txt"},
		{"out", right, "its result has no file out"},
		{"out/answer.txt/more", right, "its result has no file out/answer.txt/more"},
	} {
		e, folder := judged(t, "exit 1")
		e.Judge = ""
		e.File, e.Digest = tt.file, tt.digest
		if v, err := e.judge(t.Context(), folder, os.Getenv); v.problem != tt.problem || err != nil {
			t.Errorf("%s, %s: %+v, %v", tt.file, tt.digest, v, err)
		}
	}
}

// A link in a result leads nowhere outside of it.
func TestAttackResultWithALink(t *testing.T) {
	e, folder := judged(t, "")
	outside := filepath.Join(folder, "..", "outside")
	write(t, outside, "42\n", 0o600)
	if err := os.Symlink("../outside", filepath.Join(folder, "linked")); err != nil {
		t.Fatal(err)
	}
	e.File, e.Digest = "linked", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("42\n")))
	if v, err := e.judge(t.Context(), folder, os.Getenv); err == nil {
		t.Errorf("the link was followed: %+v", v)
	}
}

// The exit code of the judge's program is the verdict. It runs in the result's folder and
// is told nothing of the environment that it does not need.
func TestJudge(t *testing.T) {
	t.Setenv("MRELEASE_WALLET_PASSWORD", "judge-must-not-see-this")
	for _, tt := range []struct{ script, problem, actual, printed string }{
		{"cmp -s out/answer.txt - <<E\n42\nE", "", "", ""},
		{"echo seen; echo wrong >&2; exit 3", "its judge refused the result", "exit code 3", "seen\nwrong\n"},
		{"env | grep -c judge-must-not-see-this", "its judge refused the result", "exit code 1", "0\n"},
		{"test -n \"$PATH\"", "", "", ""},
		{"head -c 100000 /dev/zero | tr '\\0' x; echo end; exit 1", "its judge refused the result", "exit code 1", "… " + strings.Repeat("x", bounds.Printed-4) + "end\n"},
	} {
		e, folder := judged(t, tt.script)
		v, err := e.judge(t.Context(), folder, os.Getenv)
		if v.problem != tt.problem || v.actual != tt.actual || v.printed != tt.printed || err != nil {
			t.Errorf("%s: %.300q %v", tt.script, fmt.Sprint(v), err)
		}
	}
}

// What ends the judge's program without an exit code of its own says nothing of the run.
func TestJudgeWithoutAVerdict(t *testing.T) {
	for script, problem := range map[string]string{"sleep 60 & sleep 60": "within 200ms", "kill -9 $$": "killed"} {
		e, folder := judged(t, script)
		e.JudgeTimeout = 200 * time.Millisecond
		if problem == "killed" {
			e.JudgeTimeout = 10 * time.Second
		}
		start := time.Now()
		v, err := e.judge(t.Context(), folder, os.Getenv)
		var none *JudgeError
		if !errors.As(err, &none) || !strings.Contains(none.Problem, problem) || v.problem != "" {
			t.Errorf("%s: %+v, %v", script, v, err)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: it took %s", script, took)
		}
	}
	e, folder := judged(t, "sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := e.judge(ctx, folder, os.Getenv); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("interrupted: %v", err)
	}
	e.Judge = filepath.Join(folder, "nothing")
	var none *JudgeError
	if _, err := e.judge(t.Context(), folder, os.Getenv); !errors.As(err, &none) {
		t.Errorf("no program: %v", err)
	}
}

// What a judge's program leaves behind ends with it.
func TestAttackJudgeThatLeavesAProgram(t *testing.T) {
	e, folder := judged(t, "(sleep 0.3; touch ../late) >/dev/null 2>&1 &")
	if v, err := e.judge(t.Context(), folder, os.Getenv); v.problem != "" || err != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	time.Sleep(600 * time.Millisecond)
	if _, err := os.Stat(filepath.Join(folder, "..", "late")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it went on: %v", err)
	}
}

// A result that is a bomb is none, so that another run can be bought.
func TestAttackResultBeyondTheBounds(t *testing.T) {
	if err := fmt.Errorf("unpacking: %w", &bounds.Error{What: "the number of its files and folders", Most: "20000"}); !isNoResult(err) {
		t.Errorf("%v is a result", err)
	}
}
