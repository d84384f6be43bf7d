//go:build interop

package interop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mrelease/mrelease/publish/record"
)

// The registry of github.com/distribution/distribution, which is what GitLab's, Harbor's
// and many others are made from, with the ways in which it and they let users in.
func TestDistribution(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.writeNowhere(t)
	for _, c := range []struct {
		name  string
		owner int
		users *tokenService // nil: anybody may push
		user  string
	}{
		{name: "open", owner: 1},
		{name: "distribution's tokens", owner: 2, users: &tokenService{path: "/token", field: "token"}, user: "robot"},
		{name: "harbor's tokens", owner: 3, users: &tokenService{path: "/service/token", field: "access_token"}, user: "robot$acme+release"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := release{name: "app", chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: c.owner, dir: t.TempDir()}
			writeWallet(t, r.dir, r.owner)
			host := s.distribution(t, r.dir, c.users)
			docker(t, r.dir, host, c.user)
			mounts(t, host, c.user)
			s.releasesTo(t, r, host)
		})
	}
	t.Run("may not push", func(t *testing.T) {
		t.Parallel()
		r := release{name: "app", chain: s.V6, enclave: legacyEnclave, tag: "tee", owner: 4, dir: t.TempDir()}
		writeWallet(t, r.dir, r.owner)
		host := s.distribution(t, r.dir, &tokenService{path: "/token", field: "token"})
		docker(t, r.dir, host, "reader")
		s.mreleaseTo(t, r, host, "plan", "--version", "1.0.0")
		doctor := s.mreleaseRun(t, r, "doctor", "--image", host+"/acme/app")
		doctor.fails = true
		if found, story := doctor.run(t); !strings.Contains(found, "does not let reader") || !strings.Contains(story, "E-REGISTRY-LOGIN") {
			t.Errorf("doctor says\n%s%s", found, story)
		}
		refused := s.mreleaseRun(t, r, "release", "--version", "1.0.0", "--progress", "quiet", "--image", host+"/acme/app")
		refused.fails = true
		if _, story := refused.run(t); !strings.Contains(story, "E-REGISTRY-LOGIN") || strings.Contains(story, "✓ push") {
			t.Errorf("it ended with\n%s", story)
		}
	})
}

// releasesTo releases in both layouts, and lets mrelease and cosign verify.
func (s *stage) releasesTo(t *testing.T, r release, host string) {
	if found, _ := s.mreleaseRun(t, r, "doctor", "--image", host+"/acme/app").run(t); !strings.Contains(found, "an upload was begun and cancelled") {
		t.Errorf("doctor says\n%s", found)
	}
	for _, layout := range []string{"referrers", "tags"} {
		image := host + "/acme/" + layout
		run := s.mreleaseRun(t, r, "release", "--version", "1.0.0", "--progress", "quiet", "--image", image)
		run.env = append(run.env, "MRELEASE_SIGN_LAYOUT="+layout)
		for _, want := range []string{"✓ sign", "nothing was made"} {
			if _, story := run.run(t); !strings.Contains(story, want) {
				t.Errorf("%s: the story lacks %q:\n%s", layout, want, story)
			}
		}
		rec, err := record.ReadFile(filepath.Join(r.dir, r.name+".json"))
		must(t, err)
		s.mrelease(t, r, "verify", r.name+".json")
		s.cosignReads(t, r, rec, layout)
	}
}

// cosignReads lets cosign verify what mrelease wrote in a layout, with the flags that
// cosign 2 wants for it.
func (s *stage) cosignReads(t *testing.T, r release, rec record.Record, layout string) {
	t.Helper()
	tag, err := name.NewTag(rec.Image.Reference)
	must(t, err)
	image := tag.Digest(rec.Image.Digest.String()).Name()
	flags := []string{"--insecure-ignore-tlog", "--key", "cosign.pub"}
	if layout == "referrers" {
		flags = append(flags, "--trusted-root", "root.json", "--new-bundle-format")
	}
	for _, command := range [][]string{{"verify"}, {"verify-attestation", "--type", "slsaprovenance1"}} {
		run := s.cosignRun(append(append(command, flags...), image))
		run.env = append(run.env, "DOCKER_CONFIG="+r.dir)
		stdout, stderr := run.run(t)
		if !strings.Contains(stdout+stderr, rec.Image.Digest.String()) && command[0] == "verify" {
			t.Errorf("cosign verified something else: %s%s", stdout, stderr)
		}
	}
}

