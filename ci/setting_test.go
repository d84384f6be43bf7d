package ci_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mrelease/mrelease/ci"
)

type unset []string

func (e unset) Error() string   { return "unset" }
func (e unset) Unset() []string { return e }

type refused string

func (e refused) Error() string { return "refused" }
func (e refused) Login() string { return string(e) }

// What a job lacks is told as configuration of its system: it can be read, and says
// what it should.
func TestSettingIsConfigurationOfTheSystem(t *testing.T) {
	fork := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(fork, []byte(`{"pull_request": {"head": {"repo": {"full_name": "stranger/app"}}, "base": {"sha": "f00d", "repo": {"full_name": "acme/app"}}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		system string
		event  string
		err    error
		want   string // as Go prints it
		says   string
	}{
		"GitHub, a password":         {"GITHUB_ACTIONS", "", unset{"COSIGN_PASSWORD"}, "map[env:map[COSIGN_PASSWORD:${{ secrets.COSIGN_PASSWORD }}]]", "Settings > Secrets"},
		"GitLab, a password":         {"GITLAB_CI", "", unset{"COSIGN_PASSWORD"}, "map[variables:map[COSIGN_PASSWORD:$SECRET_COSIGN_PASSWORD]]", "masked, as SECRET_COSIGN_PASSWORD"},
		"GitHub, secrets of a build": {"GITHUB_ACTIONS", "", unset{"A", "B"}, "map[env:map[A:${{ secrets.A }} B:${{ secrets.B }}]]", ""},
		"GitLab, secrets of a build": {"GITLAB_CI", "", unset{"A", "B"}, "map[variables:map[A:$SECRET_A B:$SECRET_B]]", "SECRET_A, SECRET_B"},
		"GitHub, its own registry":   {"GITHUB_ACTIONS", "", refused("ghcr.io"), "map[env:map[GITHUB_TOKEN:${{ github.token }}] permissions:map[contents:read packages:write]]", ""},
		"GitHub, another registry":   {"GITHUB_ACTIONS", "", refused("quay.io"), "map[env:map[DOCKER_AUTH_CONFIG:${{ secrets.DOCKER_AUTH_CONFIG }}]]", `{"auths": {"quay.io": {"auth":`},
		"GitLab, a registry":         {"GITLAB_CI", "", refused("ghcr.io"), "map[variables:map[DOCKER_AUTH_CONFIG:$SECRET_DOCKER_AUTH_CONFIG]]", `{"auths": {"ghcr.io": {"auth":`},
		"GitHub, a fork":             {"GITHUB_ACTIONS", fork, unset{"COSIGN_PASSWORD"}, "map[]", "no secret to the pull request of a fork"},
		"GitHub, an identity":        {"GITHUB_ACTIONS", "", &ci.TokenError{From: ci.FromGitHub}, "map[permissions:map[contents:read id-token:write]]", ""},
		"GitLab, an identity":        {"GITLAB_CI", "", &ci.TokenError{From: ci.FromGitLab}, "map[id_tokens:map[SIGSTORE_ID_TOKEN:map[aud:sigstore]]]", ""},
		"a fork, an identity":        {"GITHUB_ACTIONS", fork, &ci.TokenError{From: ci.FromGitHub}, "map[]", "no identity to the pull request of a fork"},
		"another system's identity":  {"GITLAB_CI", "", &ci.TokenError{From: ci.FromGitHub}, "map[]", ""},
		"nothing is lacking":         {"GITHUB_ACTIONS", "", unset{}, "map[]", ""},
		"no login is lacking":        {"GITHUB_ACTIONS", "", refused(""), "map[]", ""},
		"no system":                  {"", "", unset{"COSIGN_PASSWORD"}, "map[]", ""},
	} {
		text := ci.Setting(func(name string) string {
			return map[string]string{tt.system: "true", "GITHUB_EVENT_PATH": tt.event}[name]
		}, fmt.Errorf("around: %w", tt.err))
		var got map[string]map[string]any
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || fmt.Sprint(got) != tt.want || !strings.Contains(text, tt.says) {
			t.Errorf("%s: got %v, %v of\n%s", name, got, err, text)
		}
	}
}
