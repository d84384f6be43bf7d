package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
)

// session makes requests about a repository with one login.
type session struct {
	name.Repository
	client *http.Client
	opts   []remote.Option
	writes bool // what the registry took is read back, and not only what names it
}

// session logs in. Who pushes looks with the rights of a push: some registries know no
// repository that may only be read as long as nothing is in it. Whoever has no such
// rights looks without them.
func (c Client) session(ctx context.Context, repo name.Repository, scope string) (*session, error) {
	auth, err := c.resolve(ctx, repo)
	if err != nil {
		return nil, err
	}
	push := scope == transport.PushScope
	if auth == authn.Anonymous {
		scope = transport.PullScope
	}
	rt, err := c.memory.login(repo.Name()+" "+scope, func() (http.RoundTripper, error) {
		rt, err := c.login(ctx, repo, auth, scope)
		if err != nil && isRefused(err) && scope != transport.PullScope {
			if reader, second := c.login(ctx, repo, auth, transport.PullScope); second == nil {
				rt, err = reader, nil
			}
		}
		return rt, err
	})
	if err != nil {
		return nil, err
	}
	opts := append(c.options(ctx, repo), remote.WithTransport(rt)) // the later one counts
	return &session{repo, &http.Client{Transport: rt}, opts, push}, nil
}

// login returns a transport that is logged in, and asks again as go-containerregistry
// does with one of its own.
func (c Client) login(ctx context.Context, repo name.Repository, auth authn.Authenticator, scope string) (http.RoundTripper, error) {
	again := transport.NewRetry(rewinder{c.transport(repo.Registry)},
		transport.WithRetryPredicate(isLost), transport.WithRetryBackoff(transport.Backoff{Duration: time.Second, Factor: 3, Jitter: 0.1, Steps: 3}),
		transport.WithRetryStatusCodes(http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout))
	if c.memory != nil {
		again = recalling{c.memory, again}
	}
	return transport.NewWithContext(ctx, repo.Registry, auth, again, []string{repo.Scope(scope)})
}

// rewinder sends the whole body at each try.
type rewinder struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (r rewinder) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = body
	}
	return r.next.RoundTrip(req)
}

// isLost tells an error of a connection that may be there at the next try.
func isLost(err error) bool {
	var passing interface{ Temporary() bool }
	if errors.As(err, &passing) && passing.Temporary() {
		return true
	}
	return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET, net.ErrClosed},
		func(lost error) bool { return errors.Is(err, lost) })
}

func (s *session) url(path string) string {
	return s.Scheme() + "://" + s.RegistryStr() + "/v2/" + s.RepositoryStr() + "/" + path
}

// answer is a registry's, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // the status as an error; nil for one of success
}

// get asks for something of the repository. Its error is that of a request without an
// answer.
func (s *session) get(ctx context.Context, path string, accept types.MediaType) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(path), nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", string(accept))
	return s.do(req)
}

// put writes a manifest.
func (s *session) put(ctx context.Context, reference string, kind types.MediaType, manifest []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.url("manifests/"+reference), bytes.NewReader(manifest))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", string(kind))
	a, err := s.do(req)
	return errors.Join(err, a.err)
}

func (s *session) do(req *http.Request) (answer, error) {
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	body, err := io.ReadAll(resp.Body) // the transport bounds it
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{}, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	failure := transport.CheckError(resp, http.StatusOK, http.StatusCreated, http.StatusAccepted)
	return answer{resp.StatusCode, resp.Header, body, failure}, nil
}

// find returns what a tag names, or nil for a tag that is free. Some registries answer
// 403 for that: then the list of tags tells.
func (s *session) find(ctx context.Context, tag name.Tag) (*remote.Descriptor, error) {
	there, err := remote.Get(tag, s.opts...)
	if err == nil {
		return there, nil
	}
	if isNotFound(err) {
		return nil, nil
	}
	if isRefused(err) {
		listed := false
		whole, unlisted := s.tags(ctx, func(page []string) bool {
			listed = listed || slices.Contains(page, tag.TagStr())
			return !listed
		})
		if unlisted == nil && whole && !listed {
			return nil, nil
		}
	}
	return nil, err
}

// tags shows the repository's tags, a page after the other as long as more are wanted;
// of a repository that does not exist there are none.
func (s *session) tags(ctx context.Context, more func(page []string) bool) (whole bool, err error) {
	return s.pages(ctx, "tags/list", "application/json", func(a answer) (bool, error) {
		if a.status == http.StatusNotFound {
			return true, nil
		}
		if a.err != nil {
			return false, a.err
		}
		if err := bounds.CheckJSON(a.body); err != nil {
			return false, fmt.Errorf("reading tags: %w", err)
		}
		var list struct{ Tags []string }
		if err := json.Unmarshal(a.body, &list); err != nil {
			return false, fmt.Errorf("reading tags: %w", err)
		}
		return more(list.Tags), nil
	})
}

// tagOf is a tag in which a digest is named, as OCI's specification and cosign do it.
func tagOf(image name.Digest, suffix string) name.Tag {
	return image.Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + suffix)
}

// descriptorOf describes a manifest.
func descriptorOf(manifest []byte, kind types.MediaType) (v1.Descriptor, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(manifest))
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size}, err
}

func isNotFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

// isRefused tells an answer that credentials do not suffice, or some registries' answer
// to a question for what is not there.
func isRefused(err error) bool { return hasStatus(err, http.StatusUnauthorized, http.StatusForbidden) }

func hasStatus(err error, statuses ...int) bool {
	var te *transport.Error
	return errors.As(err, &te) && slices.Contains(statuses, te.StatusCode)
}
