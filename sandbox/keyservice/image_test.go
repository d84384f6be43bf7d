package keyservice_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/publish/registry/signing"
	"github.com/mrelease/mrelease/sandbox/keyservice"
)

const (
	vaultToken  = "hvs.sandbox-token"
	azureSecret = "sandbox-client-secret"
	azureTenant = "72f988bf-86f1-41af-91ab-2d7cd011db47"
	azureClient = "11111111-2222-3333-4444-555555555555"
)

func p256(t *testing.T) *keyservice.Key {
	t.Helper()
	k, err := keyservice.NewP256()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// store is a key service with a key for images.
type store struct {
	key, none kms.Key // of the second there is none
	held      *keyservice.Key
	throttle  func(func() bool)
}

func inVault(t *testing.T, key *keyservice.Key) (store, *keyservice.Vault, kms.VaultLogin) {
	t.Helper()
	v := &keyservice.Vault{Token: vaultToken, Mount: "transit", Keys: map[string]*keyservice.Key{"release": key}, Others: map[string]string{"secrets": "aes256-gcm96"}}
	s := httptest.NewServer(v)
	t.Cleanup(s.Close)
	login := kms.VaultLogin{Address: s.URL, Token: vaultToken}
	return store{kms.Vault(login, "release"), kms.Vault(login, "none"), key, func(f func() bool) { v.Throttle = f }}, v, login
}

func inAzure(t *testing.T, key *keyservice.Key) (store, *keyservice.Azure, kms.AzureLogin, string) {
	t.Helper()
	a := &keyservice.Azure{Tenant: azureTenant, Client: azureClient, Secret: azureSecret, Assertion: identity, Scope: "https://vault.azure.net/.default", Keys: map[string]*keyservice.Key{"release": key}}
	vault, entra := httptest.NewServer(a), httptest.NewServer(http.HandlerFunc(a.Exchange))
	t.Cleanup(vault.Close)
	t.Cleanup(entra.Close)
	login := kms.AzureLogin{Tenant: azureTenant, Client: azureClient, Secret: azureSecret, Authority: entra.URL}
	host := strings.TrimPrefix(vault.URL, "http://")
	return store{kms.Azure(login, host, "release"), kms.Azure(login, host, "none"), key, func(f func() bool) { a.Throttle = f }}, a, login, host
}

// each runs a test with each service, but for those that have nothing of the kind.
func each(t *testing.T, key func(*testing.T) *keyservice.Key, test func(*testing.T, store), without ...string) {
	for name, open := range map[string]func(*testing.T) store{
		"aws": func(t *testing.T) store {
			c, a, _ := aws(t, key(t))
			return store{c.key, c.other(), c.held, func(f func() bool) { a.Throttle = f }}
		},
		"google": func(t *testing.T) store {
			c, g := google(t, key(t))
			return store{c.key, c.other(), c.held, func(f func() bool) { g.Throttle = f }}
		},
		"vault": func(t *testing.T) store { s, _, _ := inVault(t, key(t)); return s },
		"azure": func(t *testing.T) store { s, _, _, _ := inAzure(t, key(t)); return s },
	} {
		if !slices.Contains(without, name) {
			t.Run(name, func(t *testing.T) { test(t, open(t)) })
		}
	}
}

// refusedImage makes sure that an error says what is wrong and what helps, and no secret.
func refusedImage(t *testing.T, err error, problem, remedy string) {
	t.Helper()
	var r *kms.Error
	if !errors.As(err, &r) || !strings.Contains(r.Problem, problem) || !strings.Contains(r.Remedy(), remedy) {
		t.Errorf("got %v, want a *kms.Error with %q and the remedy %q", err, problem, remedy)
	}
	if r != nil {
		told := fmt.Sprint(err, r.Evidence(), r.Remedy())
		quiet(t, told)
		for _, secret := range []string{vaultToken, azureSecret, "eyJ0eXAi."} {
			if strings.Contains(told, secret) {
				t.Errorf("the secret %s is in %q", secret, told)
			}
		}
	}
}

// What is signed is a signature by the key that the service gave once, another one each time.
func TestImages(t *testing.T) {
	each(t, p256, func(t *testing.T, s store) {
		opened, err := s.key.OpenImage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !opened.Public.Equal(s.held.Private.Public()) {
			t.Fatal("it is another key")
		}
		key, err := signing.NewKey(opened.Public, opened.Sign)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for range 8 {
			signature, digest, err := key.SignData(t.Context(), []byte("text"))
			if err != nil || !ecdsa.VerifyASN1(opened.Public, digest, signature) || sha256.Sum256([]byte("text")) != [32]byte(digest) {
				t.Fatalf("%x of %x, %v", signature, digest, err)
			}
			seen[string(signature)] = true
		}
		if len(seen) != 8 || s.held.SignedSoFar() != 8 {
			t.Errorf("%d signatures of 8, and the service made %d", len(seen), s.held.SignedSoFar())
		}
	})
}

func TestImageRefusals(t *testing.T) {
	each(t, p256, func(t *testing.T, s store) {
		_, err := s.none.OpenImage(t.Context())
		refusedImage(t, err, "", "correct the key's name")
		opened, err := s.key.OpenImage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte("text"))
		change := func(state keyservice.State, denied, bad bool, private *ecdsa.PrivateKey) {
			s.held.Lock()
			s.held.State, s.held.Denied, s.held.Bad, s.held.Private = state, denied, bad, private
			s.held.Unlock()
		}
		was := s.held.Private
		for name, c := range map[string]struct {
			set             func()
			problem, remedy string
		}{
			"disabled":      {func() { change(keyservice.Disabled, false, false, was) }, "", "key"},
			"denied":        {func() { change(keyservice.Enabled, true, false, was) }, "", ""},
			"a flipped bit": {func() { change(keyservice.Enabled, false, true, was) }, "what came back is no signature of this by the key", "find out"},
			"another's":     {func() { change(keyservice.Enabled, false, false, p256(t).Private) }, "what came back is no signature of this by the key", "find out"},
		} {
			c.set()
			before := s.held.SignedSoFar()
			_, err := opened.Sign(t.Context(), digest[:])
			refusedImage(t, err, c.problem, c.remedy)
			if made := s.held.SignedSoFar() - before; made > 1 {
				t.Errorf("%s: %d signatures were made", name, made)
			}
		}
		change(keyservice.Enabled, false, false, was)
		if _, err := opened.Sign(t.Context(), digest[:31]); err == nil {
			t.Error("signed 31 bytes")
		}
		if _, err := opened.Sign(t.Context(), digest[:]); err != nil {
			t.Error(err)
		}
	})
}

