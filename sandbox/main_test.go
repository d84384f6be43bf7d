package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommandInside(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	out := filepath.Join(t.TempDir(), "out")
	err := run(t.Context(), []string{"--", "sh", "-c", `. "$MRELEASE_SANDBOX/env" && ls "$MRELEASE_SANDBOX" > ` + out + `; exit 7`}, io.Discard, io.Discard)
	if code := exitCode(err, io.Discard); code != 7 {
		t.Errorf("exit code %d (%v), want the command's: 7", code, err)
	}
	files, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(files)), "cosign.key cosign.pub env mrelease.yaml signing-config-nolog.json signing-config-v2.json signing-config.json trusted-root.json wallet.json"; strings.Join(got, " ") != want {
		t.Errorf("the command saw %v, want %s", got, want)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestCommandKilledBySignal(t *testing.T) {
	err := run(t.Context(), []string{"--", "sh", "-c", "kill -9 $$"}, io.Discard, io.Discard)
	if code := exitCode(err, io.Discard); code != 137 {
		t.Errorf("exit code %d, want 137 as a shell has it", code)
	}
}

func TestStaysUpUntilStopped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "world")
	ctx, stop := context.WithCancel(t.Context())
	var stdout bytes.Buffer
	ended := make(chan error)
	go func() { ended <- run(ctx, []string{"--dir", dir}, &stdout, io.Discard) }()
	env := filepath.Join(dir, "env")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(env); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not up after a minute")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(env); err == nil {
		t.Error("the file env says that the world is still up")
	}
	if config, err := os.ReadFile(filepath.Join(dir, "mrelease.yaml")); err != nil || !bytes.Equal(config, stdout.Bytes()) {
		t.Errorf("printed %q, wrote %q (%v)", stdout.Bytes(), config, err)
	}
}

func TestUsage(t *testing.T) {
	for args, want := range map[string]string{
		"--nope":                 "flag provided but not defined: -nope",
		"--registry nope":        "no registry has the habit \"nope\"",
		"--contracts /nonesuch":  "install them with: cd sandbox && npm ci",
		"--base /nonesuch/base ": "make it with: baseimage --out /nonesuch/base",
	} {
		var stderr bytes.Buffer
		if code := exitCode(run(t.Context(), strings.Fields(args), io.Discard, &stderr), &stderr); code != 1 || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: exit code %d, %q; want 1 and %q", args, code, stderr.String(), want)
		}
	}
}
