package ci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/outside"
)

// The places that identity tokens are from.
const (
	FromGitHub = "github" // asked for at the address that a job is given
	FromGitLab = "gitlab" // in the variable that the job's id_tokens names
)

// GitLabToken is the variable that cosign reads, too.
const GitLabToken = "SIGSTORE_ID_TOKEN"

// The variables of a job of GitHub with the permission id-token: write.
const (
	gitHubTokenURL = "ACTIONS_ID_TOKEN_REQUEST_URL"
	gitHubTokenKey = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
)

// TokenError says that a job has no identity token.
type TokenError struct {
	From    string // place
	Problem string
	Err     error // what the service answered; may be nil
}

func (e *TokenError) Error() string {
	return fmt.Sprintf("there is no identity token from %s: %s", e.From, e.Problem)
}

// Unwrap returns the network's error.
func (e *TokenError) Unwrap() error { return e.Err }

// Evidence returns what is missing.
func (e *TokenError) Evidence() [][2]string {
	return [][2]string{{"from", e.From}, {"problem", e.Problem}}
}

// Remedy is what gives the job a token.
func (e *TokenError) Remedy() string {
	switch e.From {
	case FromGitHub:
		return "give the job permissions: id-token: write; emulators and jobs for forks have no identity"
	case FromGitLab:
		return "give the job id_tokens: { " + GitLabToken + ": { aud: sigstore } }"
	}
	return "have the variable hold a token of the job"
}

// PullRequestError says that a run for a pull or merge request must not sign: what it
// builds is not what its repository has accepted.
type PullRequestError struct{ Event string }

func (e *PullRequestError) Error() string {
	return "a run for a proposed change does not sign with the identity of its repository"
}

// Evidence returns the event.
func (e *PullRequestError) Evidence() [][2]string {
	return [][2]string{{"expected", "a run of a tag or branch"}, {"actual", "event " + e.Event}}
}

// Tokens returns what finds the identity token of a job for an audience, in a place: that
// of a constant above, or env://VARIABLE. There is no other place to look, and nobody is
// asked for one. Runs for proposed changes get none, unless that is allowed.
//
// Errors: *TokenError, *PullRequestError.
func Tokens(getenv func(string) string) func(ctx context.Context, from, audience string, proposed bool) (string, error) {
	return func(ctx context.Context, from, audience string, proposed bool) (string, error) {
		if run := ReadRun(getenv); run.isProposal() && !proposed {
			return "", &PullRequestError{run.Event}
		}
		if from == FromGitHub {
			return gitHubToken(ctx, getenv(gitHubTokenURL), getenv(gitHubTokenKey), audience)
		}
		variable := GitLabToken
		if from != FromGitLab {
			variable, _ = strings.CutPrefix(from, "env://")
		}
		if token := strings.TrimSpace(getenv(variable)); token != "" {
			return token, nil
		}
		return "", &TokenError{From: from, Problem: variable + " is not set"}
	}
}

// gitHubToken asks GitHub's service. An answer that is no success, or holds no token, is
// an error: those that go on without have signed as somebody else.
func gitHubToken(ctx context.Context, address, key, audience string) (string, error) {
	fail := func(problem string, err error) (string, error) {
		return "", &TokenError{FromGitHub, problem, err}
	}
	if address == "" || key == "" {
		return fail(gitHubTokenURL+" or "+gitHubTokenKey+" is not set", nil)
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fail(gitHubTokenURL+" is no URL", nil)
	}
	query := u.Query()
	query.Set("audience", audience)
	u.RawQuery = query.Encode()
	token, status, err := askForToken(ctx, u, key)
	switch {
	case status != 0 && status != http.StatusOK:
		return fail(fmt.Sprintf("the service answers %d %s", status, http.StatusText(status)), err)
	case err != nil:
		return fail(err.Error(), err)
	case token == "":
		return fail("the service answers with an empty token", nil)
	}
	return token, nil
}

func askForToken(ctx context.Context, u *url.URL, key string) (token string, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("Authorization", "bearer "+key)
	req.Header.Set("Accept", "application/json")
	resp, err := patient.Client(bounds.Request, outside.Service{Host: u.Host, Most: bounds.Key, Stay: true}, nil).Do(req)
	if err != nil {
		return "", 0, err
	}
	body, err := io.ReadAll(resp.Body) // the transport bounds it
	if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusOK {
		return "", resp.StatusCode, err
	}
	var answer struct{ Value string }
	if err := bounds.CheckJSON(body); err != nil {
		return "", resp.StatusCode, fmt.Errorf("reading the answer: %w", err)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", resp.StatusCode, errors.New("reading the answer: " + bounds.Malformed(err))
	}
	return answer.Value, resp.StatusCode, nil
}
