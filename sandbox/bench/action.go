package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// pullRequests measures the action as a runner starts it for a pull request, with the
// program in the runner's tool cache: until the program's first line, and until the plan
// is made.
func pullRequests(ctx context.Context, b *bench) ([]row, error) {
	a, err := b.newAction(ctx)
	if err != nil {
		return nil, err
	}
	var first, whole []cost
	for turn := range 2*b.runs + 1 {
		began, ended, err := a.run(ctx)
		if err != nil {
			return nil, err
		}
		if turn > 0 { // the first one warms caches
			first, whole = append(first, began), append(whole, ended)
		}
	}
	line := row{Name: "action, program in the tool cache: to its first line", Unit: "s", Ours: times(first)}
	line.Note = "the program's bytes are compared with release.sums before that"
	plan := row{Name: "action: plan of a pull request", Unit: "s", Ours: times(whole)}
	plan.Note = "of the version that was released last, which it looks up in registry, chain and market"
	return []row{line.atMost(0.3), plan.atMost(3)}, nil
}

// action is a checkout of the action on a runner, and a project that has a pull request.
type action struct {
	project
	script string
	env    []string
}

func (b *bench) newAction(ctx context.Context) (a action, err error) {
	if a.project, err = b.newProject(); err != nil {
		return a, err
	}
	settings := fmt.Sprintf("image: %s/%s\nname: %s\nchain: sandbox-v5\n", os.Getenv("SANDBOX_REGISTRY"), a.name, a.name)
	release, err := b.mrelease(ctx, a.project, filepath.Join(b.dir, "action-state"), settings, "release", "--version", a.version)
	if err != nil {
		return a, err
	}
	if _, _, err := timed(release); err != nil {
		return a, err
	}
	checkout, tools, event := filepath.Join(b.dir, "action"), filepath.Join(b.dir, "tools"), filepath.Join(b.dir, "event.json")
	a.script = filepath.Join(checkout, "action", "run.sh")
	if err := b.cacheProgram(checkout, filepath.Join(tools, "mrelease", "1.0.0", "X64")); err != nil {
		return a, fmt.Errorf("setting up the action: %w", err)
	}
	proposed := `{"pull_request": {"base": {"sha": "0000000000000000000000000000000000000000"}}}`
	if err := errors.Join(os.CopyFS(filepath.Dir(a.script), os.DirFS(b.path("action"))), os.WriteFile(event, []byte(proposed), 0o644)); err != nil {
		return a, fmt.Errorf("setting up the action: %w", err)
	}
	a.env = append(os.Environ(), "RUNNER_OS=Linux", "RUNNER_ARCH=X64", "RUNNER_TEMP="+b.dir, "RUNNER_TOOL_CACHE="+tools, "GITHUB_ACTIONS=true", "CI=true",
		"GITHUB_EVENT_NAME=pull_request", "GITHUB_REF=refs/pull/3/merge", "GITHUB_EVENT_PATH="+event, "GITHUB_OUTPUT="+filepath.Join(b.dir, "output"), "GITHUB_STEP_SUMMARY="+filepath.Join(b.dir, "summary"),
		"MRELEASE_ACTION_REPOSITORY=mrelease/mrelease", "MRELEASE_STATE="+filepath.Join(b.dir, "action-state"), "SOURCE_DATE_EPOCH="+epoch, "MRELEASE_INPUT_VERSION="+a.version,
		"MRELEASE_INPUT_CONFIG=mrelease.yaml\n"+filepath.Join(os.Getenv("MRELEASE_SANDBOX"), "mrelease.yaml")+"\nbench.yaml", "MRELEASE_INPUT_MODE=auto", "MRELEASE_INPUT_DRY_RUN=false", "MRELEASE_INPUT_ARGS=--allow-dirty")
	for _, input := range []string{"BINARY", "DOWNLOAD", "IMAGE", "CHAIN", "CONTEXT", "RECORD", "BUILDER", "PLAN", "PLAN_HASH", "WALLET_PASSWORD", "COSIGN_PASSWORD"} {
		a.env = append(a.env, "MRELEASE_INPUT_"+input+"=")
	}
	return a, nil
}

// cacheProgram puts the program into a tool cache, and its hash into release.sums.
func (b *bench) cacheProgram(checkout, cache string) error {
	const name = "mrelease_1.0.0_linux_amd64"
	content, err := os.ReadFile(b.path("bin/mrelease"))
	if err != nil {
		return err
	}
	sums := fmt.Sprintf("# version 1.0.0\n%x  %d  %s\n", sha256.Sum256(content), len(content), name)
	if err := errors.Join(os.MkdirAll(checkout, 0o755), os.MkdirAll(cache, 0o755)); err != nil {
		return err
	}
	return errors.Join(os.WriteFile(filepath.Join(checkout, "release.sums"), []byte(sums), 0o644), os.WriteFile(filepath.Join(cache, name), content, 0o755))
}

// run runs the action once. The program's first words are on standard error, where the
// script itself says nothing.
func (a action) run(ctx context.Context) (first, whole cost, err error) {
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-eo", "pipefail", a.script)
	cmd.Dir, cmd.Env = a.dir, a.env
	return untilFirst(cmd)
}

// untilFirst runs a command, and returns what it took until it first wrote to standard
// error, and until it ended, also when that was with an error.
func untilFirst(cmd *exec.Cmd) (first, whole cost, err error) {
	var stdout bytes.Buffer
	stderr := &firstWords{}
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	start := time.Now()
	err = cmd.Run()
	whole.Wall, first.Wall = time.Since(start), stderr.at.Sub(start)
	if err == nil && stderr.at.IsZero() {
		err = errors.New("it says nothing")
	}
	if err != nil {
		err = fmt.Errorf("running %s: %w\n%s%s", filepath.Base(cmd.Path), err, &stdout, &stderr.text)
	}
	return first, whole, err
}

// firstWords keeps what is written, and when that began.
type firstWords struct {
	at   time.Time
	text bytes.Buffer
}

func (f *firstWords) Write(p []byte) (int, error) {
	if f.at.IsZero() {
		f.at = time.Now()
	}
	return f.text.Write(p)
}
