package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	User     User // whose credentials were tried
	Problem  string
	Helper   string // program that has the credentials, and that cannot be run; else empty
	File     string // which names Helper
	Err      error  // the registry's answer, or the helper's; nil when there was none
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("the registry %s cannot be logged in to: %s", e.Registry, e.Problem)
}

// Unwrap returns the registry's answer.
func (e *LoginError) Unwrap() error { return e.Err }

// Remedy is what to do about it.
func (e *LoginError) Remedy() string {
	if e.Helper != "" {
		return "install " + e.Helper + ", or take it out of credsStore and credHelpers in " + e.File + ", and docker login " + e.Registry
	}
	return e.User.remedy(e.Registry)
}

// Evidence returns which registry and why.
func (e *LoginError) Evidence() [][2]string {
	facts := [][2]string{{"registry", e.Registry}, {"problem", e.Problem}}
	if e.User != (User{}) {
		facts = append(facts, [2]string{"as", e.User.String()})
	}
	if e.Err != nil {
		facts = append(facts, [2]string{"because", told(e.Err)})
	}
	return facts
}

// Login returns the registry, unless a helper has the login already.
func (e *LoginError) Login() string {
	if e.Helper != "" {
		return ""
	}
	return e.Registry
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

// PushError says that a registry does not let its user push to a repository.
type PushError struct {
	Repository name.Repository
	User       User
	Missing    bool // the repository is not there, and the registry makes none
	Err        error
}

func (e *PushError) Error() string {
	if e.Missing {
		return fmt.Sprintf("the registry %s has no repository %s, and makes none for a push", e.Repository.RegistryStr(), e.Repository.RepositoryStr())
	}
	return fmt.Sprintf("the registry %s does not let %s push to %s", e.Repository.RegistryStr(), e.User, e.Repository.RepositoryStr())
}

// Unwrap returns the registry's answer.
func (e *PushError) Unwrap() error { return e.Err }

// Evidence returns who may not push to what.
func (e *PushError) Evidence() [][2]string {
	return [][2]string{{"where", e.Repository.Name()}, {"as", e.User.String()}, {"tried", "to begin an upload"}, {"because", told(e.Err)}}
}

// Login returns the registry, unless it is the repository that is missing.
func (e *PushError) Login() string {
	if e.Missing {
		return ""
	}
	return e.Repository.RegistryStr()
}

// Remedy is what to do about it.
func (e *PushError) Remedy() string {
	if e.Missing {
		return "make the repository " + e.Repository.RepositoryStr() + " at the registry first, or correct image"
	}
	return e.User.remedy(e.Repository.RegistryStr()) + "; correct image, if the repository is another"
}

// User is as whom a registry is asked.
type User struct {
	Name   string // empty for nobody in particular
	Source string // what the login is from, as far as the keychain says
}

// String names the user.
func (u User) String() string {
	who := cmp.Or(u.Name, "anybody")
	if u.Source != "" {
		who += " (login of " + u.Source + ")"
	}
	return who
}

// remedy is how to come by a login that suffices.
func (u User) remedy(registry string) string {
	remedy := "docker login " + registry + " (as a user who may push to the repository)"
	switch {
	case strings.Contains(u.Source, "GITHUB_TOKEN"):
		return "give the job permissions: {packages: write}, and its repository access to the package; or " + remedy
	case u.Source != "":
		return "correct the login of " + u.Source + ", which was taken, or remove it and " + remedy
	case registry == "ghcr.io":
		return remedy + ", or in a job of GitHub: permissions: {packages: write}, and env: {GITHUB_TOKEN: ${{ github.token }}}"
	}
	return remedy
}

// userOf returns as whom an authenticator logs in.
func userOf(ctx context.Context, auth authn.Authenticator) User {
	if auth == authn.Anonymous {
		return User{}
	}
	u := User{Name: "the bearer of a token"}
	if config, err := authn.Authorization(ctx, auth); err == nil && config.Username != "" {
		u.Name = config.Username
	}
	if from, ok := auth.(interface{ Source() string }); ok {
		u.Source = from.Source()
	}
	return u
}

// Access is what a registry let its user do.
type Access struct {
	User User
	// Cancelled tells whether the upload that was begun could be taken back; otherwise
	// the registry forgets it after some time.
	Cancelled bool
}

// String says what was tried, and what was not.
func (a Access) String() string {
	after := "cancelled"
	if !a.Cancelled {
		after = "not cancelled, which the registry does not allow: it forgets it"
	}
	return fmt.Sprintf("pushes as %s: an upload was begun and %s; that it takes the tag was not tried", a.User, after)
}

// CheckAccess asks a repository's registry whether it is there, takes the keychain's
// credentials, and lets their user push: it begins an upload, which leaves nothing, and
// cancels it. What a registry decides about a manifest or a tag only cannot be seen so.
//
// Errors: *LoginError, *PushError, *SilentError, *Error.
func (c Client) CheckAccess(ctx context.Context, repo name.Repository) (a Access, err error) {
	auth, err := c.resolve(ctx, repo)
	if err != nil {
		return a, err
	}
	challenge, err := transport.Ping(ctx, repo.Registry, c.transport(repo.Registry))
	if err != nil {
		return a, &SilentError{repo.RegistryStr(), err}
	}
	if challenge.Scheme != "" {
		if auth == authn.Anonymous {
			return a, &LoginError{Registry: repo.RegistryStr(), Problem: "there are no credentials for it"}
		}
		if err := c.tryLogin(ctx, repo, auth); err != nil {
			return a, err
		}
		a.User = userOf(ctx, auth)
	}
	a.Cancelled, err = c.tryUpload(ctx, repo)
	switch {
	case isRefused(err), isNotFound(err):
		return a, &PushError{repo, a.User, isNotFound(err), err}
	case err != nil:
		return a, failed("beginning an upload to", repo, err)
	}
	return a, nil
}

// tryUpload begins an upload and cancels it; where that is not possible it tells so.
func (c Client) tryUpload(ctx context.Context, repo name.Repository) (cancelled bool, err error) {
	in, err := c.session(ctx, repo, transport.PushScope)
	if err != nil {
		return false, err
	}
	begin, err := http.NewRequestWithContext(ctx, http.MethodPost, in.url("blobs/uploads/"), http.NoBody)
	if err != nil {
		return false, err
	}
	a, err := in.do(begin)
	if err := errors.Join(err, a.err); err != nil {
		return false, err
	}
	upload, err := begin.URL.Parse(a.header.Get("Location"))
	if err != nil || upload.Host != begin.URL.Host || upload.Path == begin.URL.Path {
		return false, nil
	}
	upload.Scheme = begin.URL.Scheme
	// Also when whoever asked is gone meanwhile.
	cancel, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodDelete, upload.String(), http.NoBody)
	if err != nil {
		return false, err
	}
	a, err = in.do(cancel)
	return err == nil && a.status/100 == 2, nil
}

// transport makes requests to a registry, and to those to which it sends them on.
func (c Client) transport(to name.Registry) http.RoundTripper {
	return outside.Transport(outside.Service{Host: to.RegistryStr(), Most: bounds.Manifest, Blob: outside.IsBlob, Base: c.Transport, Around: c.Around})
}

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
	var failed interface{ Helper() (program, file string) } // of package logins
	if errors.As(err, &failed) {
		unread.Helper, unread.File = failed.Helper()
		unread.Problem = fmt.Sprintf("Docker's configuration names %s for its credentials, which did not give any", unread.Helper)
	}
	return nil, unread
}

// tryLogin gets a token for pushes, if the registry gives out any, and shows it, or
// the password, to the registry.
func (c Client) tryLogin(ctx context.Context, repo name.Repository, auth authn.Authenticator) error {
	refused := func(err error) error {
		if isRefused(err) {
			return &LoginError{Registry: repo.RegistryStr(), User: userOf(ctx, auth), Problem: "it refuses the credentials", Err: err}
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
