package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/publish/record"
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
	for _, page := range append(pages, "../../README.md", "../../SECURITY.md", "../../templates/README.md") {
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

// kind says what an example is, and so what looks at it; "" when nothing does.
func (f fence) kind() string {
	has := func(pattern string) bool { return regexp.MustCompile("(?m)^" + pattern).MatchString(f.text) }
	switch {
	case f.language == "yaml" && has("jobs:"):
		return "workflow" // the audit of workflows_test.go, and make lint by actionlint
	case f.language == "yaml" && has("(include|mrelease-[a-z]+):"):
		return "pipeline"
	case f.language == "yaml" && has("require: "):
		return "policy"
	case f.language == "yaml" && has("image: ") && has("chain: "):
		return "configuration"
	case f.language == "yaml":
		return "part of a configuration"
	case f.language == "sh" || has("(sudo )?(mrelease|make) "):
		return "commands"
	case has("IMAGE=") && has("cosign "):
		return "commands of cosign" // run by make interop
	case has("✓ chain "):
		return "a release's story" // compared by the script hello-python
	case has(`address ──`):
		return "drawing"
	}
	return ""
}

// No example is left out: of each kind there are some, and none is of no kind.
func TestEveryExampleIsLookedAt(t *testing.T) {
	found := map[string]int{}
	for _, f := range fences(t) {
		found[f.kind()]++
		if f.kind() == "" {
			t.Errorf("%s: nothing looks at this example:\n%s", f.where, f.text)
		}
	}
	want := []string{"a release's story", "commands", "commands of cosign", "configuration", "drawing", "part of a configuration", "pipeline", "policy", "workflow"}
	if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, want) {
		t.Errorf("found examples of %q, want %q", got, want)
	}
}

