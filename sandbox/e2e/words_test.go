package e2e

import (
	"encoding/json"
	"regexp"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mrelease/mrelease/ci/citest"
)

// stranger is what somebody writes who wants to be on the user's terminal, and to
// command the CI system: in a file's name too, so without a slash.
const stranger = "a\x1b[2J\x1b[32mPASSED\x1b[0m\u009b1A\r::add-mask::b\n::set-output name=mrenclave::evil\n ::stop-commands::c\n##[add-mask]d \u202e\u200b\u2028::error::e\u0085\x07"

// inJSON writes a text as it stands between the quotes of a JSON document.
func inJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string can be written
	}
	return string(quoted[1 : len(quoted)-1])
}

// checkShown looks at all that any script has printed: nothing controls a terminal,
// and nothing commands a CI system but what mrelease says itself.
func checkShown(ts *testscript.TestScript, stdout, stderr string) {
	if _, err := citest.Sections(stderr); err != nil {
		ts.Fatalf("GitLab's log: %v", err)
	}
	if ts.Getenv("GITLAB_CI") == "true" {
		stderr = section.ReplaceAllString(stderr, "")
	}
	for _, r := range stdout + stderr {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			ts.Fatalf("%U was printed", r)
		}
	}
	if told := citest.Commands(stdout); len(told) > 0 {
		ts.Fatalf("a CI system obeys standard output: %q", told)
	}
	for _, command := range citest.Commands(stderr) {
		if ts.Getenv("GITHUB_ACTIONS") != "true" || !own.MatchString(command) {
			ts.Fatalf("a CI system obeys %q", command)
		}
	}
}

// own matches the commands of mrelease.
var own = regexp.MustCompile(`^(group [a-z]+|endgroup|add-mask .+|error E-[A-Z-]+: .*|error [\w=,.]*file=[\w./-]+(,line=\d+)? .*)$`)

// section matches the markers of mrelease in GitLab's log.
var section = regexp.MustCompile(`section_(start|end):\d+:mrelease_\w{26}(\[collapsed=true\])?\r\x1b\[0K`)
