package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The command in a job's summary is one that a user copies: with any name of a file it
// is that command, with that file.
func TestAttackCommandToCopy(t *testing.T) {
	for _, path := range []string{"dist/record.json", "a b", "a; echo evil", "$(echo evil)", "`echo evil`", "it's'", "a|b", "-x\\", "&& echo evil", "*"} {
		a := releaseAnswer{Version: "1.0.0", RecordPath: path, config: []string{path}}
		_, line, found := strings.Cut(a.summary(), "Verify it yourself: ")
		if !found {
			t.Fatal("the summary has no command")
		}
		command := strings.ReplaceAll(strings.Trim(line, "` \n"), `\|`, "|") // as markdown shows it
		out, err := exec.CommandContext(t.Context(), "bash", "-c", "mrelease() { printf '%s\n' \"$@\"; }; "+command).Output()
		if want := "verify\n--config\n" + path + "\n" + path + "\n"; err != nil || string(out) != want {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
}
