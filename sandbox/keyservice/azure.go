package keyservice

import (
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
)

// Azure is a stand-in for a key vault of Azure, and for Microsoft Entra, which gives access
// tokens for an application's secret, or for the token of a workload that it trusts.
type Azure struct {
	Tenant, Client string
	Secret         string // of the application
	Assertion      string // the token of the workload
	Scope          string // that tokens are asked for
	Keys           map[string]*Key
	Type           string      // of all keys; empty: EC
	Throttle       func() bool // whether to refuse a request for now; nil: none is
	Lie            func(answer map[string]any)

	mu     sync.Mutex
	tokens map[string]bool
}

// Exchange is the token endpoint of Microsoft Entra, version 2 (RFC 6749, RFC 7523).
func (a *Azure) Exchange(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	refuse := func(status int, kind, words string) {
		answer(w, status, map[string]any{"error": kind, "error_description": words + " Trace ID: 1 Timestamp: 2026-01-01 00:00:00Z", "error_codes": []int{0}})
	}
	if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "client_credentials" || r.Form.Get("scope") != a.Scope {
		refuse(http.StatusBadRequest, "invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
		return
	}
	if r.URL.Path != "/"+a.Tenant+"/oauth2/v2.0/token" {
		refuse(http.StatusBadRequest, "invalid_request", "AADSTS90002: Tenant not found.")
		return
	}
	bySecret := r.Form.Get("client_secret") != ""
	byToken := r.Form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	switch {
	case r.Form.Get("client_id") != a.Client:
		refuse(http.StatusBadRequest, "unauthorized_client", "AADSTS700016: Application was not found in the directory.")
		return
	case bySecret && r.Form.Get("client_secret") != a.Secret:
		refuse(http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
		return
	case byToken && r.Form.Get("client_assertion") != a.Assertion:
		refuse(http.StatusBadRequest, "invalid_client", "AADSTS70021: No matching federated identity record found for presented assertion.")
		return
	case bySecret == byToken:
		refuse(http.StatusUnauthorized, "invalid_client", "AADSTS7000216: 'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.")
		return
	}
	token := "eyJ0eXAi." + rand.Text()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tokens == nil {
		a.tokens = map[string]bool{}
	}
	a.tokens[token] = true
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": token})
}

// AzureVersion is that of each key.
const AzureVersion = "0123456789abcdef0123456789abcdef"

// ServeHTTP answers GET keys/NAME[/VERSION] and POST keys/NAME/VERSION/sign of version 7.4 of
// the REST API.
func (a *Azure) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	a.mu.Lock()
	known := a.tokens[token]
	a.mu.Unlock()
	switch {
	case a.Throttle != nil && a.Throttle():
		a.refuse(w, http.StatusTooManyRequests, "Throttled", "", "Request was not processed because too many requests were received.")
		return
	case !isBearer || !known:
		w.Header().Set("Www-Authenticate", `Bearer authorization="https://login.microsoftonline.com/`+a.Tenant+`", resource="https://vault.azure.net"`)
		a.refuse(w, http.StatusUnauthorized, "Unauthorized", "", "AKV10032: Invalid issuer.")
		return
	case r.URL.Query().Get("api-version") != "7.4":
		a.refuse(w, http.StatusBadRequest, "BadParameter", "", "The request URI contains an invalid api-version.")
		return
	}
	path, wantsSignature := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/keys/"), "/sign")
	name, version, _ := strings.Cut(path, "/")
	key, ok := a.Keys[name]
	if !ok || version != "" && version != AzureVersion {
		a.refuse(w, http.StatusNotFound, "KeyNotFound", "", "A key with (name/id) "+path+" was not found in this key vault.")
		return
	}
	key.Lock()
	defer key.Unlock()
	id := "https://" + r.Host + "/keys/" + name + "/" + AzureVersion
	switch {
	case key.Denied:
		a.refuse(w, http.StatusForbidden, "Forbidden", "ForbiddenByRbac", "Caller is not authorized to perform action on resource.")
	case wantsSignature && key.State != Enabled:
		a.refuse(w, http.StatusForbidden, "Forbidden", "KeyDisabled", "Operation sign is not allowed on a disabled key.")
	case wantsSignature && r.Method == http.MethodPost && version != "":
		a.sign(w, r, id, key)
	case !wantsSignature && r.Method == http.MethodGet:
		a.publicKey(w, id, key)
	default:
		a.refuse(w, http.StatusMethodNotAllowed, "BadParameter", "", "Method is not allowed.")
	}
}

func (a *Azure) refuse(w http.ResponseWriter, status int, code, inner, message string) {
	e := map[string]any{"code": code, "message": message}
	if inner != "" {
		e["innererror"] = map[string]any{"code": inner}
	}
	answer(w, status, map[string]any{"error": e})
}

func (a *Azure) tell(w http.ResponseWriter, document map[string]any) {
	if a.Lie != nil {
		a.Lie(document)
	}
	answer(w, http.StatusOK, document)
}

func (a *Azure) publicKey(w http.ResponseWriter, id string, key *Key) {
	curve := fmt.Sprintf("P-%d", key.bits())
	if key.isSecp256k1() {
		curve = "P-256K"
	}
	size := (key.bits() + 7) / 8
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size))) }
	kind := a.Type
	if kind == "" {
		kind = "EC"
	}
	a.tell(w, map[string]any{
		"key":        map[string]any{"kid": id, "kty": kind, "key_ops": []string{"sign", "verify"}, "crv": curve, "x": number(key.Private.X), "y": number(key.Private.Y)},
		"attributes": map[string]any{"enabled": key.State == Enabled, "created": 1767225600, "updated": 1767225600, "recoveryLevel": "Recoverable+Purgeable"},
	})
}

func (a *Azure) sign(w http.ResponseWriter, r *http.Request, id string, key *Key) {
	var question struct{ Alg, Value string }
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &question) != nil {
		a.refuse(w, http.StatusBadRequest, "BadParameter", "", "Property has invalid value.")
		return
	}
	hash, err := base64.RawURLEncoding.DecodeString(question.Value)
	if err != nil || len(hash) != 32 || question.Alg != "ES256" {
		a.refuse(w, http.StatusBadRequest, "BadParameter", "", "Property 'value' or 'alg' has invalid value.")
		return
	}
	der, err := key.sign(hash)
	var s struct{ R, S *big.Int }
	if err == nil {
		_, err = asn1.Unmarshal(der, &s)
	}
	if err != nil {
		a.refuse(w, http.StatusInternalServerError, "InternalServerError", "", err.Error())
		return
	}
	raw := append(s.R.FillBytes(make([]byte, 32)), s.S.FillBytes(make([]byte, 32))...)
	a.tell(w, map[string]any{"kid": id, "value": base64.RawURLEncoding.EncodeToString(raw)})
}
