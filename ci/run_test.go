package ci_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mrelease/mrelease/ci"
)

func TestReadRun(t *testing.T) {
	hub := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "GITHUB_SHA": "f00d", "GITHUB_REF": "refs/tags/v1.0.0", "GITHUB_SERVER_URL": "https://ghe.example",
		"GITHUB_REPOSITORY": "acme/app", "GITHUB_RUN_ID": "7", "GITHUB_WORKFLOW_REF": "acme/app/.github/workflows/release.yml@refs/tags/v1.0.0",
	}
	lab := map[string]string{
		"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_SHA": "f00d", "CI_COMMIT_TAG": "v1.0.0", "CI_JOB_URL": "https://lab.example/acme/app/-/jobs/7",
		"CI_SERVER_HOST": "lab.example", "CI_PROJECT_PATH": "acme/app", "CI_CONFIG_PATH": ".gitlab-ci.yml",
	}
	for name, test := range map[string]struct {
		env, more map[string]string
		want      ci.Run
		mode      ci.Mode
	}{
		"none": {nil, nil, ci.Run{}, ci.Plan},
		"GitHub, a tag": {hub, nil, ci.Run{ci.GitHub, false, "push", "f00d", "refs/tags/v1.0.0", "https://ghe.example/acme/app/actions/runs/7",
			"acme/app/.github/workflows/release.yml@refs/tags/v1.0.0", ""}, ci.Release},
		"GitHub, a fork's pull request": {hub, map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/3/merge", "GITHUB_WORKFLOW_REF": "", "GITHUB_RUN_ID": ""},
			ci.Run{ci.GitHub, false, "pull_request", "f00d", "refs/pull/3/merge", "", "", ""}, ci.Plan},
		"GitHub, a pull request of the target's rights, with a tag": {hub, map[string]string{"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_RUN_ID": "", "GITHUB_WORKFLOW_REF": ""},
			ci.Run{ci.GitHub, false, "pull_request_target", "f00d", "refs/tags/v1.0.0", "", "", ""}, ci.Plan},
		"act": {hub, map[string]string{"ACT": "true", "GITHUB_EVENT_NAME": "schedule", "GITHUB_WORKFLOW_REF": ""},
			ci.Run{ci.GitHub, true, "schedule", "f00d", "refs/tags/v1.0.0", "", "", ""}, ci.Verify},
		"GitLab, a tag": {lab, nil, ci.Run{ci.GitLab, false, "push", "f00d", "refs/tags/v1.0.0", "https://lab.example/acme/app/-/jobs/7",
			"lab.example/acme/app//.gitlab-ci.yml@refs/tags/v1.0.0", ""}, ci.Release},
		"GitLab, a merge request": {lab, map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event", "CI_COMMIT_TAG": "", "CI_MERGE_REQUEST_REF_PATH": "refs/merge-requests/1/head", "CI_CONFIG_PATH": "ci.yml@acme/shared"},
			ci.Run{ci.GitLab, false, "merge_request_event", "f00d", "refs/merge-requests/1/head", "https://lab.example/acme/app/-/jobs/7", "", ""}, ci.Plan},
		"gitlab-ci-local": {lab, map[string]string{"GITLAB_CI": "false", "CI_JOB_NAME": "release", "CI_COMMIT_TAG": "", "CI_COMMIT_BRANCH": "main"},
			ci.Run{ci.GitLab, true, "push", "f00d", "refs/heads/main", "", "", ""}, ci.Plan},
	} {
		run := ci.ReadRun(func(name string) string {
			if value, ok := test.more[name]; ok {
				return value
			}
			return test.env[name]
		})
		if run != test.want {
			t.Errorf("%s: %+v, want %+v", name, run, test.want)
		}
		if mode, why := run.Calls(false); mode != test.mode || why == "" {
			t.Errorf("%s: mode %s (%s), want %s", name, mode, why, test.mode)
		}
	}
}

// The base of a pull request stands in the event.
func TestBaseOfAPullRequest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "event.json")
	for text, want := range map[string]string{
		`{"pull_request": {"base": {"sha": "f00d", "ref": "main"}, "head": {"sha": "beef"}}, "number": 3}`: "f00d",
		`{"ref": "refs/heads/main"}`: "", `{"pull_request": 1}`: "", "": "", "{": "",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": file}
		if got := ci.ReadRun(func(name string) string { return env[name] }).Base; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	env := map[string]string{"GITLAB_CI": "true", "CI_MERGE_REQUEST_DIFF_BASE_SHA": "f00d"}
	if got := ci.ReadRun(func(name string) string { return env[name] }).Base; got != "f00d" {
		t.Errorf("GitLab: %q", got)
	}
}

// Where a system is emulated, nothing is released to a real chain.
func TestEmulatedRun(t *testing.T) {
	for _, emulated := range []bool{true, false} {
		for _, development := range []bool{true, false} {
			r := ci.Run{System: ci.GitHub, Emulated: emulated, Event: "push", Ref: "refs/tags/v1.0.0"}
			mode, _ := r.Calls(development)
			err := r.Check("bellecour", development)
			if may := !emulated || development; (mode == ci.Release) != may || (err == nil) != may {
				t.Errorf("emulated %t, development %t: %s, %v", emulated, development, mode, err)
			}
		}
	}
}

func TestModes(t *testing.T) {
	for text, ok := range map[string]bool{"auto": true, "plan": true, "release": true, "apply": true, "verify": true, "": false, "Release": false, "release ": false, "build": false} {
		var m ci.Mode
		if err := m.UnmarshalText([]byte(text)); (err == nil) != ok || ok && string(m) != text {
			t.Errorf("%q: %q, %v", text, m, err)
		}
	}
}
