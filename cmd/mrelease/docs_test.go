package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

// fence is a block of code in a page.
type fence struct{ where, language, text string }

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// fences returns the examples of the pages that people read first.
func fences(t *testing.T) (all []fence) {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 2 {
		t.Fatalf("found %q, %v", pages, err)
	}
	for _, page := range append(pages, "../../README.md", "../../SECURITY.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range fenced.FindAllSubmatch(text, -1) {
			all = append(all, fence{filepath.Base(page), string(found[1]), string(found[2])})
		}
	}
	return all
}

// commands are what stands at the beginning of a line, or behind a pipe or "&&".
var commands = regexp.MustCompile(`(?m)(?:^|&& |\| )(?:sudo (?:-E )?)?mrelease((?: [^\s#|&;]+)*)`)

// Every command in the documentation is one that the program has, with its flags.
func TestCommandsOfDocumentation(t *testing.T) {
	tried := 0
	for _, f := range fences(t) {
		if f.language != "sh" && f.language != "" {
			continue
		}
		for _, line := range commands.FindAllStringSubmatch(f.text, -1) {
			tried++
			args := strings.Fields(line[1])
			root := newApp(func(string) string { return "" }, new(bytes.Buffer), new(bytes.Buffer)).command()
			c, rest, err := root.Find(args)
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err == nil {
				err = c.ValidateArgs(c.Flags().Args())
			}
			if err != nil || c == root {
				t.Errorf("%s: mrelease%s: %v", f.where, line[1], err)
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d commands were found", tried)
	}
}

// Every configuration in the documentation is one that check takes.
func TestConfigurationsOfDocumentation(t *testing.T) {
	tried := 0
	for _, f := range fences(t) {
		if f.language != "yaml" || !strings.HasPrefix(f.text, "image: ") || !strings.Contains(f.text, "\nchain: ") {
			continue
		}
		tried++
		t.Chdir(t.TempDir())
		for name, text := range map[string]string{settings.File: f.text, "Dockerfile": "FROM scratch\nENTRYPOINT [\"/app\"]\n"} {
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		from := settings.Sources{Files: []string{settings.File}, Getenv: func(string) string { return "" }}
		if _, err := settings.Load(from, settings.Purpose{Build: true, Publish: true}); err != nil {
			t.Errorf("%s: %v in\n%s", f.where, explain(err).Evidence, f.text)
		}
	}
	if tried < 3 {
		t.Errorf("only %d configurations were found", tried)
	}
}
