package logins_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/logins"
)

// entry is what a config.json has for a registry.
func entry(key, user string) string {
	return fmt.Sprintf("%q:{%q:%q}", key, "auth", base64.StdEncoding.EncodeToString([]byte(user+":of "+user)))
}

func config(entries ...string) string { return `{"auths":{` + strings.Join(entries, ",") + `}}` }

// find returns the user of a repository, and what the login is from.
func find(t *testing.T, env map[string]string, repository string) (user, source string, err error) {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := logins.Keychain{Getenv: func(key string) string { return env[key] }}.ResolveContext(t.Context(), repo)
	if err != nil {
		return "", "", err
	}
	if auth == authn.Anonymous {
		return "nobody", "", nil
	}
	found, err := authn.Authorization(t.Context(), auth)
	if err != nil {
		t.Fatal(err)
	}
	if found.Password != "of "+found.Username {
		t.Errorf("%s has the password %q", found.Username, found.Password)
	}
	return found.Username, auth.(logins.Login).Source(), nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each place has a login for the same registry. The first of them counts; without it the
// next does.
func TestOrder(t *testing.T) {
	dir := t.TempDir()
	at := func(file string) string { return filepath.Join(dir, file) }
	const host = "ghcr.io"
	env := map[string]string{
		"DOCKER_AUTH_CONFIG": config(entry(host, "variable")),
		"REGISTRY_AUTH_FILE": at("auth-file"), "DOCKER_CONFIG": at("docker"), "HOME": at("home"),
		"XDG_RUNTIME_DIR": at("run"), "XDG_CONFIG_HOME": at("xdg"),
		"CI_REGISTRY": host, "CI_REGISTRY_USER": "gitlab", "CI_REGISTRY_PASSWORD": "of gitlab",
		"GITHUB_ACTOR": "octocat", "GITHUB_TOKEN": "of octocat",
	}
	for file, user := range map[string]string{
		"auth-file": "file", "docker/config.json": "docker", "home/.docker/config.json": "home",
		"run/containers/auth.json": "podman", "xdg/containers/auth.json": "xdg", "home/.config/containers/auth.json": "dot",
	} {
		write(t, at(file), config(entry(host, user)))
	}
	for _, step := range []struct{ user, source, without string }{
		{"variable", "DOCKER_AUTH_CONFIG", "DOCKER_AUTH_CONFIG"},
		{"file", at("auth-file"), "REGISTRY_AUTH_FILE"},
		{"docker", at("docker/config.json"), "DOCKER_CONFIG"},
		{"home", at("home/.docker/config.json"), ""},
		{"podman", at("run/containers/auth.json"), "XDG_RUNTIME_DIR"},
		{"xdg", at("xdg/containers/auth.json"), "XDG_CONFIG_HOME"},
		{"dot", at("home/.config/containers/auth.json"), "HOME"},
		{"gitlab", "CI_REGISTRY_USER and CI_REGISTRY_PASSWORD", "CI_REGISTRY"},
		{"octocat", "GITHUB_ACTOR and GITHUB_TOKEN", "GITHUB_TOKEN"},
		{"nobody", "", ""},
	} {
		user, source, err := find(t, env, host+"/acme/hello")
		if err != nil || user != step.user || source != step.source {
			t.Errorf("got %s of %s, %v; want %s of %s", user, source, err, step.user, step.source)
		}
		if step.user == "home" {
			if err := os.Remove(step.source); err != nil {
				t.Fatal(err)
			}
		}
		delete(env, step.without)
	}
}

// What a CI system gives to each job is for its own registry, and only whole.
func TestLoginsStayWithTheirRegistry(t *testing.T) {
	github := map[string]string{"GITHUB_ACTOR": "octocat", "GITHUB_TOKEN": "of octocat"}
	gitlab := map[string]string{"CI_REGISTRY": "registry.example.com:5050", "CI_REGISTRY_USER": "gitlab", "CI_REGISTRY_PASSWORD": "of gitlab"}
	hub := map[string]string{"CI_REGISTRY": "https://index.docker.io/v1/", "CI_REGISTRY_USER": "hub", "CI_REGISTRY_PASSWORD": "of hub"}
	for _, c := range []struct {
		env        map[string]string
		repository string
		user       string
	}{
		{github, "ghcr.io/acme/hello", "octocat"},
		{github, "ghcr.io:443/acme/hello", "nobody"},
		{github, "ghcr.io.example.com/acme/hello", "nobody"},
		{github, "containers.ghcr.io/acme/hello", "nobody"},
		{github, "docker.io/ghcr.io/hello", "nobody"},
		{map[string]string{"GITHUB_TOKEN": "of nobody"}, "ghcr.io/acme/hello", "nobody"},
		{gitlab, "registry.example.com:5050/acme/hello", "gitlab"},
		{gitlab, "registry.example.com/acme/hello", "nobody"},
		{gitlab, "ghcr.io/acme/hello", "nobody"},
		{map[string]string{"CI_REGISTRY_USER": "gitlab", "CI_REGISTRY_PASSWORD": "of gitlab"}, "docker.io/acme/hello", "nobody"},
		{hub, "acme/hello", "hub"},
		{hub, "ghcr.io/acme/hello", "nobody"},
	} {
		if user, _, err := find(t, c.env, c.repository); err != nil || user != c.user {
			t.Errorf("%v: %s is asked as %s, %v; want %s", c.env, c.repository, user, err, c.user)
		}
	}
}

// The keys of a config.json: registries, as Docker wrote and writes them, and parts of
// a registry, as Podman does. The longest counts.
func TestKeys(t *testing.T) {
	text := config(entry("https://index.docker.io/v1/", "hub"), entry("quay.io", "quay"), entry("quay.io/acme", "acme"), entry("quay.io/acme/hello", "hello"),
		entry("https://old.example.com/v2/", "old"), entry("http://plain.example.com", "plain"), entry("one.example.com/acme", "one"), entry("two.example.com/v2", "two"))
	for repository, want := range map[string]string{
		"alpine": "hub", "docker.io/acme/hello": "hub", "index.docker.io/acme/hello": "hub",
		"quay.io/other/app": "quay", "quay.io/acme/app": "acme", "quay.io/acme/hello": "hello", "quay.io/acme/hello/more": "hello", "quay.io/acmes/app": "quay",
		"old.example.com/app": "old", "plain.example.com/app": "plain",
		"one.example.com/acme/app": "one", "one.example.com/other": "nobody", // whose login it is not
		"two.example.com/v2/app": "two", "two.example.com/other": "nobody", // v2 is a namespace there
		"example.com/app": "nobody",
	} {
		if user, _, err := find(t, map[string]string{"DOCKER_AUTH_CONFIG": text}, repository); err != nil || user != want {
			t.Errorf("%s is asked as %s, %v; want %s", repository, user, err, want)
		}
	}
}

// helper is a program that has a login for one registry.
const helper = `#!/bin/sh
read server
[ "$1" = get ] || exit 1
case "$server" in
quay.io) echo '{"ServerURL":"quay.io","Username":"'${SECRET-helper}'","Secret":"of helper"}';;
gcr.io) echo '{"ServerURL":"gcr.io","Username":"<token>","Secret":"of "}';;
broken.io) echo 'Error: no session, log in first' >&2; exit 1;;
*) echo 'credentials not found in native keychain'; exit 1;;
esac
`

func TestCredentialHelpers(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "docker-credential-vault")
	write(t, file, helper)
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("SECRET", "a secret")
	for name, c := range map[string]struct{ config, repository, want string }{
		"for all":                {`{"credsStore":"vault"}`, "quay.io/acme/hello", "helper (docker-credential-vault, which DOCKER_AUTH_CONFIG names)"},
		"for one":                {`{"credHelpers":{"quay.io":"vault"}}`, "quay.io/acme/hello", "helper (docker-credential-vault, which DOCKER_AUTH_CONFIG names)"},
		"for another":            {`{"credHelpers":{"quay.io":"vault"}}`, "ghcr.io/acme/hello", "nobody ()"},
		"without it":             {`{"credsStore":"vault"}`, "ghcr.io/acme/hello", "nobody ()"},
		"which the file has":     {`{"credsStore":"vault","auths":{` + entry("ghcr.io", "file") + `}}`, "ghcr.io/acme/hello", "file (DOCKER_AUTH_CONFIG)"},
		"a token":                {`{"credsStore":"vault"}`, "gcr.io/acme/hello", " (docker-credential-vault, which DOCKER_AUTH_CONFIG names)"},
		"that fails":             {`{"credsStore":"vault"}`, "broken.io/acme/hello", "no session, log in first"},
		"that is missing":        {`{"credsStore":"nope"}`, "quay.io/acme/hello", "asking docker-credential-nope"},
		"that is a path":         {`{"credsStore":"../` + filepath.Base(dir) + `/x"}`, "quay.io/acme/hello", "no name of a credential helper"},
		"that is another option": {`{"credsStore":"-x"}`, "quay.io/acme/hello", "no name of a credential helper"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"DOCKER_AUTH_CONFIG": c.config}
			repo, err := repository(c.repository)
			if err != nil {
				t.Fatal(err)
			}
			auth, err := logins.Keychain{Getenv: func(key string) string { return env[key] }, Withhold: []string{"SECRET"}}.ResolveContext(t.Context(), repo)
			got := fmt.Sprint(err)
			if err == nil {
				user, source := "nobody", ""
				if login, ok := auth.(logins.Login); ok {
					found, err := login.Authorization()
					if err != nil {
						t.Fatal(err)
					}
					user, source = found.Username, login.Source()
				}
				got = user + " (" + source + ")"
			}
			if !strings.Contains(got, c.want) || err == nil && got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// A file that somebody names must be there; the usual places may be empty.
func TestNamedFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.json")
	write(t, secret, config(entry("ghcr.io", "file")))
	for file, want := range map[string]string{
		secret:                          "",
		filepath.Join(dir, "nope.json"): "REGISTRY_AUTH_FILE names it",
		dir:                             "it is a folder",
	} {
		var problems []string
		for _, place := range logins.Places(func(name string) string {
			return map[string]string{"REGISTRY_AUTH_FILE": file, "HOME": dir}[name]
		}) {
			if err := place.Check(); err != nil {
				problems = append(problems, place.Name+": "+err.Error())
			}
		}
		if want == "" && problems != nil || want != "" && (len(problems) != 1 || !strings.Contains(problems[0], file+": ") || !strings.Contains(problems[0], want)) {
			t.Errorf("%s: got %q, want %q", file, problems, want)
		}
	}
}

func repository(text string) (name.Repository, error) { return name.NewRepository(text) }

// What is no config.json is told without a word of it: it may be a password.
func TestAttackLogins(t *testing.T) {
	const password = "hunter2"
	for name, text := range map[string]string{
		"no JSON":              password,
		"a number":             `{"auths":` + "1234567" + `}`,
		"no base64":            `{"auths":{"ghcr.io":{"auth":"` + password + `!"}}}`,
		"no user":              `{"auths":{"ghcr.io":{"auth":"` + base64.StdEncoding.EncodeToString([]byte(password)) + `"}}}`,
		"too large":            config(entry("ghcr.io", strings.Repeat(password, bounds.Docker/4))),
		"too deep":             strings.Repeat(`{"auths":`, bounds.Depth+1) + `"` + password + `"` + strings.Repeat("}", bounds.Depth+1),
		"cut off":              `{"auths":{"ghcr.io":{"auth":"` + password,
		"a list of registries": `{"auths":["` + password + `"]}`,
	} {
		_, _, err := find(t, map[string]string{"DOCKER_AUTH_CONFIG": text}, "ghcr.io/acme/hello")
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "1234567") || !strings.Contains(err.Error(), "DOCKER_AUTH_CONFIG") {
			t.Errorf("%s: got %v", name, err)
		}
		file := filepath.Join(t.TempDir(), "config.json")
		write(t, file, text)
		_, _, err = find(t, map[string]string{"REGISTRY_AUTH_FILE": file}, "ghcr.io/acme/hello")
		if err == nil || strings.Contains(err.Error(), password) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s, in a file: got %v", name, err)
		}
	}
	for name, text := range map[string]string{"empty": "", "blank": " \n", "of nobody": "{}"} {
		file := filepath.Join(t.TempDir(), "config.json")
		write(t, file, text)
		if user, _, err := find(t, map[string]string{"REGISTRY_AUTH_FILE": file}, "ghcr.io/acme/hello"); user != "nobody" || err != nil {
			t.Errorf("%s: %s, %v", name, user, err)
		}
	}
}
