package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/mrelease/mrelease/bounds"
)

// AzureLogin is who asks Azure Key Vault: an application of Microsoft Entra, by one of its
// secret and the token of a workload.
type AzureLogin struct {
	Tenant    string // (AZURE_TENANT_ID)
	Client    string // (AZURE_CLIENT_ID)
	Secret    string // (AZURE_CLIENT_SECRET)
	Authority string // URL of who gives tokens (AZURE_AUTHORITY_HOST); empty: that of the vault's cloud
	// Assertion reads the token of the workload (AZURE_FEDERATED_TOKEN_FILE), which is not
	// asked for when there is a secret; nil: there is none.
	Assertion func() (string, error)
	// Others are variables that are set and belong to ways of logging in that are not taken.
	Others []string
}

// Azure is a key in a vault of Azure, NAME or NAME/VERSION: without the version it is the
// newest one when it is opened. host is the vault's: below a domain of Azure's own, or this
// machine, with the port where it has one.
func Azure(login AzureLogin, host, name string) Key {
	return Key{"Azure key " + host + "/" + name, func(ctx context.Context, _ use) (service, error) { return connectAzure(ctx, login, host, name) }}
}

// azureCloud is a cloud of Azure's: the domains of its vaults, and who gives tokens for them.
type azureCloud struct{ vaults, hsms, authority string }

func azureClouds() []azureCloud {
	return []azureCloud{
		{"vault.azure.net", "managedhsm.azure.net", "https://login.microsoftonline.com"},
		{"vault.azure.cn", "managedhsm.azure.cn", "https://login.chinacloudapi.cn"},
		{"vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net", "https://login.microsoftonline.us"},
	}
}

// cloudOf returns who gives tokens for a vault, and what they are to be for. A vault on this
// machine is taken for one of the public cloud.
func cloudOf(host string) (authority, resource string, ok bool) {
	name := strings.ToLower(host)
	for _, c := range azureClouds() {
		for _, domain := range []string{c.vaults, c.hsms} {
			if strings.HasSuffix(name, "."+domain) {
				return c.authority, "https://" + domain, true
			}
		}
	}
	first := azureClouds()[0]
	return first.authority, "https://" + first.vaults, schemeOf(host) == "http"
}

// azureKey is a version of a key, by version 7.4 of the REST API.
type azureKey struct {
	*caller
	vault  string // URL, with a / at the end
	path   string // keys/NAME, or keys/NAME/VERSION
	tokens oauth2.TokenSource
}

const azureEnable = "enable the key (az keyvault key set-attributes --enabled true), or name another one"

const azureVersion = "?api-version=7.4"

