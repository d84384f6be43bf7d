package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/ci/citest"
)

// TestAttackAction runs the script of action.yml with a stranger's words in each of its
// inputs: the program gets them as arguments, and nothing else is made of them.
func TestAttackAction(t *testing.T) {
	action, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := strings.Cut(string(action), "      run: |\n")
	if !found {
		t.Fatal("action.yml has no script")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/bash\nprintf '%s\\0' \"$@\" >\"$ARGUMENTS\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	hostile := stranger + "$(touch evil)`touch evil`';touch evil;\""
	for _, input := range []string{"COMMAND", "CONFIG_FILES", "VERSION", "IMAGE", "CHAIN", "DRY_RUN", "ARGS", "INPUT_WALLET_PASSWORD", "INPUT_COSIGN_PASSWORD"} {
		values := map[string]string{"BINARY": program, "COMMAND": "release", "DRY_RUN": "false", "CONFIG_FILES": "mrelease.yaml"}
		values[input] = hostile
		c := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", strings.ReplaceAll(body, "\n        ", "\n"))
		c.Dir, c.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "ARGUMENTS=" + filepath.Join(dir, "arguments")}
		for name, value := range values {
			c.Env = append(c.Env, "MRELEASE_"+name+"="+value)
		}
		out, err := c.CombinedOutput()
		if (err != nil) != (input == "DRY_RUN") {
			t.Errorf("%s: %v\n%s", input, err, out)
		}
		for _, command := range citest.Commands(string(out)) {
			if command != "error dry-run must be true or false" {
				t.Errorf("%s: the runner obeys %q", input, command)
			}
		}
		if strings.ContainsAny(string(out), "\x1b\r") {
			t.Errorf("%s: printed %q", input, out)
		}
		if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
			t.Errorf("%s was run", input)
		}
		args, err := os.ReadFile(filepath.Join(dir, "arguments"))
		if err == nil && input == "COMMAND" && !strings.HasPrefix(string(args), hostile+"\x00") {
			t.Errorf("the command became %q", args)
		}
	}
}
