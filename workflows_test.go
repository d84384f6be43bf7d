package mrelease_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// What is wrong with workflows, actions and templates, of what attackers have used: the
// names are those of zizmor's audits where it has the same. The rules are stricter than
// its own, as they are for our own files only: what has no use here is refused whole.
//
// unpinned-uses         an action by a name that moves, or an image without a digest
// template-injection    an expression in a script: its value would be code
// excessive-permissions no "permissions: {}" at the top, a job without its own, or all at once
// undocumented-permissions a permission without its reason beside it
// artipacked            a checkout that leaves its token in the workspace
// dangerous-triggers    strangers' code with the repository's rights
// cache-poisoning       a cache that other runs can fill, where something is released
// secrets-outside-step  a secret for more than the step that needs it
// insecure-commands     commands of a log that set the environment

// mapping is a mapping of YAML.
type mapping = map[string]any

// audit returns the names of what is wrong with a file.
func audit(path, text string) ([]string, error) {
	var file mapping
	documents := strings.Split(text, "\n---\n") // a component's inputs stand in one of their own
	if err := yaml.Unmarshal([]byte(documents[len(documents)-1]), &file); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var a auditor
	switch runs, isAction := file["runs"].(mapping); {
	case isAction:
		a.steps(runs["steps"], false)
	case file["jobs"] != nil:
		a.workflow(file, text)
	default:
		a.component(file)
	}
	if strings.Contains(text, "ACTIONS_ALLOW_UNSECURE_COMMANDS") {
		a.found("insecure-commands")
	}
	return slices.Sorted(maps.Keys(a)), nil
}

type auditor map[string]bool

func (a *auditor) found(name string) {
	if *a == nil {
		*a = auditor{}
	}
	(*a)[name] = true
}

func (a *auditor) workflow(file mapping, text string) {
	triggers := triggersOf(file["on"])
	for name := range triggers {
		if slices.Contains([]string{"pull_request_target", "workflow_run", "issue_comment"}, name) {
			a.found("dangerous-triggers")
		}
	}
	if top, ok := file["permissions"].(mapping); !ok || len(top) > 0 {
		a.found("excessive-permissions")
	}
	if strings.Contains(fmt.Sprint(file["env"]), "secrets.") {
		a.found("secrets-outside-step")
	}
	a.documented(text)
	for _, value := range file["jobs"].(mapping) {
		job := value.(mapping)
		permissions, own := job["permissions"].(mapping)
		if !own {
			a.found("excessive-permissions")
		}
		if strings.Contains(fmt.Sprint(job["env"], job["container"], job["services"]), "secrets.") || job["secrets"] != nil {
			a.found("secrets-outside-step")
		}
		a.image(job["container"])
		if services, ok := job["services"].(mapping); ok {
			for _, service := range services {
				a.image(service)
			}
		}
		if uses, ok := job["uses"].(string); ok {
			a.uses(uses)
		}
		a.steps(job["steps"], releases(triggers, permissions))
	}
}

// triggersOf returns the events of a workflow, with what limits them.
func triggersOf(on any) mapping {
	switch on := on.(type) {
	case string:
		return mapping{on: nil}
	case []any:
		all := mapping{}
		for _, name := range on {
			all[fmt.Sprint(name)] = nil
		}
		return all
	case mapping:
		return on
	}
	return mapping{}
}

// releases reports whether a job makes what others use.
func releases(triggers, permissions mapping) bool {
	if _, ok := triggers["release"]; ok {
		return true
	}
	push, _ := triggers["push"].(mapping)
	return push["tags"] != nil || slices.Contains(slices.Collect(maps.Values(permissions)), any("write"))
}

// documented looks for the reason beside each permission.
func (a *auditor) documented(text string) {
	scope := regexp.MustCompile(`(?m)^\s+(actions|attestations|checks|contents|deployments|discussions|id-token|issues|packages|pages|pull-requests|security-events|statuses): (read|write)(.*)$`)
	for _, m := range scope.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[3], " # ") {
			a.found("undocumented-permissions")
		}
	}
	if regexp.MustCompile(`permissions:\s*\{\s*\w`).MatchString(text) {
		a.found("undocumented-permissions")
	}
	if regexp.MustCompile(`permissions:\s*(read|write)-all`).MatchString(text) {
		a.found("excessive-permissions")
	}
}

func (a *auditor) image(container any) {
	name, ok := container.(string)
	if m, isMapping := container.(mapping); isMapping {
		name, ok = m["image"].(string)
	}
	if ok && !regexp.MustCompile(`@sha256:[0-9a-f]{64}$`).MatchString(name) {
		a.found("unpinned-uses")
	}
}

