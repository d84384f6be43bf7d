package main

import (
	"os"
	"strings"
	"testing"
)

// The template seals as the example does, which the demo releases.
func TestTheTemplateSealsAsTheExample(t *testing.T) {
	example, err := os.ReadFile(root + "examples/hello-python/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	template, err := templates.ReadFile("templates/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	steps := func(dockerfile []byte) string {
		var lines []string
		for line := range strings.Lines(string(dockerfile)) {
			if !strings.HasPrefix(line, "#") && strings.TrimSpace(line) != "" {
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "")
	}
	if got, want := steps(template), steps(example); got != want {
		t.Errorf("the template's steps are\n%s\nand the example's\n%s", got, want)
	}
}

func TestYAMLText(t *testing.T) {
	for text, want := range map[string]string{
		"hello": "hello", "ghcr.io/acme/hello": "ghcr.io/acme/hello", "localhost:5000/hello": "localhost:5000/hello", "http://localhost:8545": "http://localhost:8545",
		"1073741824": "1073741824", "SCONE": "SCONE", "v5.9": "v5.9",
		"true": `"true"`, "No": `"No"`, "0x12": `"0x12"`, "007": `"007"`, "a b": `"a b"`, "a: b": `"a: b"`, "a #b": `"a #b"`, "a:": `"a:"`, "": `""`, "é\n": `"é\n"`, `"`: `"\""`, "- a": `"- a"`, "a\u2028": `"a\u2028"`,
	} {
		if got := yamlText(text); got != want {
			t.Errorf("%q is written as %s, want %s", text, got, want)
		}
	}
}