// The recording shows the steps that README.md shows, which a script compares with those of
// a release; and nothing of the machine that it was made on.
func TestRecordingIsOfToday(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	recording, err := os.ReadFile("../../docs/demo.cast")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	for line := range strings.Lines(string(recording)) {
		var piece []any
		if json.Unmarshal([]byte(line), &piece) == nil && len(piece) == 3 { // not the head
			shown.WriteString(fmt.Sprint(piece[2]))
		}
	}
	text := regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]|\r`).ReplaceAllString(shown.String(), "")
	_, first, _ := strings.Cut(text, "== 1. ")
	first, _, found := strings.Cut(first, "== 2. ")
	step := regexp.MustCompile(`(?m)^✓ (\w+) +[0-9.]+ s `)
	names := func(text string) (all []string) {
		for _, m := range step.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		return all
	}
	if want := names(string(readme)); !found || len(want) < 10 || !slices.Equal(names(first), want) {
		t.Errorf("docs/demo.cast shows the steps %q, want %q: make recording", names(first), want)
	}
	if places := regexp.MustCompile(`/(home|root|Users|work|builds)/\S*`).FindAllString(text, -1); places != nil {
		t.Errorf("docs/demo.cast shows %q", places)
	}
}

// What else stands among the commands of an example, and what runs it: a target of the
// Makefile, or a test that has the same words.
func TestOtherCommandsOfDocumentation(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	runBy := map[string]trial{
		"cosign generate-key-pair":                        {"interop/world_test.go", `"generate-key-pair"`},
		"iexec wallet create --keystoredir":               {"bench/script.go", `{"wallet", "create"}`},
		"jq -jcS 'del(.hash)' dist/plan.json | sha256sum": {"e2e/testdata/script/apply.txtar", "jq -jcS ''del(.hash)'' plan.json | sha256sum"},
	}
	for _, f := range fences(t) {
		if f.kind() != "commands" {
			continue
		}
		if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", f.text).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s in\n%s", f.where, err, out, f.text)
		}
		for line := range strings.Lines(strings.ReplaceAll(f.text, "\\\n", "")) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			line = strings.TrimSpace(line)
			word, rest, _ := strings.Cut(line, " ")
			switch word {
			case "", "mrelease", "export", "cd":
			case "make":
				if rest != "" && !regexp.MustCompile("(?m)^"+rest+":").Match(makefile) {
					t.Errorf("%s: the Makefile has no %s", f.where, rest)
				}
			default:
				checkRun(t, f.where, line, runBy)
			}
		}
	}
	for command := range runBy {
		t.Errorf("no example has %s any more", command)
	}
}

// trial is where the words of a command stand that runs it.
type trial struct{ file, words string }

// checkRun looks for a command where it is said to be run, and takes it out of the list.
func checkRun(t *testing.T, where, line string, runBy map[string]trial) {
	t.Helper()
	for command, by := range runBy {
		if !strings.HasPrefix(line, command) {
			continue
		}
		if text, err := os.ReadFile("../../sandbox/" + by.file); err != nil || !strings.Contains(string(text), by.words) {
			t.Errorf("%s: %s does not run %q, %v", where, by.file, line, err)
		}
		delete(runBy, command)
		return
	}
	t.Errorf("%s: nothing runs %q", where, line)
}

// component is what a component of GitLab has.
type component struct {
	names  []string // of the inputs, in their order
	inputs map[string]componentInput
	jobs   []string
}

type componentInput struct {
	Description, Regex string
	Options            []string
	Default            *string
}

func readComponent(t *testing.T) (c component) {
	t.Helper()
	text, err := os.ReadFile("../../templates/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	head, body, found := strings.Cut(string(text), "\n---\n")
	var spec struct {
		Spec struct{ Inputs yaml.MapSlice }
	}
	var inputs struct {
		Spec struct{ Inputs map[string]componentInput }
	}
	var jobs map[string]any
	for text, into := range map[string][]any{head: {&spec, &inputs}, body: {&jobs}} {
		for _, v := range into {
			if err := yaml.Unmarshal([]byte(text), v); err != nil || !found {
				t.Fatal(found, err)
			}
		}
	}
	for _, input := range spec.Spec.Inputs {
		c.names = append(c.names, fmt.Sprint(input.Key))
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		if !strings.HasPrefix(name, ".") {
			c.jobs = append(c.jobs, name)
		}
	}
	c.inputs = inputs.Spec.Inputs
	return c
}

// Every pipeline in the documentation gives the component what it takes, all that it must
// have, and adds to jobs that it has.
func TestPipelinesOfDocumentation(t *testing.T) {
	c, tried := readComponent(t), 0
	for _, f := range fences(t) {
		if f.kind() != "pipeline" {
			continue
		}
		tried++
		var file map[string]any
		var includes struct {
			Include []struct {
				Component string
				Inputs    map[string]string
			}
		}
		for _, into := range []any{&file, &includes} {
			if err := yaml.Unmarshal([]byte(strings.ReplaceAll(f.text, "DIGEST", strings.Repeat("0", 64))), into); err != nil {
				t.Fatalf("%s: %v in\n%s", f.where, err, f.text)
			}
		}
		delete(file, "include")
		for name := range file {
			if !slices.Contains(c.jobs, name) {
				t.Errorf("%s: the component has no job %s", f.where, name)
			}
		}
		for _, include := range includes.Include {
			if include.Component != "$CI_SERVER_FQDN/acme/mrelease/release@COMMIT" {
				t.Errorf("%s: includes %s", f.where, include.Component)
			}
			c.check(t, f.where, include.Inputs)
		}
	}
	if tried < 4 {
		t.Errorf("only %d pipelines were found", tried)
	}
}

// check looks at what is given for the inputs, as GitLab does.
func (c component) check(t *testing.T, where string, given map[string]string) {
	t.Helper()
	for name, value := range given {
		input, known := c.inputs[name]
		if !known || !regexp.MustCompile(strings.Trim(input.Regex, "/")).MatchString(value) || len(input.Options) > 0 && !slices.Contains(input.Options, value) {
			t.Errorf("%s: the component does not take %s: %q", where, name, value)
		}
	}
	for name, input := range c.inputs {
		if _, is := given[name]; !is && input.Default == nil {
			t.Errorf("%s: the input %s is not given", where, name)
		}
	}
}

// The component's page has its inputs and its jobs, and names outputs that there are.
func TestComponentIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../templates/README.md")
	if err != nil {
		t.Fatal(err)
	}
	c, page := readComponent(t), string(text)
	table := "| input | meaning | default |\n|---|---|---|\n"
	for _, name := range c.names {
		input, standard := c.inputs[name], "none: it must be given"
		if input.Default != nil {
			standard = strings.ReplaceAll("`"+*input.Default+"`", "``", "")
		}
		table += strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |\n", name, input.Description, standard), "|  |", "| |")
	}
	if !strings.Contains(page, "\n\n"+table+"\n") || len(c.names) < 5 {
		t.Errorf("templates/README.md has not the inputs of the component:\n%s", table)
	}
	var jobs []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(mrelease-[a-z]+)` \\|").FindAllStringSubmatch(page, -1) {
		jobs = append(jobs, m[1])
	}
	if slices.Sort(jobs); !slices.Equal(jobs, c.jobs) {
		t.Errorf("templates/README.md has the jobs %q, want %q", jobs, c.jobs)
	}
	action, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`RELEASED_\w+`).FindAllString(page, -1) {
		if output := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "RELEASED_"), "_", "-")); !strings.Contains(string(action), "outputs."+output+" }}") {
			t.Errorf("templates/README.md has %s, and there is no output %s", name, output)
		}
	}
}