// mreleaseTo runs a command for an image in a registry.
func (s *stage) mreleaseTo(t *testing.T, r release, host string, args ...string) {
	t.Helper()
	s.mreleaseRun(t, r, append(args, "--image", host+"/acme/app")...).run(t)
}

// docker writes Docker's configuration with a user's login.
func docker(t *testing.T, dir, host, user string) {
	t.Helper()
	login := map[string]any{}
	if user != "" {
		login[host] = map[string]string{"username": user, "password": user + "'s password"}
	}
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(encode(t, map[string]any{"auths": login})), 0o600))
}

// distribution starts the registry, and returns its host.
func (s *stage) distribution(t *testing.T, dir string, users *tokenService) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	host := listener.Addr().String()
	must(t, listener.Close()) // for the program to take
	config := "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {inmemory: {}}\nhttp: {addr: \"" + host + "\"}\n"
	if users != nil {
		config += users.start(t, dir)
	}
	file := filepath.Join(dir, "distribution.yaml")
	must(t, os.WriteFile(file, []byte(config), 0o600))
	program := exec.CommandContext(t.Context(), filepath.Join(s.bin, "distribution"), file)
	program.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	var said bytes.Buffer
	program.Stdout, program.Stderr = &said, &said
	must(t, program.Start())
	t.Cleanup(func() {
		_ = program.Wait() // it is killed when the test's context ends
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for range 100 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			must(t, resp.Body.Close())
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("distribution does not answer")
	return ""
}

// tokenService gives out the tokens that the registry trusts, as the specification of
// Docker's token authentication has it: for what the user may do of what was asked for.
type tokenService struct {
	path  string // of its URL
	field string // of its answer: token, or access_token as OAuth has it
	key   *ecdsa.PrivateKey
	cert  []byte
}

const (
	issuer  = "interop"
	service = "registry"
)

// start starts the service, and returns the registry's configuration for it.
func (s *tokenService) start(t *testing.T, dir string) string {
	t.Helper()
	var err error
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	s.cert, err = x509.CreateCertificate(rand.Reader, template, template, &s.key.PublicKey, s.key)
	must(t, err)
	bundle := filepath.Join(dir, "token.pem")
	must(t, os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert}), 0o600))
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	// By its name: go-containerregistry takes no address inside for another host's realm.
	realm := strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + s.path
	return fmt.Sprintf("auth: {token: {realm: %q, service: %s, issuer: %s, rootcertbundle: %q}}\n", realm, service, issuer, bundle)
}

// access is what a token allows.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// ServeHTTP implements [http.Handler].
func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, password, hasUser := r.BasicAuth()
	if r.URL.Path != s.path || hasUser && password != user+"'s password" {
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}`, http.StatusUnauthorized)
		return
	}
	granted := []access{}
	for _, scope := range r.URL.Query()["scope"] {
		parts := strings.SplitN(scope, ":", 3)
		if len(parts) != 3 || !hasUser {
			continue
		}
		actions := strings.Split(parts[2], ",")
		if user == "reader" {
			actions = slices.DeleteFunc(actions, func(a string) bool { return a != "pull" })
		}
		granted = append(granted, access{parts[0], parts[1], actions})
	}
	token, err := s.token(user, granted)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{s.field: token, "expires_in": 300})
}

// token signs a JSON web token.
func (s *tokenService) token(user string, granted []access) (string, error) {
	now := time.Now()
	head, err := json.Marshal(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(s.cert)}})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": user, "aud": service, "iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": rand.Text(), "access": granted,
	})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	x, y, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)), nil
}
