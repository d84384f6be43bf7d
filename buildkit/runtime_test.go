package buildkit_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
	"github.com/mrelease/mrelease/buildkit/engine"
)

// TestAttackRuntimeEnvironment puts itself in runc's place: of the passwords in the
// environment of this process it sees none, in a build, a measurement and a clean-up.
func TestAttackRuntimeEnvironment(t *testing.T) {
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	runtime, err := exec.LookPath("runc")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("it needs runc: ", err)
	}
	dir := t.TempDir()
	seen, spy, state := filepath.Join(dir, "seen"), filepath.Join(dir, "buildkit-runc"), filepath.Join(dir, "state")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %[1]s\n/usr/bin/env >> %[1]s\nexec %[2]s \"$@\"\n", seen, runtime)
	check(t, os.WriteFile(spy, []byte(script), 0o755))
	for _, name := range []string{"MRELEASE_WALLET_PASSWORD", "COSIGN_PASSWORD", "MRELEASE_WALLET_KEY", "ANY_OTHER_SECRET"} {
		t.Setenv(name, "hunter2")
	}
	b := openUnclosed(t, buildkit.Options{Path: dir, State: state})
	build(t, b, source(t, "FROM program\nRUN [\"/program\", \"print\", \"built\"]\n", nil))
	var out bytes.Buffer
	code, err := b.Run(t.Context(), programImage(t, v1.Config{Entrypoint: []string{"/program", "print", "ran"}}), nil, &out, nil)
	check(t, err)
	equal(t, "exit code", code, 0)
	contains(t, "output", out.String(), "ran")
	shut(t, b)
	check(t, engine.Clean(t.Context(), state, spy))
	printed := string(must(os.ReadFile(seen)))
	if runs := strings.Count(printed, " run "); runs < 2 || !strings.Contains(printed, "PATH=") {
		t.Errorf("runc ran %d containers:\n%s", runs, printed)
	}
	if strings.Contains(printed, "hunter2") {
		t.Errorf("runc was given a secret:\n%s", printed)
	}
}
