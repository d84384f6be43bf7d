package ci

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mrelease/mrelease/bounds"
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
	Base     string `json:"base,omitempty"` // commit that a pull or merge request would be merged into
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
		Workflow: getenv("GITHUB_WORKFLOW_REF"), Base: readPullRequest(getenv("GITHUB_EVENT_PATH")).Base.SHA,
	}
	server, repository, id := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID")
	if !r.Emulated && server != "" && repository != "" && id != "" {
		r.URL = fmt.Sprintf("%s/%s/actions/runs/%s", server, repository, id)
	}
	return r
}

// pullRequest is what the event of a job says of a pull request; nothing, if it is
// another event.
type pullRequest struct {
	Head, Base struct {
		SHA  string `json:"sha"`
		Repo struct {
			Name string `json:"full_name"`
		} `json:"repo"`
	}
}

// readPullRequest reads the event of a job. One that cannot be read is no pull request.
func readPullRequest(file string) pullRequest {
	var event struct {
		PullRequest pullRequest `json:"pull_request"`
	}
	if file == "" {
		return pullRequest{}
	}
	text, err := bounds.ReadFile(file, bounds.Event)
	if err != nil || bounds.CheckJSON(text) != nil || json.Unmarshal(text, &event) != nil {
		return pullRequest{}
	}
	return event.PullRequest
}

// isForks reports whether it is from another repository.
func (p pullRequest) isForks() bool {
	return p.Base.Repo.Name != "" && p.Head.Repo.Name != p.Base.Repo.Name
}

func gitLabRun(getenv func(string) string) Run {
	r := Run{System: GitLab, Emulated: isLocalGitLab(getenv), Event: getenv("CI_PIPELINE_SOURCE"), Commit: getenv("CI_COMMIT_SHA"), Base: getenv("CI_MERGE_REQUEST_DIFF_BASE_SHA")}
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

// The modes. Auto is what the run calls for.
const (
	Auto    Mode = "auto"
	Plan    Mode = "plan"
	Release Mode = "release"
	Apply   Mode = "apply" // release what was approved; no run calls for it by itself
	Verify  Mode = "verify"
)

// UnmarshalText implements [encoding.TextUnmarshaler].
func (m *Mode) UnmarshalText(text []byte) error {
	switch mode := Mode(text); mode {
	case Auto, Plan, Release, Apply, Verify:
		*m = mode
		return nil
	}
	return fmt.Errorf("unknown mode %q, want %s, %s, %s, %s or %s", text, Auto, Plan, Release, Apply, Verify)
}

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) { return []byte(m), nil }

// isProposal reports whether a run is for what its repository has not accepted yet, by the
// names that GitHub and GitLab (CI_PIPELINE_SOURCE) have for such events.
func (r Run) isProposal() bool {
	switch r.Event {
	case "pull_request", "pull_request_target", "pull_request_review", "pull_request_review_comment", "merge_group", "merge_request_event", "external_pull_request_event":
		return true
	}
	return false
}

// Calls returns what a run calls for, and why: what somebody proposes is planned, a tag
// is released, and by the clock what was released is verified. All else is planned,
// which changes nothing, and so is a tag where a system is emulated, unless its chain is
// for development.
func (r Run) Calls(development bool) (m Mode, why string) {
	switch {
	case r.Event == "":
		return Plan, "no CI system says why it runs"
	case r.isProposal():
		return Plan, "the event is " + r.Event
	case r.Event == "schedule":
		return Verify, "the event is schedule"
	}
	tag, ok := strings.CutPrefix(r.Ref, "refs/tags/")
	switch {
	case !ok:
		return Plan, fmt.Sprintf("the event is %s, of no tag", r.Event)
	case r.Emulated && !development:
		return Plan, fmt.Sprintf("%s is emulated here, and the chain is not for development", r.System)
	}
	return Release, fmt.Sprintf("the event is %s, of the tag %s", r.Event, tag)
}

// Answer is what is to be done in a run: mrelease.ci/v1.
type Answer struct {
	Schema string `json:"schema"`
	Mode   Mode   `json:"mode"`
	Why    string `json:"why"`
	Run    Run    `json:"run"`
}

// Answer says what is to be done: what was asked for, or what the run calls for.
func (r Run) Answer(asked Mode, development bool) Answer {
	a := Answer{"mrelease.ci/v1", asked, "it was asked for", r}
	if asked == Auto {
		a.Mode, a.Why = r.Calls(development)
	}
	return a
}

// EmulatedError refuses to release to a real chain from where a CI system is emulated:
// what its variables say is this machine's own word, and the job was meant for another.
type EmulatedError struct {
	System System
	Chain  string
}

// Check returns an *EmulatedError where the run may not release to a chain.
func (r Run) Check(chain string, development bool) error {
	if !r.Emulated || development {
		return nil
	}
	return &EmulatedError{r.System, chain}
}

func (e *EmulatedError) Error() string {
	return fmt.Sprintf("a job of %s that is emulated on this machine is not released to %s", e.System, e.Chain)
}

// Evidence returns which chain, and which would do.
func (e *EmulatedError) Evidence() [][2]string {
	return [][2]string{{"expected", "a chain with development: true, a dry run or a plan"}, {"actual", e.Chain}}
}
