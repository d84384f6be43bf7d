package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// likeReadme compares the last command's story with the sample in README.md: the same
// steps in the same order, and the same words but for numbers, digests and addresses.
//
//	like-readme
func likeReadme(ts *testscript.TestScript, _ *script, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: like-readme")
	}
	readme, err := os.ReadFile("../../README.md")
	ts.Check(err)
	sample := steps(string(readme))
	if told := steps(ts.ReadFile("stderr")); len(sample) == 0 || !slices.Equal(sample, told) {
		ts.Fatalf("README.md shows\n%s\nand a release\n%s", strings.Join(sample, "\n"), strings.Join(told, "\n"))
	}
}

var (
	stepLine = regexp.MustCompile(`(?m)^✓ (\w+) +[0-9.]+ s  (.*)$`)
	varying  = regexp.MustCompile(`sha256:[0-9a-f]+…?|0x[0-9A-Fa-f]+(…[0-9A-Fa-f]*)?|127\.0\.0\.1:\d+/[\w-]+|sandbox \(\d+\)|53594e54[0-9a-f]*…?|(key|signing key) \S+`)
)

// steps returns the steps that a text tells of, with what varies left out.
func steps(text string) []string {
	var all []string
	for _, m := range stepLine.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1]+": "+varying.ReplaceAllString(m[2], "…"))
	}
	return all
}