// A key that cosign would not verify without being told more, and one that is a wallet's, are
// named as what they are.
func TestImageOtherCurves(t *testing.T) {
	for name, tt := range map[string]struct {
		key     func(*testing.T) *keyservice.Key
		without string // of the services, has no such keys
	}{
		"256": {secp256k1, "vault"},
		"384": {key: func(t *testing.T) *keyservice.Key {
			private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			return keyservice.NewKey(private)
		}},
	} {
		each(t, tt.key, func(t *testing.T, s store) {
			_, err := s.key.OpenImage(t.Context())
			refusedImage(t, err, name, "name a key that was made with")
		}, tt.without)
	}
}

func TestImageThrottles(t *testing.T) {
	each(t, p256, func(t *testing.T, s store) {
		var left atomic.Int32
		left.Store(2)
		s.throttle(func() bool { return left.Add(-1) >= 0 })
		opened, err := s.key.OpenImage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left.Store(1000)
		digest := sha256.Sum256([]byte("text"))
		_, err = opened.Sign(t.Context(), digest[:])
		refusedImage(t, err, "(asked ", "what is done is found")
		if asked := 1000 - left.Load(); asked != 4 || s.held.SignedSoFar() != 0 {
			t.Errorf("asked %d times, signed %d", asked, s.held.SignedSoFar())
		}
	})
}

