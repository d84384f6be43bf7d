package ci

import (
	"fmt"
	"strings"
)

// System is a CI system.
type System string

// The systems that are known.
const (
	GitHub System = "GitHub"
	GitLab System = "GitLab"
)

func systemOf(getenv func(string) string) System {
	switch {
	case getenv("GITHUB_ACTIONS") == "true":
		return GitHub
	case getenv("GITLAB_CI") == "true" || isLocalGitLab(getenv):
		return GitLab
	}
	return ""
}

// isAct reports whether act emulates GitHub.
func isAct(getenv func(string) string) bool { return getenv("ACT") == "true" }

// isLocalGitLab reports whether gitlab-ci-local emulates GitLab: it says that it is not
// GitLab, and has a job all the same.
func isLocalGitLab(getenv func(string) string) bool {
	return getenv("GITLAB_CI") == "false" && getenv("CI_JOB_NAME") != ""
}

// Run is the run of a CI system that a process is part of, as the system's variables
// tell of it. None of it is proven: whoever may write the job's environment can write
// it. What a system does not tell is empty; without a system all is.
type Run struct {
	System   System `json:"system,omitempty"`
	Emulated bool   `json:"emulated,omitempty"` // by act or gitlab-ci-local: it is this machine's own run
	Event    string `json:"event,omitempty"`    // why it runs, in the system's words: pull_request, merge_request_event
	Commit   string `json:"commit,omitempty"`   // git's object name
	Ref      string `json:"ref,omitempty"`      // in full, such as refs/tags/v1.0.0
	URL      string `json:"url,omitempty"`      // of its page
	// Workflow names the file that says what is run and the reference that it was taken
	// from, as the system's identity tokens have it (job_workflow_ref of a workflow that
	// is not reused, ci_config_ref_uri).
	Workflow string `json:"workflow,omitempty"`
}

// ReadRun reads what the variables of the system tell.
// https://docs.github.com/en/actions/reference/workflows-and-actions/variables,
// https://docs.gitlab.com/ci/variables/predefined_variables/
func ReadRun(getenv func(string) string) Run {
	switch systemOf(getenv) {
	case GitHub:
		return gitHubRun(getenv)
	case GitLab:
		return gitLabRun(getenv)
	}
	return Run{}
}

func gitHubRun(getenv func(string) string) Run {
	r := Run{
		System: GitHub, Emulated: isAct(getenv), Event: getenv("GITHUB_EVENT_NAME"), Commit: getenv("GITHUB_SHA"), Ref: getenv("GITHUB_REF"),
		Workflow: getenv("GITHUB_WORKFLOW_REF"),
	}
	server, repository, id := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID")
	if !r.Emulated && server != "" && repository != "" && id != "" {
		r.URL = fmt.Sprintf("%s/%s/actions/runs/%s", server, repository, id)
	}
	return r
}

func gitLabRun(getenv func(string) string) Run {
	r := Run{System: GitLab, Emulated: isLocalGitLab(getenv), Event: getenv("CI_PIPELINE_SOURCE"), Commit: getenv("CI_COMMIT_SHA")}
	switch tag, branch := getenv("CI_COMMIT_TAG"), getenv("CI_COMMIT_BRANCH"); {
	case tag != "":
		r.Ref = "refs/tags/" + tag
	case getenv("CI_MERGE_REQUEST_REF_PATH") != "":
		r.Ref = getenv("CI_MERGE_REQUEST_REF_PATH")
	case branch != "":
		r.Ref = "refs/heads/" + branch
	}
	if r.Emulated {
		return r
	}
	r.URL = getenv("CI_JOB_URL")
	host, project, file := getenv("CI_SERVER_HOST"), getenv("CI_PROJECT_PATH"), getenv("CI_CONFIG_PATH")
	elsewhere := strings.ContainsAny(file, "@:") // another project's, or a URL
	if host != "" && project != "" && r.Ref != "" && file != "" && !elsewhere {
		r.Workflow = fmt.Sprintf("%s/%s//%s@%s", host, project, file, r.Ref)
	}
	return r
}

// Mode is what to do in a run.
type Mode string

// The modes.
const (
	Plan    Mode = "plan"
	Release Mode = "release"
	Verify  Mode = "verify"
)

// Mode returns what a run calls for, and why: what somebody proposes is planned, a tag
// is released, and by the clock what was released is verified. All else is planned,
// which changes nothing.
func (r Run) Mode() (m Mode, why string) {
	switch r.Event {
	case "":
		return Plan, "no CI system says why it runs"
	case "pull_request", "pull_request_target", "merge_group", "merge_request_event", "external_pull_request_event":
		return Plan, "the event is " + r.Event
	case "schedule":
		return Verify, "the event is schedule"
	}
	if tag, ok := strings.CutPrefix(r.Ref, "refs/tags/"); ok {
		return Release, fmt.Sprintf("the event is %s, of the tag %s", r.Event, tag)
	}
	return Plan, fmt.Sprintf("the event is %s, of no tag", r.Event)
}