func (a *auditor) uses(name string) {
	if !regexp.MustCompile(`^(\./.*|[\w.-]+/[\w./-]+@[0-9a-f]{40}|docker://.+@sha256:[0-9a-f]{64})$`).MatchString(name) {
		a.found("unpinned-uses")
	}
}

func (a *auditor) steps(list any, releases bool) {
	steps, _ := list.([]any)
	for _, value := range steps {
		step := value.(mapping)
		with, _ := step["with"].(mapping)
		for _, script := range []any{step["run"], step["shell"], with["script"]} {
			if strings.Contains(fmt.Sprint(script), "${{") {
				a.found("template-injection")
			}
		}
		if strings.Contains(fmt.Sprint(step), "toJSON(secrets)") {
			a.found("secrets-outside-step")
		}
		name, ok := step["uses"].(string)
		if !ok {
			continue
		}
		a.uses(name)
		if strings.HasPrefix(name, "actions/checkout@") && with["persist-credentials"] != false {
			a.found("artipacked")
		}
		caches := strings.HasPrefix(name, "actions/cache") || with["cache"] != nil && with["cache"] != false || with["cache-from"] != nil ||
			strings.HasPrefix(name, "actions/setup-go@") && with["cache"] != false
		if releases && caches {
			a.found("cache-poisoning")
		}
	}
}

// component looks at a component of GitLab, or a pipeline.
func (a *auditor) component(file mapping) {
	for name, value := range file {
		job, ok := value.(mapping)
		if !ok || name == "spec" {
			continue
		}
		for _, key := range []string{"before_script", "script", "after_script"} {
			if strings.Contains(fmt.Sprint(job[key]), "$[[") {
				a.found("template-injection")
			}
		}
		if name, ok := job["image"].(string); ok && !strings.Contains(name, "$") {
			a.image(name)
		}
	}
	if strings.Contains(fmt.Sprint(file["include"]), "remote:") {
		a.found("unpinned-uses")
	}
}

// ours are the files that run with somebody's rights.
func ours(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"action.yml", ".github/workflows/*", "templates/*.yml", "templates/*/*.yml", ".gitlab-ci.yml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all[path] = string(text)
		}
	}
	pages, err := filepath.Glob("docs/*.md") // whose examples others copy
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "jobs:") {
				all[fmt.Sprintf("%s, example %d", page, i+1)] = strings.ReplaceAll(m[1], "@<commit of a release>", "@"+strings.Repeat("0", 40))
			}
		}
	}
	return all
}

func TestWorkflowsHoldNothingForAttackers(t *testing.T) {
	files := ours(t)
	for _, path := range []string{"action.yml", ".github/workflows/test.yml", ".github/workflows/release.yml", "docs/github.md, example 1", "docs/github.md, example 2"} {
		if files[path] == "" {
			t.Errorf("there is no %s", path)
		}
	}
	for path, text := range files {
		found, err := audit(path, text)
		if err != nil {
			t.Error(err)
		}
		for _, name := range found {
			t.Errorf("%s: %s", path, name)
		}
	}
}

// A new user of each CI system copies at most fifteen lines.
func TestQuickStartsAreShort(t *testing.T) {
	for _, page := range []string{"docs/github.md", "docs/gitlab.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, example, _ := strings.Cut(string(text), "```yaml\n")
		example, _, found := strings.Cut(example, "```")
		if lines := strings.Count(strings.ReplaceAll(example, "\n\n", "\n"), "\n"); !found || lines < 5 || lines > 15 {
			t.Errorf("the quick start of %s has %d lines, want at most 15", page, lines)
		}
	}
}

// Each bad file holds what its first line names, and nothing else; all that can be found
// is in one of them.
func TestAuditFinds(t *testing.T) {
	paths, err := filepath.Glob("testdata/workflows/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		want := strings.TrimPrefix(first, "# ")
		found, err := audit(path, string(text))
		if err != nil || strings.Join(found, " ") != strings.TrimPrefix(want, "nothing") {
			t.Errorf("%s: found %q, %v; want %s", path, found, err, want)
		}
		tried[want] = true
	}
	source, err := os.ReadFile("workflows_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`a\.found\("([a-z-]+)"\)`).FindAllStringSubmatch(string(source), -1) {
		if !tried[m[1]] {
			t.Errorf("no file in testdata/workflows has %s", m[1])
		}
	}
}
