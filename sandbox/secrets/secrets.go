// Package secrets is iExec's secret service (SMS) in memory: its routes, its
// status codes, and its check that a secret comes from whom it belongs to. The
// part that hands secrets to attested enclaves needs the hardware and is absent.
package secrets

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"sync"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/node"
)

// Owner looks up who owns a contract: an app or a dataset.
type Owner func(ctx context.Context, contract common.Address) (common.Address, error)

// Server is the service's HTTP handler.
type Server struct {
	mux   http.ServeMux
	owner Owner

	mu     sync.Mutex
	values map[secret]string
}

// secret names a secret. The scopes are web2 (of a wallet), web3 (of a dataset),
// requester and app.
type secret struct {
	scope   string
	address common.Address
	name    string
}

// appSecret is the name of the one secret that an app's owner can set.
const appSecret = "1"

// New returns a service without secrets.
func New(owner Owner) *Server {
	s := &Server{owner: owner, values: map[secret]string{}}
	for scope, path := range map[string]string{
		"web2": "/secrets/web2", "web3": "/secrets/web3",
		"requester": "/requesters/{address}/secrets/{name}", "app": "/apps/{address}/secrets",
	} {
		s.mux.HandleFunc("HEAD "+path, s.scoped(scope, s.head))
		s.mux.HandleFunc("POST "+path, s.scoped(scope, s.post))
	}
	s.mux.HandleFunc("PUT /secrets/web2", s.scoped("web2", s.put))
	s.mux.HandleFunc("HEAD /apps/{address}/secrets/1", s.scoped("app", s.head)) // as SDK 7 asks
	s.mux.HandleFunc("POST /apps/{address}/secrets/1", s.scoped("app", s.post))
	s.mux.HandleFunc("GET /tee/framework", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `"`+Framework+`"`)
	})
	s.mux.HandleFunc("GET /tee/properties/{framework}/{version}", properties)
	return s
}

// What the service serves, as iExec's for Bellecour does: one framework, in some versions.
const Framework, Version = "SCONE", "v5.9"

// properties says with its status whether the service serves a framework in a version. What
// workers read of the answer is absent.
func properties(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.PathValue("framework") != Framework:
		w.WriteHeader(http.StatusConflict)
	case r.PathValue("version") != Version:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"teeFramework":"`+Framework+`","teeFrameworkVersion":"`+Version+`"}`)
	}
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Value returns a secret: of the scope web2, web3, requester or app.
func (s *Server) Value(scope string, address common.Address, name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[secret{scope, address, name}]
	return v, ok
}

// scoped reads which secret a request is about.
func (s *Server) scoped(scope string, h func(http.ResponseWriter, *http.Request, secret)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		address, name := r.PathValue("address"), r.PathValue("name")
		switch scope {
		case "web2":
			address, name = q.Get("ownerAddress"), q.Get("secretName")
		case "web3":
			address = q.Get("secretAddress")
		case "app":
			name = appSecret
		}
		if !common.IsHexAddress(address) || scope == "web2" && name == "" {
			fail(w, http.StatusBadRequest, "")
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		h(w, r, secret{scope, common.HexToAddress(address), name})
	}
}

// hasMessages reports whether errors of the scope come with a body.
func (k secret) hasMessages() bool { return k.scope == "app" || k.scope == "requester" }

func (k secret) fail(w http.ResponseWriter, status int, message string) {
	if !k.hasMessages() {
		message = ""
	}
	fail(w, status, message)
}

func fail(w http.ResponseWriter, status int, message string) {
	if message == "" {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body, err := json.Marshal(struct {
		Data  *string  `json:"data"`
		Error []string `json:"error"`
	}{nil, []string{message}})
	if err == nil {
		w.Write(body)
	}
}

var requesterName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

const (
	badName   = "Secret key should contain at most 64 characters from [0-9A-Za-z-_]"
	tooLarge  = "Secret size should not exceed 4 Kb"
	maxSecret = 4096
)

func (s *Server) head(w http.ResponseWriter, _ *http.Request, k secret) {
	_, ok := s.values[k]
	switch {
	case k.scope == "requester" && !requesterName.MatchString(k.name):
		k.fail(w, http.StatusBadRequest, badName)
	case !ok:
		k.fail(w, http.StatusNotFound, "Secret not found")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// post sets a secret once: it cannot be changed.
func (s *Server) post(w http.ResponseWriter, r *http.Request, k secret) {
	value, ok := s.read(w, r, k)
	if !ok {
		return
	}
	if _, exists := s.values[k]; exists {
		k.fail(w, http.StatusConflict, "Secret already exists")
		return
	}
	s.values[k] = value
	w.WriteHeader(http.StatusNoContent)
}

// put changes a secret that is there.
func (s *Server) put(w http.ResponseWriter, r *http.Request, k secret) {
	value, ok := s.read(w, r, k)
	if !ok {
		return
	}
	if _, exists := s.values[k]; !exists {
		k.fail(w, http.StatusNotFound, "")
		return
	}
	s.values[k] = value
	w.WriteHeader(http.StatusNoContent)
}

// read returns the value that a request brings, after the checks of the real
// service in their sequence; it has answered when there is none.
func (s *Server) read(w http.ResponseWriter, r *http.Request, k secret) (string, bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 16*maxSecret))
	value := string(body)
	switch {
	case err != nil || value == "":
		k.fail(w, http.StatusBadRequest, "")
	case !s.authorized(r, k, value):
		k.fail(w, http.StatusUnauthorized, "Invalid authorization")
	case k.scope == "requester" && !requesterName.MatchString(k.name):
		k.fail(w, http.StatusBadRequest, badName)
	case k.scope == "requester" && len(value) > maxSecret:
		k.fail(w, http.StatusBadRequest, tooLarge)
	case len(value) > maxSecret:
		k.fail(w, http.StatusRequestEntityTooLarge, tooLarge)
	default:
		return value, true
	}
	return "", false
}

// authorized reports whether the request is signed by the wallet that the secret
// belongs to: the address itself, or the owner of the contract there.
func (s *Server) authorized(r *http.Request, k secret, value string) bool {
	signature, err := hexutil.Decode(r.Header.Get("Authorization"))
	if err != nil {
		return false
	}
	signer, err := node.RecoverSigner(common.BytesToHash(accounts.TextHash(challenge(k, value).Bytes())), signature)
	if err != nil {
		return false
	}
	holder := k.address
	if k.scope == "app" || k.scope == "web3" {
		if holder, err = s.owner(r.Context(), k.address); err != nil {
			return false
		}
	}
	return signer == holder
}

// challenge returns what is signed (as an EIP-191 message) to set a secret:
//
//	keccak256(keccak256("IEXEC_SMS_DOMAIN") ‖ address ‖ keccak256(name) ‖ keccak256(value))
//
// A dataset's secret has no name.
func challenge(k secret, value string) common.Hash {
	parts := [][]byte{crypto.Keccak256([]byte("IEXEC_SMS_DOMAIN")), k.address.Bytes()}
	if k.scope != "web3" {
		parts = append(parts, crypto.Keccak256([]byte(k.name)))
	}
	return crypto.Keccak256Hash(append(parts, crypto.Keccak256([]byte(value)))...)
}
