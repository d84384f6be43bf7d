package logins

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// lookUp looks for a login in a config.json: a credential helper's first, as Docker does,
// then what the file itself has.
func (k Keychain) lookUp(ctx context.Context, config *configfile.ConfigFile, file string, of authn.Resource) (Login, error) {
	registry := of.RegistryStr()
	if helper := helperOf(config, registry); helper != "" {
		found, err := k.ask(ctx, helper, serverOf(registry))
		var failed *HelperError
		if errors.As(err, &failed) {
			failed.File = file
		}
		if err != nil || found != (authn.AuthConfig{}) {
			return Login{found, helperPrefix + helper + ", which " + file + " names"}, err
		}
	}
	return Login{authOf(config.AuthConfigs, of), file}, nil
}

// serverOf is what a registry is called by credential helpers.
func serverOf(registry string) string {
	if registry == name.DefaultRegistry {
		return authn.DefaultAuthKey
	}
	return registry
}

// helperOf returns the helper of a registry; empty for none.
func helperOf(config *configfile.ConfigFile, registry string) string {
	for _, key := range append(hosts(registry), serverOf(registry)) {
		if helper, ok := config.CredentialHelpers[key]; ok {
			return helper
		}
	}
	return config.CredentialsStore
}

// authOf returns the entry of a repository: that of its longest part, as Podman has them,
// down to the registry.
func authOf(auths map[string]types.AuthConfig, of authn.Resource) authn.AuthConfig {
	path := strings.TrimPrefix(of.String(), of.RegistryStr())
	for {
		for _, host := range hosts(of.RegistryStr()) {
			if a, ok := auths[host+path]; ok {
				return configOf(a)
			}
		}
		i := strings.LastIndex(path, "/")
		if i < 0 {
			break
		}
		path = path[:i]
	}
	for _, key := range slices.Sorted(maps.Keys(auths)) {
		if slices.Contains(hosts(of.RegistryStr()), hostOf(key)) {
			return configOf(auths[key])
		}
	}
	return authn.AuthConfig{}
}

// hostOf returns the host of a key that names the registry's API, as https://HOST/v1/;
// of another one itself.
func hostOf(key string) string {
	host := strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	isAddress := host != key || strings.HasPrefix(key, "index.docker.io/") // else what follows is a namespace
	host = strings.TrimSuffix(host, "/")
	if !isAddress {
		return host
	}
	return strings.TrimSuffix(strings.TrimSuffix(host, "/v1"), "/v2")
}

func configOf(a types.AuthConfig) authn.AuthConfig {
	return authn.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken}
}
