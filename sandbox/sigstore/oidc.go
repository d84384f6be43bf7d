package sigstore

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The issuers: each gives tokens of one shape.
const (
	GitHub = "github"
	GitLab = "gitlab"
)

// RequestToken is what a job at GitHub shows when it asks for its identity.
const RequestToken = "sandbox-request-token"

// lifetime is that of a token which a job asks for.
const lifetime = time.Hour

// commit is the one that all jobs are of.
const commit = "1111111111111111111111111111111111111111"

// issuer gives identity tokens to jobs.
type issuer struct {
	url atomic.Pointer[string]
	key func() (*rsa.PrivateKey, error)
}

func newIssuer() *issuer {
	i := &issuer{key: sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })}
	go i.key() // which takes a while
	return i
}

// Issuer returns the URL that tokens of a shape name as their issuer.
func (i *Instance) Issuer(shape string) string { return i.OIDC + "/" + shape }

// Environment is what the systems give to a job that may have an identity token: GitHub
// an address to ask at, GitLab the token itself. The jobs are those of a workflow or
// pipeline of a repository at a ref, such as refs/tags/v1.0.0.
func (i *Instance) Environment(repository, ref string) (map[string]string, error) {
	token, err := i.Token(GitLab, repository, ref)
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   i.OIDC + "/github/token?job=" + repository + "@" + ref,
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": RequestToken,
		"SIGSTORE_ID_TOKEN":              token,
	}, err
}

// Token is a token for Fulcio, of a job.
func (i *Instance) Token(shape, repository, ref string) (string, error) {
	return i.TokenUntil(time.Now().Add(lifetime), shape, "sigstore", repository, ref)
}

// TokenUntil is a token for an audience, of a job, that is valid until a time.
func (i *Instance) TokenUntil(end time.Time, shape, audience, repository, ref string) (string, error) {
	return i.issuer.mint(end, shape, audience, repository, ref)
}

// Identity is what Fulcio certifies of a job: the workflow or pipeline, at its ref.
func Identity(shape, repository, ref string) string {
	if shape == GitLab {
		return "https://" + gitLabConfig(repository, ref)
	}
	return "https://github.com/" + gitHubWorkflow(repository, ref)
}

func gitHubWorkflow(repository, ref string) string {
	return repository + "/.github/workflows/release.yml@" + ref
}

func gitLabConfig(repository, ref string) string {
	return "gitlab.com/" + repository + "//.gitlab-ci.yml@" + ref
}

// ServeHTTP implements [http.Handler].
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	shape, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch path {
	case ".well-known/openid-configuration":
		at := *i.url.Load() + "/" + shape
		answer(w, http.StatusOK, map[string]any{
			"issuer": at, "jwks_uri": at + "/jwks", "response_types_supported": []string{"id_token"},
			"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	case "jwks":
		i.serveKeys(w)
	case "token":
		i.serveToken(w, r, shape)
	default:
		http.NotFound(w, r)
	}
}

func (i *issuer) serveKeys(w http.ResponseWriter) {
	key, err := i.key()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1",
		"n": encode64(key.N.Bytes()), "e": encode64(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

// serveToken answers as GitHub's service does; one that does not show the job's token is
// answered 401, with a body that holds no token.
func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request, shape string) {
	if !strings.EqualFold(r.Header.Get("Authorization"), "bearer "+RequestToken) {
		answer(w, http.StatusUnauthorized, map[string]string{"message": "the job's token is missing"})
		return
	}
	q := r.URL.Query()
	repository, ref, _ := strings.Cut(q.Get("job"), "@")
	token, err := i.mint(time.Now().Add(lifetime), shape, cmp.Or(q.Get("audience"), "https://github.com/acme"), repository, ref)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, http.StatusOK, map[string]any{"count": 1, "value": token})
}

// mint makes a token for a job of a repository, which is valid until a time.
func (i *issuer) mint(end time.Time, shape, audience, repository, ref string) (string, error) {
	start := end.Add(-lifetime).Unix()
	claims := map[string]any{"iss": *i.url.Load() + "/" + shape, "aud": audience, "iat": start, "nbf": start - 5, "exp": end.Unix()}
	name, isTag := strings.CutPrefix(ref, "refs/tags/")
	kind := map[bool]string{true: "tag", false: "branch"}[isTag]
	name = strings.TrimPrefix(name, "refs/heads/")
	owner, _, _ := strings.Cut(repository, "/")
	var more map[string]any
	if shape == GitLab {
		more = map[string]any{
			"sub": "project_path:" + repository + ":ref_type:" + kind + ":ref:" + name, "project_path": repository, "project_id": "3", "namespace_path": owner, "namespace_id": "4",
			"ref": name, "ref_type": kind, "ref_path": ref, "pipeline_source": "push", "pipeline_id": "1", "job_id": "2", "runner_environment": "gitlab-hosted",
			"sha": commit, "ci_config_ref_uri": gitLabConfig(repository, ref), "ci_config_sha": commit, "project_visibility": "public",
		}
	} else {
		workflow := gitHubWorkflow(repository, ref)
		more = map[string]any{
			"sub": "repo:" + repository + ":ref:" + ref, "repository": repository, "repository_id": "3", "repository_owner": owner, "repository_owner_id": "4", "repository_visibility": "public",
			"workflow": "release", "workflow_ref": workflow, "workflow_sha": commit, "job_workflow_ref": workflow, "job_workflow_sha": commit,
			"sha": commit, "ref": ref, "ref_type": kind, "event_name": "push", "runner_environment": "github-hosted", "run_id": "100", "run_attempt": "1",
		}
	}
	for name, value := range more {
		claims[name] = value
	}
	return i.sign(claims)
}

func (i *issuer) sign(claims map[string]any) (string, error) {
	key, err := i.key()
	if err != nil {
		return "", fmt.Errorf("making key: %w", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	text := encode64([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + encode64(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	return text + "." + encode64(signature), err
}

// check returns the claims of a token that was given out for an audience.
func (i *issuer) check(token, audience string) (claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("it is no token")
	}
	key, err := i.key()
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		return nil, err
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return nil, err
	}
	if claims["aud"] != audience {
		return nil, fmt.Errorf("its audience is %v", claims["aud"])
	}
	if end, ok := claims["exp"].(float64); !ok || time.Now().Unix() >= int64(end) {
		return nil, errors.New("it is expired")
	}
	return claims, nil
}

var encode64 = base64.RawURLEncoding.EncodeToString

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client is gone
}
