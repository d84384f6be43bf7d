package registry

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/outside"
)

// LoginError says that a registry wants credentials and does not take those
// that there are.
type LoginError struct {
	Registry string
	Problem  string
	Helper   string // program that has the credentials, and that cannot be run; else empty
	Err      error  // the registry's answer, or the helper's; nil when there was none
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("the registry %s cannot be logged in to: %s", e.Registry, e.Problem)
}

// Unwrap returns the registry's answer.
func (e *LoginError) Unwrap() error { return e.Err }

// Evidence returns which registry and why.
func (e *LoginError) Evidence() [][2]string {
	facts := [][2]string{{"registry", e.Registry}, {"problem", e.Problem}}
	if e.Err != nil {
		facts = append(facts, [2]string{"because", told(e.Err)})
	}
	return facts
}

// SilentError says that a registry does not answer as one.
type SilentError struct {
	Registry string
	Err      error
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("the registry %s does not answer: %s", e.Registry, told(e.Err))
}

// Unwrap returns what happened instead.
func (e *SilentError) Unwrap() error { return e.Err }

// Evidence returns which registry and what happened.
func (e *SilentError) Evidence() [][2]string {
	return [][2]string{{"registry", e.Registry}, {"because", told(e.Err)}}
}

// CheckAccess asks a repository's registry whether it is there and takes the
// keychain's credentials, and returns as whom. It writes nothing, so it cannot
// see what a registry decides at the push only.
//
// Errors: *LoginError, *SilentError.
func (c Client) CheckAccess(ctx context.Context, repo name.Repository) (who string, err error) {
	auth, err := c.resolve(ctx, repo)
	if err != nil {
		return "", err
	}
	challenge, err := transport.Ping(ctx, repo.Registry, c.transport(repo.Registry))
	if err != nil {
		return "", &SilentError{repo.RegistryStr(), err}
	}
	if challenge.Scheme == "" {
		return "anybody", nil
	}
	if auth == authn.Anonymous {
		return "", &LoginError{Registry: repo.RegistryStr(), Problem: "there are no credentials for it"}
	}
	who = "the bearer of a token"
	if config, err := authn.Authorization(ctx, auth); err == nil && config.Username != "" {
		who = config.Username
	}
	return who, c.tryLogin(ctx, repo, auth)
}

// transport makes requests to a registry, and to those to which it sends them on.
func (c Client) transport(to name.Registry) http.RoundTripper {
	return outside.Transport(outside.Service{Host: to.RegistryStr(), Most: bounds.Manifest, Blob: isBlob, Base: c.Transport})
}

// isBlob tells the requests for blobs, and with blobs.
func isBlob(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/") }

// resolve returns what the keychain has for a repository.
func (c Client) resolve(ctx context.Context, repo name.Repository) (authn.Authenticator, error) {
	if c.Keychain == nil {
		return authn.Anonymous, nil
	}
	auth, err := authn.Resolve(ctx, c.Keychain, repo)
	if err == nil {
		return auth, nil
	}
	unread := &LoginError{Registry: repo.RegistryStr(), Problem: "its credentials cannot be read", Err: err}
	if unread.Helper = helper.FindString(err.Error()); unread.Helper != "" {
		unread.Problem = fmt.Sprintf("Docker's configuration names %s for its credentials, which did not give any", unread.Helper)
	}
	return nil, unread
}

// helper matches a credential helper of Docker's in the words of the library that
// runs it.
var helper = regexp.MustCompile(`docker-credential-[\w.-]*\w`)

// tryLogin gets a token for pushes, if the registry gives out any, and shows it, or
// the password, to the registry.
func (c Client) tryLogin(ctx context.Context, repo name.Repository, auth authn.Authenticator) error {
	refused := func(err error) error {
		if isRefused(err) {
			return &LoginError{Registry: repo.RegistryStr(), Problem: "it refuses the credentials", Err: err}
		}
		return &SilentError{repo.RegistryStr(), err}
	}
	rt, err := transport.NewWithContext(ctx, repo.Registry, auth, c.transport(repo.Registry), []string{repo.Scope(transport.PushScope)})
	if err != nil {
		return refused(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, repo.Scheme()+"://"+repo.RegistryStr()+"/v2/", nil)
	if err != nil {
		return refused(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return refused(err)
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return refused(err)
	}
	return nil
}
