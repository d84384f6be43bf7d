package ci

import (
	"errors"
	"fmt"
	"strings"
)

// Setting says how a job of the system that the environment tells of comes to what an
// error says it lacks: the lines of its configuration, and where the values are kept. It
// is empty without a system, and for an error that lacks nothing.
//
// What is lacking, an error says by its methods: Unset() []string are variables of the
// environment, Login() string is a registry that wants another login; and a *TokenError is
// the identity of a job.
func Setting(getenv func(string) string, err error) string {
	if systemOf(getenv) == "" {
		return ""
	}
	if e, ok := errors.AsType[*TokenError](err); ok {
		return identity(getenv, e.From)
	}
	if e, ok := errors.AsType[interface {
		error
		Unset() []string
	}](err); ok {
		return variables(getenv, e.Unset())
	}
	if e, ok := errors.AsType[interface {
		error
		Login() string
	}](err); ok {
		return login(getenv, e.Login())
	}
	return ""
}

// variables gives secrets to a job. A fork's job gets none, whatever its file says.
func variables(getenv func(string) string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	if readPullRequest(getenv("GITHUB_EVENT_PATH")).isForks() {
		return "# GitHub gives no secret to the pull request of a fork: plan it (mode: auto does), and release the tag"
	}
	var lines strings.Builder
	if systemOf(getenv) == GitLab {
		fmt.Fprintf(&lines, "variables:  # of the job; the value: Settings > CI/CD > Variables, masked, as SECRET_%s\n", strings.Join(names, ", SECRET_"))
		for _, name := range names {
			fmt.Fprintf(&lines, "  %s: $SECRET_%s\n", name, name)
		}
		return lines.String() + "# a variable that is protected is there for protected branches and tags only"
	}
	lines.WriteString("env:  # of the job or the step; the value: Settings > Secrets and variables > Actions\n")
	for _, name := range names {
		fmt.Fprintf(&lines, "  %s: ${{ secrets.%s }}\n", name, name)
	}
	return strings.TrimSuffix(lines.String(), "\n")
}

// identity gives a job a token that says who it is, where its system has them.
func identity(getenv func(string) string, from string) string {
	switch system := systemOf(getenv); {
	case system == GitHub && from == FromGitHub && readPullRequest(getenv("GITHUB_EVENT_PATH")).isForks():
		return "# GitHub gives no identity to the pull request of a fork: plan it (mode: auto does), and release the tag"
	case system == GitHub && from == FromGitHub:
		return "permissions:  # of the job\n  contents: read\n  id-token: write"
	case system == GitLab && from == FromGitLab:
		return "id_tokens:  # of the job, in the project's own file\n  " + GitLabToken + ":\n    aud: sigstore"
	}
	return ""
}

// login gives a job a login to a registry: GitHub's takes the job's own token, if the
// job has the permission; for another, a config.json is a secret.
func login(getenv func(string) string, registry string) string {
	if registry == "" {
		return ""
	}
	if registry == "ghcr.io" && systemOf(getenv) == GitHub {
		return "permissions:  # of the job; the package must give access to the repository, if another one made it\n  contents: read\n  packages: write\nenv:  # of the job or the step\n  GITHUB_TOKEN: ${{ github.token }}"
	}
	const variable = "DOCKER_AUTH_CONFIG"
	return variables(getenv, []string{variable}) + "\n# the value: {\"auths\": {\"" + registry + "\": {\"auth\": \"USER:PASSWORD in base64\"}}}"
}
