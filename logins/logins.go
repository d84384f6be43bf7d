// Package logins finds the logins of registries where CI systems, Docker and Podman
// keep them, each for its own registry only:
//
//  1. the variable DOCKER_AUTH_CONFIG, which is a config.json
//  2. REGISTRY_AUTH_FILE, Podman's name of a file
//  3. Docker's config.json, in the folder DOCKER_CONFIG, else ~/.docker
//  4. Podman's containers/auth.json, in XDG_RUNTIME_DIR (else /run/containers/UID), and
//     in XDG_CONFIG_HOME (else ~/.config)
//  5. CI_REGISTRY_USER and CI_REGISTRY_PASSWORD, for CI_REGISTRY (GitLab)
//  6. GITHUB_ACTOR and GITHUB_TOKEN, for ghcr.io (GitHub)
//
// The first that has a login for a registry counts: what somebody wrote down goes before
// what the CI system has for every job, as in GitLab's runner.
package logins

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Keychain finds logins for go-containerregistry, as its own does, in more places.
type Keychain struct {
	Getenv func(string) string
	// Withhold are variables of the environment that credential helpers do not get.
	Withhold []string
}

// Login is a login, and where it is from. It implements [authn.Authenticator].
type Login struct {
	config authn.AuthConfig
	source string
}

// Authorization implements [authn.Authenticator].
func (l Login) Authorization() (*authn.AuthConfig, error) { return &l.config, nil }

// Source names what the login is from: variables, or a file.
func (l Login) Source() string { return l.source }

// Resolve implements [authn.Keychain].
func (k Keychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext implements [authn.ContextKeychain].
func (k Keychain) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	for _, p := range Places(k.Getenv) {
		config, err := p.read()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p.Name, err)
		}
		if config == nil {
			continue
		}
		login, err := k.lookUp(ctx, config, p.Name, of)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p.Name, err)
		}
		if login.config != (authn.AuthConfig{}) {
			return login, nil
		}
	}
	if login := k.ofCI(of.RegistryStr()); login.config != (authn.AuthConfig{}) {
		return login, nil
	}
	return authn.Anonymous, nil
}

// ofCI returns what a CI system gives to each job, for its own registry.
func (k Keychain) ofCI(registry string) Login {
	for _, ci := range []struct{ registry, user, password string }{
		{k.Getenv("CI_REGISTRY"), "CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD"},
		{"ghcr.io", "GITHUB_ACTOR", "GITHUB_TOKEN"},
	} {
		user, password := k.Getenv(ci.user), k.Getenv(ci.password)
		if user != "" && password != "" && slices.Contains(hosts(registry), hostOf(strings.ToLower(ci.registry))) {
			return Login{authn.AuthConfig{Username: user, Password: password}, ci.user + " and " + ci.password}
		}
	}
	return Login{}
}

// hosts are the names that files have for a registry.
func hosts(registry string) []string {
	if registry == name.DefaultRegistry {
		return []string{registry, "docker.io"}
	}
	return []string{registry}
}
