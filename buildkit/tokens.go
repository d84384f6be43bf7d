package buildkit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	tokens "github.com/containerd/containerd/v2/core/remotes/docker/auth"
	remotes "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/docker/cli/cli/config/types"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/util/resolver/retryhandler"
	"google.golang.org/grpc"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// registryLogins answers the builder's questions for logins and for tokens. The former are
// BuildKit's own answers. Tokens are asked for here: BuildKit's client sends a login
// wherever a registry says, in clear text too, and on with each redirect; a Dockerfile may
// name anybody's registry.
type registryLogins struct {
	auth.AuthServer
	find authprovider.AuthConfigProvider
}

// newTokens returns what serves the logins of a keychain; nil has none.
func newTokens(keychain authn.Keychain) session.Attachable {
	find := credentials(keychain)
	own := authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{AuthConfigProvider: find})
	return registryLogins{own.(auth.AuthServer), find} // which it is, or it could not be registered as one
}

// Register implements [session.Attachable].
func (l registryLogins) Register(server *grpc.Server) { auth.RegisterAuthServer(server, l) }

// FetchToken implements [auth.AuthServer]. Its error is a [*bounds.AddressError] where the
// registry sends the login to where it may not go.
func (l registryLogins) FetchToken(ctx context.Context, r *auth.FetchTokenRequest) (*auth.FetchTokenResponse, error) {
	login, err := l.find(ctx, r.Host, r.Scopes, nil)
	if err != nil {
		return nil, err
	}
	if login.RegistryToken != "" {
		return &auth.FetchTokenResponse{Token: login.RegistryToken, ExpiresIn: shortest}, nil
	}
	if err := outside.CheckRealm(ctx, r.Host, r.Realm); err != nil {
		return nil, err
	}
	to := tokens.TokenOptions{Realm: r.Realm, Service: r.Service, Scopes: r.Scopes, Username: login.Username, Secret: login.Password}
	if login.IdentityToken != "" {
		to.Username, to.Secret = "", login.IdentityToken
	}
	client := tokenClient(r.Host, to.Secret != "")
	return retryhandler.WithRetry(ctx, nil, func(ctx context.Context) (*auth.FetchTokenResponse, error) {
		return fetchToken(ctx, client, to)
	})
}

// shortest is how many seconds a token counts whose registry does not say it
// (https://distribution.github.io/distribution/spec/auth/token/).
const shortest = 60

// fetchToken asks as OAuth 2 has it where there is a login, and by a plain request where
// that is not served: GCR answers 404, Artifactory 401.
func fetchToken(ctx context.Context, client *http.Client, to tokens.TokenOptions) (*auth.FetchTokenResponse, error) {
	if to.Secret != "" {
		got, err := tokens.FetchTokenWithOAuth(ctx, client, nil, "buildkit-client", to)
		if err == nil {
			return tokenOf(got.AccessToken, got.IssuedAt, got.ExpiresInSeconds), nil
		}
		var answer remotes.ErrUnexpectedStatus
		plain := []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed}
		if !errors.As(err, &answer) || !slices.Contains(plain, answer.StatusCode) {
			return nil, fmt.Errorf("asking for a token: %w", err)
		}
	}
	got, err := tokens.FetchToken(ctx, client, nil, to)
	if err != nil {
		return nil, fmt.Errorf("asking for a token: %w", err)
	}
	return tokenOf(got.Token, got.IssuedAt, got.ExpiresInSeconds), nil
}

func tokenOf(token string, issued time.Time, seconds int) *auth.FetchTokenResponse {
	t := &auth.FetchTokenResponse{Token: token, ExpiresIn: shortest}
	if seconds > 0 {
		t.ExpiresIn = int64(seconds)
	}
	if !issued.IsZero() {
		t.IssuedAt = issued.Unix()
	}
	return t
}

// tokenClient makes the requests for a registry's tokens. One with a login is sent on to
// nowhere.
func tokenClient(registry string, hasLogin bool) *http.Client {
	c := &http.Client{Transport: outside.Transport(outside.Service{Host: registry, Most: bounds.Manifest})}
	if hasLogin {
		c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			return &bounds.AddressError{From: registry, To: r.URL.Host, Kind: bounds.Foreign}
		}
	}
	return c
}

// credentials answers BuildKit's questions for registry credentials from a
// keychain.
func credentials(keychain authn.Keychain) authprovider.AuthConfigProvider {
	return func(ctx context.Context, host string, _ []string, _ authprovider.ExpireCachedAuthCheck) (types.AuthConfig, error) {
		if keychain == nil {
			return types.AuthConfig{}, nil
		}
		if host == authprovider.DockerHubRegistryHost {
			host = name.DefaultRegistry
		}
		registry, err := name.NewRegistry(host)
		if err != nil {
			return types.AuthConfig{}, fmt.Errorf("parsing registry %q: %w", host, err)
		}
		auth, err := authn.Resolve(ctx, keychain, registry)
		if err != nil {
			return types.AuthConfig{}, fmt.Errorf("finding credentials for %q: %w", host, err)
		}
		found, err := authn.Authorization(ctx, auth)
		if err != nil {
			return types.AuthConfig{}, fmt.Errorf("reading credentials for %q: %w", host, err)
		}
		return types.AuthConfig{
			Username:      found.Username,
			Password:      found.Password,
			IdentityToken: found.IdentityToken,
			RegistryToken: found.RegistryToken,
		}, nil
	}
}