func TestGoogleNewestVersion(t *testing.T) {
	base, _, _ := strings.Cut(version, "/cryptoKeyVersions/")
	ninth, tenth, eleventh := p256(t), p256(t), p256(t)
	_, g := google(t, p256(t))
	g.Keys = map[string]*keyservice.Key{base + "/cryptoKeyVersions/9": ninth, base + "/cryptoKeyVersions/10": tenth, base + "/cryptoKeyVersions/11": eleventh}
	eleventh.State = keyservice.Disabled
	opened, err := kms.Google(base).OpenImage(t.Context())
	if err != nil || !opened.Public.Equal(tenth.Private.Public()) {
		t.Fatalf("want the tenth: %v", err)
	}
	digest := sha256.Sum256([]byte("text"))
	eleventh.Lock()
	eleventh.State = keyservice.Enabled // the one that was chosen signs on
	eleventh.Unlock()
	if _, err := opened.Sign(t.Context(), digest[:]); err != nil || tenth.SignedSoFar() != 1 {
		t.Error(err)
	}
	for _, k := range g.Keys {
		k.State = keyservice.Disabled
	}
	_, err = kms.Google(base).OpenImage(t.Context())
	refusedImage(t, err, "none of its versions is enabled", "name a version")
	_, err = kms.Google(base + "x").OpenImage(t.Context())
	refusedImage(t, err, "listing its versions: it answered 404 NOT_FOUND", "roles/cloudkms.viewer")
	for name, lie := range map[string]func(map[string]any){
		"another's version": func(a map[string]any) {
			a["cryptoKeyVersions"] = []any{map[string]any{"name": "projects/x/cryptoKeyVersions/1"}}
		},
		"no number": func(a map[string]any) {
			a["cryptoKeyVersions"] = []any{map[string]any{"name": base + "/cryptoKeyVersions/../1"}}
		},
		"too many": func(a map[string]any) { a["nextPageToken"] = "more" },
	} {
		g.Lie = lie
		if _, err := kms.Google(base).OpenImage(t.Context()); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestVaultLogin(t *testing.T) {
	_, v, login := inVault(t, p256(t))
	open := func(change func(*kms.VaultLogin), name string) error {
		l := login
		change(&l)
		_, err := kms.Vault(l, name).OpenImage(t.Context())
		return err
	}
	if err := open(func(l *kms.VaultLogin) { l.Mount = "/transit/" }, "release"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change          func(*kms.VaultLogin)
		name            string
		problem, remedy string
	}{
		{func(l *kms.VaultLogin) { l.Token += "!" }, "release", "403: 2 errors occurred: * permission denied * invalid token", "may read transit/keys/release and update transit/sign/release/sha2-256"},
		{func(l *kms.VaultLogin) { l.Mount = "team/transit" }, "release", "403", "may read team/transit/keys/release"},
		{func(l *kms.VaultLogin) { l.Mount = "../sys" }, "release", "TRANSIT_SECRET_ENGINE_PATH is no path", "vault secrets list"},
		{func(l *kms.VaultLogin) { l.Token = "" }, "release", "there is no token", "vault login"},
		{func(l *kms.VaultLogin) { l.Address = "" }, "release", "VAULT_ADDR is not set", "set VAULT_ADDR"},
		{func(l *kms.VaultLogin) { l.Address = "http://vault.example.com:8200" }, "release", "must be an https URL", "set VAULT_ADDR"},
		{func(l *kms.VaultLogin) { l.Address = "https://user:sandbox-client-secret@vault.example.com" }, "release", "has a user", "set VAULT_ADDR"},
		{func(l *kms.VaultLogin) { l.Address = "unix:///run/vault.sock" }, "release", "is no URL", "set VAULT_ADDR"},
		{func(l *kms.VaultLogin) { l.Address = "http://127.0.0.1:1" }, "release", "cannot be reached", "look at the network"},
		{func(*kms.VaultLogin) {}, "secrets", `it is a key of type "aes256-gcm96", want "ecdsa-p256"`, "vault write -f transit/keys/secrets type=ecdsa-p256"},
	} {
		refusedImage(t, open(c.change, c.name), c.problem, c.remedy)
	}
	for name, lie := range map[string]func(map[string]any){
		"another's":    func(d map[string]any) { d["name"] = "other" },
		"no version":   func(d map[string]any) { d["latest_version"] = 2 },
		"no key":       func(d map[string]any) { d["keys"] = map[string]any{"1": map[string]any{"public_key": "text"}} },
		"another form": func(d map[string]any) { d["keys"] = []int{1} },
	} {
		v.Lie = lie
		if err := open(func(*kms.VaultLogin) {}, "release"); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	v.Lie = nil
	opened, err := kms.Vault(login, "release").OpenImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	for _, signature := range []string{"", "vault:v1:", "vault:v1:!", "vault:v2:MEUCIQ==", "MEUCIQ=="} {
		v.Lie = func(d map[string]any) { d["signature"] = signature }
		_, err := opened.Sign(t.Context(), digest[:])
		refusedImage(t, err, "no signature", "find out")
	}
}

func TestAzureLogin(t *testing.T) {
	_, a, login, host := inAzure(t, p256(t))
	open := func(change func(*kms.AzureLogin), host, name string) error {
		l := login
		change(&l)
		_, err := kms.Azure(l, host, name).OpenImage(t.Context())
		return err
	}
	same := func(*kms.AzureLogin) {}
	workload := func(token string) func(*kms.AzureLogin) {
		return func(l *kms.AzureLogin) { l.Secret, l.Assertion = "", func() (string, error) { return token, nil } }
	}
	for _, err := range []error{open(workload(identity), host, "release"), open(same, host, "release/"+keyservice.AzureVersion)} {
		if err != nil {
			t.Error(err)
		}
	}
	a.Type = "EC-HSM"
	if err := open(same, host, "release"); err != nil {
		t.Error(err)
	}
	a.Type = ""
	for _, c := range []struct {
		change          func(*kms.AzureLogin)
		host, name      string
		problem, remedy string
	}{
		{workload("another"), host, "release", "AADSTS70021", "does not trust"},
		{func(l *kms.AzureLogin) { l.Secret += "!" }, host, "release", "AADSTS7000215", "AZURE_CLIENT_ID"},
		{func(l *kms.AzureLogin) { l.Client = "x" }, host, "release", "AADSTS700016", "AZURE_CLIENT_ID"},
		{func(l *kms.AzureLogin) { l.Tenant = "other.example.com" }, host, "release", "AADSTS90002", "AZURE_TENANT_ID"},
		{func(l *kms.AzureLogin) { l.Tenant = "../x" }, host, "release", "AZURE_TENANT_ID is no id", "az account show"},
		{func(l *kms.AzureLogin) { l.Secret = ""; l.Others = []string{"AZURE_CLIENT_CERTIFICATE_PATH"} }, host, "release", "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE; AZURE_CLIENT_CERTIFICATE_PATH is of another way, which is not supported", "a managed identity"},
		{func(l *kms.AzureLogin) { l.Client, l.Tenant = "", "" }, host, "release", "not set, or empty: AZURE_TENANT_ID, AZURE_CLIENT_ID", "set AZURE_TENANT_ID"},
		{func(l *kms.AzureLogin) { l.Authority = "http://login.example.com" }, host, "release", "AZURE_AUTHORITY_HOST must be an https URL", "leave it out"},
		{same, "vault.example.com", "release", "is no host of Azure's key vaults", "NAME.vault.azure.net"},
		{same, "release.vault.azure.net.example.com", "release", "is no host of Azure's key vaults", "NAME.vault.azure.net"},
		{same, host, "release/ffff", "KeyNotFound", "correct the key's name"},
	} {
		refusedImage(t, open(c.change, c.host, c.name), c.problem, c.remedy)
	}
	for name, lie := range map[string]func(map[string]any){
		"another's": func(d map[string]any) {
			d["key"].(map[string]any)["kid"] = "https://" + host + "/keys/other/" + keyservice.AzureVersion
		},
		"no id": func(d map[string]any) { d["key"].(map[string]any)["kid"] = "" },
		"a path": func(d map[string]any) {
			d["key"].(map[string]any)["kid"] = "https://" + host + "/keys/release/../other"
		},
		"no point": func(d map[string]any) { d["key"].(map[string]any)["x"] = d["key"].(map[string]any)["y"] },
		"short":    func(d map[string]any) { d["key"].(map[string]any)["x"] = "AAAA" },
		"not base": func(d map[string]any) { d["key"].(map[string]any)["x"] = "!" },
	} {
		a.Lie = lie
		if err := open(same, host, "release"); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	a.Lie, a.Type = nil, "RSA"
	refusedImage(t, open(same, host, "release"), `it is a key of type "RSA"`, "--kty EC --curve P-256")
	a.Type = ""
	opened, err := kms.Azure(login, host, "release").OpenImage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	for _, value := range []string{"", "AAAA", "!"} {
		a.Lie = func(d map[string]any) { d["value"] = value }
		_, err := opened.Sign(t.Context(), digest[:])
		refusedImage(t, err, "not of this key", "find out")
	}
}

// A service may be replaced by one that has no answers, or answers without an end, or sends
// who asks elsewhere, or repeats what it was told.
func TestAttackImageAnswers(t *testing.T) {
	_, _, login, _ := inAzure(t, p256(t))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "no JSON"},
		"nothing":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, "it is a key of type"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) }, "too large"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusTemporaryRedirect)
		}, ""},
		"an echo": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			words := fmt.Sprint(r.Header["X-Vault-Token"], r.Header["Authorization"])
			fmt.Fprintf(w, `{"errors":[%q],"error":{"code":"X","message":%[1]q}}`, words)
		}, "(hidden)"},
	} {
		s := httptest.NewServer(c.answer)
		host := strings.TrimPrefix(s.URL, "http://")
		for _, key := range []kms.Key{kms.Vault(kms.VaultLogin{Address: s.URL, Token: vaultToken}, "release"), kms.Azure(login, host, "release")} {
			t.Run(name+" "+key.String(), func(t *testing.T) {
				_, err := key.OpenImage(t.Context())
				refusedImage(t, err, c.want, "")
			})
		}
		s.Close()
	}
}
