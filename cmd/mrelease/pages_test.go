package main

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/cobra/doc"
)

// pagesFolder is where "make dist" wants what goes with the program. It is made by a
// test, so that what makes it is not linked into the program.
var pagesFolder = flag.String("pages", "", "keep the manual pages and completions in this folder")

func TestPages(t *testing.T) {
	dir := *pagesFolder
	if dir == "" {
		dir = t.TempDir()
	}
	man, completion := filepath.Join(dir, "man"), filepath.Join(dir, "completion")
	root := newApp(func(string) string { return "" }, io.Discard, io.Discard).command()
	root.DisableAutoGenTag = true
	date := time.Date(1980, 1, 2, 0, 0, 0, 0, time.UTC) // that of all files of a release
	err := errors.Join(
		os.MkdirAll(man, 0o755), os.MkdirAll(completion, 0o755),
		doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "mrelease", Manual: "mrelease", Date: &date}, man),
		root.GenBashCompletionFileV2(filepath.Join(completion, "mrelease.bash"), true),
		root.GenZshCompletionFile(filepath.Join(completion, "_mrelease")),
		root.GenFishCompletionFile(filepath.Join(completion, "mrelease.fish"), true),
	)
	if err != nil {
		t.Fatal(err)
	}
	for name, holds := range map[string]string{
		"man/mrelease.1": "Release SGX enclaves", "man/mrelease-release.1": "allow-dirty", "man/mrelease-verify.1": "record",
		"completion/mrelease.bash": "__complete", "completion/_mrelease": "#compdef mrelease", "completion/mrelease.fish": "complete -c mrelease",
	} {
		page, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Contains(page, []byte(holds)) {
			t.Errorf("%s: %v, or it does not hold %q", name, err, holds)
		}
	}
}
