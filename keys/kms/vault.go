package kms

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// VaultLogin is where Vault is, and who asks it.
type VaultLogin struct {
	Address   string // URL (VAULT_ADDR): https, or this machine
	Token     string // (VAULT_TOKEN)
	Namespace string // of Vault Enterprise (VAULT_NAMESPACE); empty for none
	Mount     string // path of the transit engine (TRANSIT_SECRET_ENGINE_PATH); empty: transit
}

// Vault is a key of the transit engine of Vault, or of OpenBao, by its name: the version that
// is the newest one when it is opened.
func Vault(login VaultLogin, name string) Key {
	return Key{"Vault key " + name, func(context.Context, use) (service, error) { return connectVault(login, name) }}
}

// vaultKey is a version of a key of the transit engine, by version 1 of its HTTP API.
type vaultKey struct {
	*caller
	base    string // URL of the engine, with a / at the end
	name    string
	version uint64
	header  http.Header
}

// mountPath is what an engine may be mounted at.
var mountPath = regexp.MustCompile(`^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$`)

// secureURL parses the URL of a service to which a secret is sent: https, or this machine.
// What is wrong with it is said without repeating it: it may hold a password.
func secureURL(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, "is no URL"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, "has a user, a query or a fragment"
	case u.Scheme != "https" && (u.Scheme != "http" || schemeOf(u.Host) != "http"):
		return nil, "must be an https URL: http is taken for this machine alone"
	}
	return u, ""
}

func connectVault(login VaultLogin, name string) (*vaultKey, error) {
	if login.Address == "" {
		return nil, &refusal{problem: "VAULT_ADDR is not set, or empty", advice: "set VAULT_ADDR to the URL of Vault, such as https://vault.example.com:8200"}
	}
	u, problem := secureURL(login.Address)
	if problem != "" {
		return nil, &refusal{problem: "VAULT_ADDR " + problem, advice: "set VAULT_ADDR to the URL of Vault, such as https://vault.example.com:8200"}
	}
	if login.Token == "" {
		return nil, &refusal{problem: "there is no token: VAULT_TOKEN is not set, or empty, and ~/.vault-token is not there", advice: "log in to Vault before (vault login), and set VAULT_TOKEN in a job: programs that find tokens (token_helper) are not run"}
	}
	mount := strings.Trim(login.Mount, "/")
	if mount == "" {
		mount = "transit"
	}
	if !mountPath.MatchString(mount) {
		return nil, &refusal{problem: fmt.Sprintf("TRANSIT_SECRET_ENGINE_PATH is no path of an engine: %.100q", mount), advice: "set TRANSIT_SECRET_ENGINE_PATH to where the transit engine is mounted (vault secrets list)"}
	}
	base := u.JoinPath("v1", mount).String() + "/"
	k := &vaultKey{caller: newCaller("Vault", base), base: base, name: name, header: http.Header{"X-Vault-Token": {login.Token}, "X-Vault-Request": {"true"}}}
	if login.Namespace != "" {
		k.header["X-Vault-Namespace"] = []string{login.Namespace}
	}
	k.used.add(login.Token)
	return k, nil
}

// keyType is the one that Vault has for keys on P-256.
const keyType = "ecdsa-p256"

func (k *vaultKey) publicKey(ctx context.Context) ([]byte, error) {
	var answer struct {
		Data struct {
			Name          string
			Type          string
			LatestVersion uint64                     `json:"latest_version"`
			Keys          map[string]json.RawMessage // by version; of a key for encryption, numbers
		}
	}
	if err := k.ask(ctx, request{url: k.base + "keys/" + k.name, header: k.header, answer: &answer, refused: k.refused}); err != nil {
		return nil, err
	}
	d := answer.Data
	if d.Type != keyType {
		return nil, &refusal{problem: fmt.Sprintf("it is a key of type %.40q, want %q", d.Type, keyType), advice: "name a key that was made with vault write -f " + k.mounted("keys", k.name) + " type=" + keyType}
	}
	var newest struct {
		PublicKey string `json:"public_key"`
	}
	der, ok := []byte(nil), false
	if json.Unmarshal(d.Keys[strconv.FormatUint(d.LatestVersion, 10)], &newest) == nil {
		der, ok = fromPEM(newest.PublicKey)
	}
	if !ok || d.Name != k.name {
		return nil, &refusal{problem: "its answer holds no public key of the key's newest version", advice: "find out what answers in the place of Vault"}
	}
	k.version = d.LatestVersion
	return der, nil
}

// mounted is the path of something in the engine, for people.
func (k *vaultKey) mounted(parts ...string) string {
	_, mount, _ := strings.Cut(k.base, "/v1/")
	return mount + strings.Join(parts, "/")
}

func (k *vaultKey) sign(ctx context.Context, hash [32]byte) ([]byte, error) {
	question := struct {
		Input     []byte `json:"input"`
		Prehashed bool   `json:"prehashed"`
		Version   uint64 `json:"key_version"`
		Form      string `json:"marshaling_algorithm"`
	}{hash[:], true, k.version, "asn1"}
	var answer struct{ Data struct{ Signature string } }
	if err := k.ask(ctx, request{url: k.base + "sign/" + k.name + "/sha2-256", header: k.header, question: question, answer: &answer, refused: k.refused}); err != nil {
		return nil, err
	}
	text, found := strings.CutPrefix(answer.Data.Signature, fmt.Sprintf("vault:v%d:", k.version))
	der, err := base64.StdEncoding.DecodeString(text)
	if !found || err != nil {
		return nil, &refusal{problem: fmt.Sprintf("what came back is no signature of version %d of the key", k.version), advice: "find out what answers in the place of Vault"}
	}
	return der, nil
}

// refused says what an error of Vault's means. It tells who may not and what is not there by
// the status alone.
func (k *vaultKey) refused(status int, data []byte) error {
	var answer struct{ Errors []string }
	said := "nothing that its API knows"
	if bounds.CheckJSON(data) == nil && json.Unmarshal(data, &answer) == nil {
		said = strings.Join(answer.Errors, "; ")
	}
	r := &refusal{problem: strings.TrimSuffix(fmt.Sprintf("it answered %d: %s", status, brief(said)), ": ")}
	switch {
	case status == http.StatusForbidden:
		r.advice = fmt.Sprintf("log in to Vault again, with a policy that may read %s and update %s", k.mounted("keys", k.name), k.mounted("sign", k.name, "sha2-256"))
	case status == http.StatusNotFound:
		r.advice = "correct the key's name, or TRANSIT_SECRET_ENGINE_PATH where the engine is not mounted at transit, or VAULT_NAMESPACE"
	case status == http.StatusBadRequest:
		r.advice = "look at the key (vault read " + k.mounted("keys", k.name) + "): its newest version must be allowed to sign"
	case isFailing(status):
		wait(r)
	}
	return r
}