// tenantName is an id or a domain.
var tenantName = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`)

func connectAzure(ctx context.Context, login AzureLogin, host, name string) (*azureKey, error) {
	authority, resource, ok := cloudOf(host)
	if !ok {
		return nil, &refusal{problem: fmt.Sprintf("%.100q is no host of Azure's key vaults", host), advice: "name the vault by its own host, such as NAME.vault.azure.net"}
	}
	if login.Authority != "" {
		authority = login.Authority
	}
	u, problem := secureURL(authority)
	if problem != "" {
		return nil, &refusal{problem: "AZURE_AUTHORITY_HOST " + problem, advice: "correct AZURE_AUTHORITY_HOST, or leave it out"}
	}
	if err := login.check(); err != nil {
		return nil, err
	}
	at := schemeOf(host) + "://" + host + "/"
	k := &azureKey{caller: newCaller("Azure Key Vault", at), vault: at, path: "keys/" + name}
	source := &azureTokens{
		// Tokens are asked for later, too, when the context of the opening has ended.
		ctx:   context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, patientClient(u.Host)),
		login: login, url: u.JoinPath(login.Tenant, "oauth2/v2.0/token").String(), scope: resource + "/.default", used: &k.used,
	}
	k.tokens = oauth2.ReuseTokenSource(nil, source)
	return k, nil
}

// check says what is missing to log in.
func (l AzureLogin) check() error {
	var missing []string
	for _, v := range []struct{ name, value string }{{"AZURE_TENANT_ID", l.Tenant}, {"AZURE_CLIENT_ID", l.Client}} {
		if v.value == "" {
			missing = append(missing, v.name)
		}
	}
	if l.Secret == "" && l.Assertion == nil {
		missing = append(missing, "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE")
	}
	if len(missing) == 0 && tenantName.MatchString(l.Tenant) {
		return nil
	}
	if len(missing) == 0 {
		return &refusal{problem: "AZURE_TENANT_ID is no id of a tenant, and no domain", advice: "set AZURE_TENANT_ID to the id of the tenant of the application (az account show)"}
	}
	r := &refusal{problem: "there are no credentials: not set, or empty: " + strings.Join(missing, ", "), advice: "set AZURE_TENANT_ID, AZURE_CLIENT_ID, and AZURE_CLIENT_SECRET, or AZURE_FEDERATED_TOKEN_FILE for the identity of a workload, of an application that has the role Key Vault Crypto User on the key; other ways of logging in to Azure (az login, a managed identity, a certificate, a user's password) are not supported"}
	if len(l.Others) > 0 {
		r.problem += "; " + strings.Join(l.Others, ", ") + " is of another way, which is not supported"
	}
	return r
}

// azureTokens asks for access tokens, with the workload's token as it is then: it lasts for
// minutes, and whoever keeps the file writes it anew.
type azureTokens struct {
	ctx        context.Context
	login      AzureLogin
	url, scope string
	used       *used
}

// Token implements [oauth2.TokenSource].
func (a *azureTokens) Token() (*oauth2.Token, error) {
	c := clientcredentials.Config{ClientID: a.login.Client, ClientSecret: a.login.Secret, TokenURL: a.url, Scopes: []string{a.scope}, AuthStyle: oauth2.AuthStyleInParams}
	a.used.add(a.login.Secret)
	if a.login.Secret == "" {
		assertion, err := a.login.Assertion()
		if err != nil {
			return nil, err
		}
		a.used.add(assertion)
		c.EndpointParams = url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}
	}
	token, err := c.Token(a.ctx)
	if err == nil {
		a.used.add(token.AccessToken)
	}
	return token, err
}

func (k *azureKey) publicKey(ctx context.Context) ([]byte, error) {
	var answer struct {
		Key        struct{ Kid, Kty, Crv, X, Y string }
		Attributes struct{ Enabled *bool }
	}
	if err := k.ask(ctx, "", nil, &answer); err != nil {
		return nil, err
	}
	key := answer.Key
	if key.Kty != "EC" && key.Kty != "EC-HSM" || key.Crv != "P-256" {
		return nil, &refusal{problem: strings.TrimSpace(fmt.Sprintf("it is a key of type %.40q %.40s", key.Kty, key.Crv)) + `, want "EC" P-256`, advice: "name a key that was made with az keyvault key create --kty EC --curve P-256"}
	}
	if !k.is(key.Kid) {
		return nil, k.another()
	}
	if enabled := answer.Attributes.Enabled; enabled != nil && !*enabled {
		return nil, &refusal{problem: "it is disabled", advice: azureEnable}
	}
	k.path = strings.TrimPrefix(pathOf(key.Kid), "/")
	point := []byte{4} // uncompressed (SEC 1)
	for _, text := range []string{key.X, key.Y} {
		data, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(data) != 32 {
			return nil, k.another()
		}
		point = append(point, data...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, k.another()
	}
	return x509.MarshalPKIXPublicKey(public)
}

// versionOf matches the path of a version of a key.
var versionOf = regexp.MustCompile(`^/keys/[A-Za-z0-9-]{1,127}/[A-Za-z0-9]{1,64}$`)

// is reports whether an id is that of the key, or of a version of it where none is named.
func (k *azureKey) is(id string) bool {
	path := pathOf(id)
	return versionOf.MatchString(path) && (strings.EqualFold(path, "/"+k.path) || strings.HasPrefix(strings.ToLower(path), "/"+strings.ToLower(k.path)+"/"))
}

func pathOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Path
}

// another is for an answer that is about something else.
func (k *azureKey) another() error {
	return &refusal{problem: "what came back is not of this key", advice: "find out what answers in the place of " + k.who}
}

func (k *azureKey) sign(ctx context.Context, hash [32]byte) ([]byte, error) {
	question := map[string]string{"alg": "ES256", "value": base64.RawURLEncoding.EncodeToString(hash[:])}
	var answer struct{ Kid, Value string }
	if err := k.ask(ctx, "/sign", question, &answer); err != nil {
		return nil, err
	}
	raw, err := base64.RawURLEncoding.DecodeString(answer.Value)
	if err != nil || len(raw) != 64 || !k.is(answer.Kid) {
		return nil, k.another()
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
}

// ask makes a request about the key.
func (k *azureKey) ask(ctx context.Context, what string, question, answer any) error {
	token, err := k.tokens.Token()
	if err != nil {
		return &refusal{problem: "no access token is given: " + tokenProblem(err), advice: "look at AZURE_TENANT_ID, AZURE_CLIENT_ID, and the secret or the token of the workload, which may have run out, or be of somebody whom the application does not trust"}
	}
	return k.caller.ask(ctx, request{
		url: k.vault + k.path + what + azureVersion, header: http.Header{"Authorization": {"Bearer " + token.AccessToken}}, question: question, answer: answer, refused: k.refused,
	})
}

// refused says what an error of Azure Key Vault's means.
func (k *azureKey) refused(status int, data []byte) error {
	var answer struct {
		Error struct {
			Code, Message string
			InnerError    struct{ Code string }
		}
	}
	if bounds.CheckJSON(data) != nil || json.Unmarshal(data, &answer) != nil {
		answer.Error.Message = "nothing that its API knows"
	}
	code := answer.Error.Code
	if inner := answer.Error.InnerError.Code; inner != "" {
		code += " (" + inner + ")"
	}
	r := &refusal{problem: strings.TrimSuffix(fmt.Sprintf("it answered %d %s: %s", status, brief(code), brief(answer.Error.Message)), ": ")}
	switch {
	case strings.Contains(code, "KeyDisabled"), strings.Contains(answer.Error.Message, "disabled"):
		r.advice = azureEnable
	case status == http.StatusUnauthorized:
		r.advice = "log in to Azure again: the token is not taken; AZURE_TENANT_ID must be the vault's tenant"
	case status == http.StatusForbidden:
		r.advice = "give the application the role Key Vault Crypto User on the key (or get and sign by an access policy), and let the vault's firewall take this machine"
	case status == http.StatusNotFound:
		r.advice = "correct the key's name: vault, key and version"
	case status == http.StatusBadRequest:
		r.advice = "name a key that may sign, was made with az keyvault key create --kty EC --curve P-256, and has not run out"
	case isFailing(status):
		wait(r)
	}
	return r
}