// Every policy in the documentation is one.
func TestPoliciesOfDocumentation(t *testing.T) {
	for _, f := range fences(t) {
		if f.kind() != "policy" {
			continue
		}
		dir := t.TempDir()
		for name, text := range map[string]string{"accepted.yaml": f.text, "acme.pub": "", "trusted-root.json": ""} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := settings.ReadPolicy(filepath.Join(dir, "accepted.yaml")); err != nil {
			t.Errorf("%s: %v in\n%s", f.where, explain(err).Evidence, f.text)
		}
	}
}

// What a policy can require are links that a verification has.
func TestRequiredLinksAreLinks(t *testing.T) {
	want := []string{"measurement", record.ReferenceCheck, record.SBOMCheck, record.VEXCheck, "canary"}
	if got := settings.RequiredLinks(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Every configuration in the documentation is one that check takes.
func TestConfigurationsOfDocumentation(t *testing.T) {
	tried := 0
	const dockerfile = "FROM scratch\nENTRYPOINT [\"/app\"]\n"
	const whole, wallet = "image: ghcr.io/acme/hello\nchain: bellecour\nsign: {key: cosign.key}\n", "wallet: {keystore: wallet.json}\n"
	const assessed = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://example.com/vex/hello","author":"Acme","timestamp":"2026-01-31T12:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1"},"status":"fixed"}]}`
	omitted := strings.NewReplacer("sha256:…", "sha256:"+strings.Repeat("0", 64), `"0x…"`, `"0x`+strings.Repeat("1", 40)+`"`)
	for _, f := range fences(t) {
		part := f.kind() == "part of a configuration"
		if !part && f.kind() != "configuration" {
			continue
		}
		tried++
		t.Chdir(t.TempDir())
		text, files, rest := omitted.Replace(f.text), []string{settings.File}, whole
		if !strings.Contains(text, "wallet:") {
			rest += wallet
		}
		if part {
			files = append([]string{"whole.yaml"}, files...)
		}
		for _, folder := range []string{"test", "hello", "worker"} {
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{settings.File: text, "whole.yaml": rest, "test/judge.sh": "#!/bin/sh\n", "hello.vex.json": assessed, "Dockerfile": dockerfile, "hello/Dockerfile": dockerfile, "worker/Dockerfile": dockerfile, "ca.pem": "", "cert.pem": "", "key.pem": ""} {
			if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		from := settings.Sources{Files: files, Getenv: func(string) string { return "" }}
		if _, err := settings.LoadAll(from, settings.Purpose{Build: true, Publish: true}); err != nil {
			t.Errorf("%s: %v in\n%s", f.where, explain(err).Evidence, f.text)
		}
	}
	if tried < 4 {
		t.Errorf("only %d configurations were found", tried)
	}
}
