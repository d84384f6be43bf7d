package ci_test

import (
	"errors"
	"testing"

	"github.com/mrelease/mrelease/ci"
)

// A run for a proposed change is planned, whatever its ref says, and signs nothing as its
// repository.
func TestProposals(t *testing.T) {
	for event, proposed := range map[string]bool{
		"pull_request": true, "pull_request_target": true, "pull_request_review": true, "pull_request_review_comment": true, "merge_group": true,
		"push": false, "release": false, "workflow_dispatch": false,
	} {
		environment := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event, "GITHUB_REF": "refs/tags/v1.0.0", "JOB_TOKEN": "token"}
		getenv := func(name string) string { return environment[name] }
		if mode, why := ci.ReadRun(getenv).Calls(false); (mode == ci.Plan) != proposed {
			t.Errorf("%s is %s: %s", event, mode, why)
		}
		token, err := ci.Tokens(getenv)(t.Context(), "env://JOB_TOKEN", "sigstore", false)
		var refused *ci.PullRequestError
		if errors.As(err, &refused) != proposed || (token == "token") == proposed {
			t.Errorf("%s: token %q, %v", event, token, err)
		}
		if token, err := ci.Tokens(getenv)(t.Context(), "env://JOB_TOKEN", "sigstore", true); err != nil || token != "token" {
			t.Errorf("%s, allowed: token %q, %v", event, token, err)
		}
	}
}
