package keyservice

import (
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Google is a stand-in for Google Cloud KMS and for the Security Token Service, which
// exchanges the identity of a workload for an access token.
type Google struct {
	Identity string          // token of the workload, for which an access token is given
	Audience string          // that names the workload identity provider
	Keys     map[string]*Key // by the name of the version
	Throttle func() bool     // whether to refuse a request for now; nil: none is
	Lie      func(answer map[string]any)

	mu     sync.Mutex
	tokens map[string]bool
}

// Exchange is the Security Token Service: it gives an access token for the identity of the
// workload (RFC 8693).
func (g *Google) Exchange(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil || r.Form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || r.Form.Get("audience") != g.Audience {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Invalid value for \"audience\"."})
		return
	}
	if r.Form.Get("subject_token") != g.Identity {
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "The given credential is rejected by the attribute condition."})
		return
	}
	token := "ya29.d." + rand.Text()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tokens == nil {
		g.tokens = map[string]bool{}
	}
	g.tokens[token] = true
	answer(w, http.StatusOK, map[string]any{"access_token": token, "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "token_type": "Bearer", "expires_in": 3600})
}

// Tokens are those that were given.
func (g *Google) Tokens() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for token := range g.tokens {
		all = append(all, token)
	}
	return all
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // who asked may have gone
}

func refuse(w http.ResponseWriter, status int, name, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": status, "message": message, "status": name}})
}

// ServeHTTP answers v1/NAME/publicKey and v1/NAME:asymmetricSign of version 1 of the REST
// API.
func (g *Google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.Throttle != nil && g.Throttle() {
		refuse(w, http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Cryptographic requests' and limit 'Cryptographic requests per minute'.")
		return
	}
	token, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	known := g.tokens[token]
	g.mu.Unlock()
	if !isBearer || !known {
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	if name, ok := strings.CutSuffix(path, "/cryptoKeyVersions"); ok && r.Method == http.MethodGet {
		g.list(w, name, r.URL.Query().Get("filter"))
		return
	}
	name, wantsKey := strings.CutSuffix(path, "/publicKey")
	name, wantsSignature := strings.CutSuffix(name, ":asymmetricSign")
	key, ok := g.Keys[name]
	switch {
	case wantsKey == wantsSignature || wantsKey && r.Method != http.MethodGet || wantsSignature && r.Method != http.MethodPost:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "Not found.")
		return
	case !ok:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "CryptoKeyVersion "+name+" not found.")
		return
	}
	key.Lock()
	defer key.Unlock()
	action := "viewPublicKey"
	if wantsSignature {
		action = "useToSign"
	}
	if key.Denied {
		refuse(w, http.StatusForbidden, "PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions."+action+"' denied on resource '"+name+"' (or it may not exist).")
		return
	}
	if key.State != Enabled {
		state := map[State]string{Disabled: "DISABLED", Deleting: "DESTROY_SCHEDULED"}[key.State]
		refuse(w, http.StatusBadRequest, "FAILED_PRECONDITION", name+" is not enabled, current state is: "+state+".")
		return
	}
	if wantsKey {
		g.publicKey(w, name, key)
		return
	}
	g.sign(w, r, name, key)
}

// list answers with the versions of a key, the enabled ones if that is asked for. The real one
// sorts by time or name; nobody should rely on it.
func (g *Google) list(w http.ResponseWriter, name, filter string) {
	found := []map[string]any{}
	exists := false
	for version, key := range g.Keys {
		if !strings.HasPrefix(version, name+"/cryptoKeyVersions/") {
			continue
		}
		exists = true
		key.Lock()
		if filter == "" || filter == "state=ENABLED" && key.State == Enabled {
			found = append(found, map[string]any{"name": version, "state": string(key.State), "protectionLevel": "SOFTWARE"})
		}
		key.Unlock()
	}
	if !exists {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "CryptoKey "+name+" not found.")
		return
	}
	g.tell(w, map[string]any{"cryptoKeyVersions": found, "totalSize": len(found)})
}

func checksum(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}

func (g *Google) publicKey(w http.ResponseWriter, name string, key *Key) {
	der, err := key.publicKey()
	if err != nil {
		refuse(w, http.StatusInternalServerError, "INTERNAL", err.Error())
		return
	}
	algorithm := fmt.Sprintf("EC_SIGN_P%d_SHA%[1]d", key.bits())
	if key.isSecp256k1() {
		algorithm = "EC_SIGN_SECP256K1_SHA256"
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	g.tell(w, map[string]any{"pem": text, "algorithm": algorithm, "pemCrc32c": checksum([]byte(text)), "name": name, "protectionLevel": "HSM"})
}

func (g *Google) sign(w http.ResponseWriter, r *http.Request, name string, key *Key) {
	var question struct {
		Digest       struct{ Sha256 []byte }
		DigestCrc32c string
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &question) != nil || len(question.Digest.Sha256) != 32 {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", fmt.Sprintf("The digest's length %d is not that of SHA256.", len(question.Digest.Sha256)))
		return
	}
	if question.DigestCrc32c != "" && question.DigestCrc32c != checksum(question.Digest.Sha256) {
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "The checksum in field digest_crc32c did not match the data in field digest.")
		return
	}
	der, err := key.sign(question.Digest.Sha256)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "INTERNAL", err.Error())
		return
	}
	g.tell(w, map[string]any{"signature": der, "signatureCrc32c": checksum(der), "verifiedDigestCrc32c": question.DigestCrc32c != "", "name": name, "protectionLevel": "HSM"})
}

// tell answers, unless it is to lie.
func (g *Google) tell(w http.ResponseWriter, document map[string]any) {
	if g.Lie != nil {
		g.Lie(document)
	}
	answer(w, http.StatusOK, document)
}
