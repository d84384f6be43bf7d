package keyservice

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Vault is a stand-in for Vault with a transit engine that has one version of each key. A
// policy lets its token read keys and sign with SHA-256.
type Vault struct {
	Token    string
	Mount    string            // of the engine, such as transit
	Keys     map[string]*Key   // by name
	Others   map[string]string // keys of other types by name, such as aes256-gcm96
	Throttle func() bool       // whether to refuse a request for now; nil: none is
	Lie      func(data map[string]any)
}

// vaultAnswer writes an answer, or the errors of one.
func vaultAnswer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // who asked may have gone
}

func vaultRefuse(w http.ResponseWriter, status int, errs ...string) {
	if errs == nil {
		errs = []string{}
	}
	vaultAnswer(w, status, map[string]any{"errors": errs})
}

const denied = "1 error occurred:\n\t* permission denied\n\n"

// ServeHTTP answers GET v1/MOUNT/keys/NAME and POST v1/MOUNT/sign/NAME/sha2-256.
func (v *Vault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if v.Throttle != nil && v.Throttle() {
		vaultRefuse(w, http.StatusTooManyRequests, "request path \""+r.URL.Path+"\": rate limit quota exceeded")
		return
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Vault-Token")), []byte(v.Token)) != 1 {
		vaultRefuse(w, http.StatusForbidden, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/"+v.Mount+"/")
	if !ok { // the token's policy names the engine's paths alone
		vaultRefuse(w, http.StatusForbidden, denied)
		return
	}
	name, wantsKey := strings.CutPrefix(path, "keys/")
	if !wantsKey {
		name, ok = strings.CutPrefix(path, "sign/")
		if name, _ = strings.CutSuffix(name, "/sha2-256"); !ok {
			vaultRefuse(w, http.StatusForbidden, denied)
			return
		}
	}
	if kind, ok := v.Others[name]; ok && wantsKey {
		v.other(w, name, kind)
		return
	}
	key, ok := v.Keys[name]
	if !ok && wantsKey {
		vaultRefuse(w, http.StatusNotFound)
		return
	}
	if !ok {
		vaultRefuse(w, http.StatusBadRequest, "signing key not found")
		return
	}
	key.Lock()
	defer key.Unlock()
	switch {
	case key.Denied:
		vaultRefuse(w, http.StatusForbidden, denied)
	case wantsKey && r.Method == http.MethodGet:
		v.publicKey(w, name, key)
	case !wantsKey && (r.Method == http.MethodPost || r.Method == http.MethodPut):
		v.sign(w, r, key)
	default:
		vaultRefuse(w, http.StatusMethodNotAllowed)
	}
}

func (v *Vault) tell(w http.ResponseWriter, data map[string]any) {
	if v.Lie != nil {
		v.Lie(data)
	}
	vaultAnswer(w, http.StatusOK, map[string]any{"request_id": "1", "lease_id": "", "renewable": false, "lease_duration": 0, "data": data, "mount_type": "transit"})
}

// other is a key that signs nothing, of which versions are shown by their times.
func (v *Vault) other(w http.ResponseWriter, name, kind string) {
	v.tell(w, map[string]any{"name": name, "type": kind, "latest_version": 1, "keys": map[string]any{"1": 1767225600}, "supports_signing": false})
}

func (v *Vault) publicKey(w http.ResponseWriter, name string, key *Key) {
	der, err := key.publicKey()
	if err != nil {
		vaultRefuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	kind, curve := "ecdsa-p256", "P-256"
	if key.bits() != 256 {
		kind, curve = fmt.Sprintf("ecdsa-p%d", key.bits()), fmt.Sprintf("P-%d", key.bits())
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	v.tell(w, map[string]any{
		"name": name, "type": kind, "latest_version": 1, "min_available_version": 0, "min_encryption_version": 0, "supports_signing": true, "exportable": false,
		"keys": map[string]any{"1": map[string]any{"creation_time": "2026-01-01T00:00:00Z", "name": curve, "public_key": text, "certificate_chain": ""}},
	})
}

func (v *Vault) sign(w http.ResponseWriter, r *http.Request, key *Key) {
	var question struct {
		Input     string
		Prehashed bool
		Version   any    `json:"key_version"` // a number, also as text; 0 for the newest
		Form      string `json:"marshaling_algorithm"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || json.Unmarshal(body, &question) != nil {
		vaultRefuse(w, http.StatusBadRequest, "failed to parse JSON input: unexpected EOF")
		return
	}
	input, err := base64.StdEncoding.DecodeString(question.Input)
	switch {
	case err != nil:
		vaultRefuse(w, http.StatusBadRequest, "unable to decode input as base64: "+err.Error())
		return
	case !slices.Contains([]string{"0", "1", "<nil>"}, fmt.Sprint(question.Version)):
		vaultRefuse(w, http.StatusBadRequest, "cannot sign with key version: version does not exist")
		return
	case key.State != Enabled:
		vaultRefuse(w, http.StatusBadRequest, "cannot sign with key version: version is too old (disallowed by policy)")
		return
	case question.Form != "" && question.Form != "asn1" || !question.Prehashed || len(input) != 32:
		vaultRefuse(w, http.StatusBadRequest, "the stand-in signs a SHA-256 into ASN.1 alone")
		return
	}
	der, err := key.sign(input)
	if err != nil {
		vaultRefuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	v.tell(w, map[string]any{"signature": "vault:v1:" + base64.StdEncoding.EncodeToString(der), "key_version": 1})
}
