package ci

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	status, body := http.StatusOK, `{"count":1,"value":"a.b.c"}`
	failures := 0 // before it answers
	var asked *http.Request
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		if failures--; failures >= 0 {
			http.Error(w, "come again", http.StatusBadGateway)
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer s.Close()
	gitHub := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": s.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "key-5f1e"}
	for name, tt := range map[string]struct {
		from     string
		env      map[string]string
		status   int
		body     string
		proposed bool
		failures int
		want     string // token, or a part of the error
	}{
		"github":                   {from: FromGitHub, env: gitHub, want: "a.b.c"},
		"an empty token":           {from: FromGitHub, env: gitHub, body: `{"count":1,"value":""}`, want: "with an empty token"},
		"no permission":            {from: FromGitHub, want: "is not set"},
		"a refusal":                {from: FromGitHub, env: gitHub, status: 401, body: `{"message":"no"}`, want: "answers 401 Unauthorized"},
		"a failure that passes":    {from: FromGitHub, env: gitHub, failures: 3, want: "a.b.c"},
		"one that stays":           {from: FromGitHub, env: gitHub, failures: 99, want: "answers 502 Bad Gateway"},
		"no answer of its":         {from: FromGitHub, env: gitHub, body: "<html>", want: "reading the answer"},
		"gitlab":                   {from: FromGitLab, env: map[string]string{"SIGSTORE_ID_TOKEN": "d.e.f"}, want: "d.e.f"},
		"gitlab's beside github's": {from: FromGitHub, env: with(gitHub, "SIGSTORE_ID_TOKEN", "d.e.f"), want: "a.b.c"},
		"gitlab without":           {from: FromGitLab, env: gitHub, want: "SIGSTORE_ID_TOKEN is not set"},
		"another variable":         {from: "env://TOKEN", env: map[string]string{"TOKEN": "g.h.i\n"}, want: "g.h.i"},
		"another one without":      {from: "env://TOKEN", want: "TOKEN is not set"},
		"a pull request":           {from: FromGitHub, env: with(with(gitHub, "GITHUB_ACTIONS", "true"), "GITHUB_EVENT_NAME", "pull_request_target"), want: "for a proposed change"},
		"one that may":             {from: FromGitHub, proposed: true, env: with(with(gitHub, "GITHUB_ACTIONS", "true"), "GITHUB_EVENT_NAME", "pull_request"), want: "a.b.c"},
		"a merge request":          {from: FromGitLab, env: map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "merge_request_event", "SIGSTORE_ID_TOKEN": "d.e.f"}, want: "for a proposed change"},
	} {
		status, body, failures, asked = http.StatusOK, `{"count":1,"value":"a.b.c"}`, tt.failures, nil
		if tt.status != 0 {
			status = tt.status
		}
		if tt.body != "" {
			body = tt.body
		}
		token, err := Tokens(func(name string) string { return tt.env[name] })(t.Context(), tt.from, "aud", tt.proposed)
		if err != nil {
			token = err.Error()
		}
		if !strings.Contains(token, tt.want) || strings.Contains(token, "key-5f1e") || (err == nil) != (token == tt.want) {
			t.Errorf("%s: %q (%v), want %q", name, token, err, tt.want)
		}
		var none *TokenError
		if errors.As(err, &none) && none.Remedy() == "" {
			t.Errorf("%s: there is no remedy", name)
		}
		if asked != nil && (asked.URL.Query().Get("audience") != "aud" || asked.URL.Query().Get("api-version") != "2.0" || asked.Header.Get("Authorization") != "bearer key-5f1e") {
			t.Errorf("%s: it was asked %s", name, asked.URL)
		}
	}
}

func with(env map[string]string, name, value string) map[string]string {
	more := map[string]string{name: value}
	for n, v := range env {
		more[n] = v
	}
	return more
}
