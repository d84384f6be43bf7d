package keyservice_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/keys/kms"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/keyservice"
)

const (
	accessKey = "AKIASANDBOX000000000"
	secret    = "sandbox-secret-access-key"
	session   = "sandbox-session-token"
	identity  = "sandbox.workload.identity"
	audience  = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/acme"
	version   = "projects/acme/locations/europe-west9/keyRings/mrelease/cryptoKeys/release/cryptoKeyVersions/1"
)

// cloudkms is what stands in for cloudkms.googleapis.com: Go reads the variables that say
// so once in a program.
var cloudkms atomic.Pointer[http.Handler]

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	google, err := keyservice.NewElsewhere("cloudkms.googleapis.com", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*cloudkms.Load()).ServeHTTP(w, r) }))
	if err != nil {
		return 0, err
	}
	proxy := httptest.NewServer(google)
	defer proxy.Close()
	dir, err := os.MkdirTemp("", "keyservice")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	authority := filepath.Join(dir, "authority.pem")
	for name, value := range map[string]string{"HTTPS_PROXY": proxy.URL, "NO_PROXY": "", "SSL_CERT_FILE": authority, "SSL_CERT_DIR": dir, "HOME": dir} {
		err = errors.Join(err, os.Setenv(name, value))
	}
	if err := errors.Join(err, os.WriteFile(authority, []byte(google.Authority), 0o600)); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// cloud is a key service with a key, as both clouds have one.
type cloud struct {
	key   kms.Key
	held  *keyservice.Key
	other func() kms.Key // one that is not there
}

func secp256k1(t *testing.T) *keyservice.Key {
	t.Helper()
	private, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return keyservice.NewKey(private)
}

func address(k *keyservice.Key) common.Address { return crypto.PubkeyToAddress(k.Private.PublicKey) }

// aws starts AWS's, and logs in.
func aws(t *testing.T, key *keyservice.Key) (cloud, *keyservice.AWS, string) {
	t.Helper()
	a := &keyservice.AWS{Region: "eu-west-3", AccessKey: accessKey, Secret: secret, Session: session, Keys: map[string]*keyservice.Key{"release": key}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	for name, value := range map[string]string{"AWS_REGION": "eu-west-3", "AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": session, "AWS_EC2_METADATA_DISABLED": "true"} {
		t.Setenv(name, value)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	return cloud{kms.AWS(host, "alias/release"), key, func() kms.Key { return kms.AWS(host, "alias/none") }}, a, host
}

// google starts Google's, and logs in as a workload.
func google(t *testing.T, key *keyservice.Key) (cloud, *keyservice.Google) {
	t.Helper()
	g := &keyservice.Google{Identity: identity, Audience: audience, Keys: map[string]*keyservice.Key{version: key}}
	var h http.Handler = g
	cloudkms.Store(&h)
	exchange := httptest.NewServer(http.HandlerFunc(g.Exchange))
	t.Cleanup(exchange.Close)
	login(t, exchange.URL, identity)
	return cloud{kms.Google(version), key, func() kms.Key { return kms.Google(strings.Replace(version, "/release/", "/none/", 1)) }}, g
}

// login writes what google-github-actions/auth writes.
func login(t *testing.T, exchange, token string) {
	t.Helper()
	dir := t.TempDir()
	document, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": audience, "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": exchange + "/v1/token", "credential_source": map[string]string{"file": filepath.Join(dir, "token")},
	})
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600), os.WriteFile(filepath.Join(dir, "login.json"), document, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(dir, "login.json"))
}

// both runs a test with each cloud.
func both(t *testing.T, key func(*testing.T) *keyservice.Key, test func(*testing.T, cloud)) {
	t.Run("aws", func(t *testing.T) { c, _, _ := aws(t, key(t)); test(t, c) })
	t.Run("google", func(t *testing.T) { c, _ := google(t, key(t)); test(t, c) })
}

// refused makes sure that an error says what is wrong and what helps, and no secret.
func refused(t *testing.T, err error, problem, remedy string) {
	t.Helper()
	var r *node.SignerError
	if !errors.As(err, &r) || !strings.Contains(r.Problem, problem) || !strings.Contains(r.Remedy(), remedy) {
		t.Errorf("got %v, want a *node.SignerError with %q and the remedy %q", err, problem, remedy)
	}
	if r != nil {
		quiet(t, fmt.Sprint(err, r.Evidence(), r.Remedy()))
	}
}

func quiet(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{secret, session, identity, "ya29.", "AWS4-HMAC"} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret %s is in %q", secret, text)
		}
	}
}

// All that a wallet signs, with signatures that are others each time and whose higher half
// is folded: each is the key's, in the form that contracts take.
func TestSigns(t *testing.T) {
	both(t, secp256k1, func(t *testing.T, c cloud) {
		w, err := c.key.Open(t.Context(), common.Address{})
		if err != nil || w.Address != address(c.held) {
			t.Fatalf("%s, %v, want %s", w.Address, err, address(c.held))
		}
		seen := map[string]bool{}
		for i := range 16 {
			s, err := w.SignTypedData(t.Context(), poco.Challenge(5, fmt.Sprint("text ", i))) // which checks the key, and s
			if err != nil {
				t.Fatal(err)
			}
			seen[string(s[:64])] = true
		}
		if len(seen) != 16 {
			t.Errorf("%d signatures of 16 texts", len(seen))
		}
		if _, err := w.SignText(t.Context(), []byte("mrelease record")); err != nil {
			t.Error(err)
		}
		to := common.Address{19: 9}
		tx, err := w.SignTransaction(t.Context(), &types.DynamicFeeTx{ChainID: big.NewInt(5), GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(2), Gas: 21_000, To: &to, Value: big.NewInt(3)}, 5, "pay()")
		if err != nil {
			t.Fatal(err)
		}
		if from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(5)), tx); err != nil || from != w.Address {
			t.Errorf("from %s, %v", from, err)
		}
		again, err := c.key.Open(t.Context(), address(c.held))
		if err != nil {
			t.Fatal(err)
		}
		one, _ := w.SignText(t.Context(), []byte("mrelease record"))
		if other, err := again.SignText(t.Context(), []byte("mrelease record")); err != nil || string(one) == string(other) {
			t.Errorf("%x twice, %v: the stand-in is to be as the real ones, whose signatures differ", one, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	both(t, secp256k1, func(t *testing.T, c cloud) {
		_, err := c.key.Open(t.Context(), common.Address{1})
		refused(t, err, "the key's address is "+address(c.held).Hex()+", but wallet.address is 0x01", "correct wallet.address or wallet.kms")
		_, err = c.other().Open(t.Context(), common.Address{})
		refused(t, err, "not found", "correct the key's name")
		w, err := c.key.Open(t.Context(), common.Address{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []struct {
			state           keyservice.State
			denied          bool
			problem, remedy string
		}{
			{keyservice.Disabled, false, "abled", "enable"},
			{keyservice.Deleting, false, "arn", "state"},
			{keyservice.Enabled, true, "ermi", "role"},
		} {
			if s.state == keyservice.Deleting && strings.HasPrefix(c.key.String(), "Google") {
				s.problem = "DESTROY_SCHEDULED"
			}
			if s.denied && strings.HasPrefix(c.key.String(), "AWS") {
				s.problem = "is not authorized to perform: kms:"
			}
			c.held.Lock()
			c.held.State, c.held.Denied = s.state, s.denied
			c.held.Unlock()
			_, err := c.key.Open(t.Context(), common.Address{})
			refused(t, err, s.problem, s.remedy)
			_, err = w.SignText(t.Context(), []byte(s.problem))
			refused(t, err, s.problem, s.remedy)
		}
	})
}

// A key on another curve is known by what the service says of it.
func TestOtherCurve(t *testing.T) {
	both(t, func(t *testing.T) *keyservice.Key {
		k, err := keyservice.NewP256()
		if err != nil {
			t.Fatal(err)
		}
		return k
	}, func(t *testing.T, c cloud) {
		_, err := c.key.Open(t.Context(), common.Address{})
		refused(t, err, "P256", "name a key that was made with")
	})
}

func TestAWSLogin(t *testing.T) {
	c, a, host := aws(t, secp256k1(t))
	open := func(k kms.Key) error { _, err := k.Open(t.Context(), common.Address{}); return err }
	for _, id := range []string{"alias/release", a.ARN("release"), a.AliasARN("release"), a.ARN("release")[strings.LastIndex(a.ARN("release"), "/")+1:]} {
		if err := open(kms.AWS(host, id)); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("AWS_REGION", "us-east-1") // which an ARN overrides
	if err := open(kms.AWS(host, a.ARN("release"))); err != nil {
		t.Error(err)
	}
	refused(t, open(c.key), "scoped to a valid region", "log in to AWS again")
	t.Setenv("AWS_REGION", "")
	refused(t, open(c.key), "no region is named", "set AWS_REGION")
	t.Setenv("AWS_REGION", "eu-west-3")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret+"!")
	refused(t, open(c.key), "does not match", "log in to AWS again")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", session+"!")
	refused(t, open(c.key), "The security token included in the request is invalid", "log in to AWS again")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	refused(t, open(c.key), "there are no credentials", "aws-actions/configure-aws-credentials")
	t.Setenv("AWS_PROFILE", "nobody")
	refused(t, open(c.key), "the configuration of AWS cannot be read", "~/.aws/config")
}

// A job of GitHub's gets its credentials for its identity's token, by AWS's STS.
func TestAWSWebIdentity(t *testing.T) {
	c, _, _ := aws(t, secp256k1(t))
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRoleWithWebIdentity" || r.Form.Get("WebIdentityToken") != identity {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error><RequestId>1</RequestId></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			accessKey, secret, session, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(sts.Close)
	token := filepath.Join(t.TempDir(), "token")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_ENDPOINT_URL_STS": sts.URL, "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/release", "AWS_WEB_IDENTITY_TOKEN_FILE": token,
	} {
		t.Setenv(name, value)
	}
	for text, problem := range map[string]string{identity: "", "another": "Not authorized to perform sts:AssumeRoleWithWebIdentity"} {
		if err := os.WriteFile(token, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := c.key.Open(t.Context(), common.Address{})
		if problem == "" && err != nil {
			t.Error(err)
		}
		if problem != "" {
			refused(t, err, problem, "log in to AWS before")
		}
	}
}

// What AWS throttles is asked again, and not for ever.
func TestAWSThrottles(t *testing.T) {
	c, a, _ := aws(t, secp256k1(t))
	var left atomic.Int32
	left.Store(2)
	a.Throttle = func() bool { return left.Add(-1) >= 0 }
	w, err := c.key.Open(t.Context(), common.Address{})
	if err != nil {
		t.Fatal(err)
	}
	left.Store(1000)
	_, err = w.SignText(t.Context(), []byte("text"))
	refused(t, err, "ThrottlingException: Rate exceeded (asked 4 times)", "what is done is found")
	if asked := 1000 - left.Load(); asked != 4 {
		t.Errorf("asked %d times", asked)
	}
}

func TestGoogleLogin(t *testing.T) {
	c, g := google(t, secp256k1(t))
	open := func() error { _, err := c.key.Open(t.Context(), common.Address{}); return err }
	if err := open(); err != nil {
		t.Fatal(err)
	}
	exchange := httptest.NewServer(http.HandlerFunc(g.Exchange))
	t.Cleanup(exchange.Close)
	login(t, exchange.URL, "another identity")
	refused(t, open(), "rejected by the attribute condition", "log in to Google Cloud again")
	repeating := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no such token: "+r.FormValue("subject_token"), http.StatusBadRequest)
	}))
	t.Cleanup(repeating.Close)
	login(t, repeating.URL, strings.Repeat("eyJ0eXAi.", 20))
	err := open()
	refused(t, err, "no such token", "log in to Google Cloud again")
	if strings.Contains(err.Error(), "eyJ0") {
		t.Errorf("the job's token is shown: %v", err)
	}
	login(t, "http://127.0.0.1:1", identity)
	refused(t, open(), "no access token is given", "log in to Google Cloud again")
	forged := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"ya29.forged","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(forged.Close)
	login(t, forged.URL, identity)
	refused(t, open(), "401 UNAUTHENTICATED", "log in to Google Cloud again")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/login.json")
	refused(t, open(), "there are no credentials", "google-github-actions/auth")
}

// Google wants its checksums compared. What came damaged is not used.
func TestAttackGoogleAnswers(t *testing.T) {
	for name, lie := range map[string]func(map[string]any){
		"key's checksum":       func(a map[string]any) { replace(a, "pemCrc32c", "1") },
		"another name":         func(a map[string]any) { a["name"] = "projects/other" },
		"no checksum":          func(a map[string]any) { delete(a, "pemCrc32c"); delete(a, "signatureCrc32c") },
		"signature's checksum": func(a map[string]any) { replace(a, "signatureCrc32c", "1") },
		"digest not compared":  func(a map[string]any) { replace(a, "verifiedDigestCrc32c", false) },
	} {
		t.Run(name, func(t *testing.T) {
			c, g := google(t, secp256k1(t))
			w, err := c.key.Open(t.Context(), common.Address{})
			if err != nil {
				t.Fatal(err)
			}
			g.Lie = lie
			_, opening := c.key.Open(t.Context(), common.Address{})
			_, signing := w.SignText(t.Context(), []byte("text"))
			if err := errors.Join(opening, signing); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func replace(a map[string]any, member string, value any) {
	if _, ok := a[member]; ok {
		a[member] = value
	}
}

// A service may be replaced, by one whose answers are of another key, no answers, or without
// an end.
func TestAttackAnswers(t *testing.T) {
	both(t, secp256k1, func(t *testing.T, c cloud) {
		w, err := c.key.Open(t.Context(), common.Address{})
		if err != nil {
			t.Fatal(err)
		}
		c.held.Lock()
		c.held.Private = secp256k1(t).Private
		c.held.Unlock()
		_, err = w.SignText(t.Context(), []byte("text"))
		refused(t, err, "what came back is not a signature of this by "+w.Address.Hex(), "find out")
	})
	answers := func(h http.HandlerFunc) (map[string]kms.Key, func()) {
		s := httptest.NewServer(h)
		var all http.Handler = h
		cloudkms.Store(&all)
		return map[string]kms.Key{"aws": kms.AWS(strings.TrimPrefix(s.URL, "http://"), "alias/release"), "google": kms.Google(version)}, s.Close
	}
	aws(t, secp256k1(t))
	google(t, secp256k1(t))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"no JSON":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, ""},
		"nothing":   {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }, "want \"EC"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) }, "too large"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusTemporaryRedirect)
		}, ""},
		"an error": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot); fmt.Fprint(w, "{") }, "4"},
		"an echo": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			words := fmt.Sprint(r.Header["X-Amz-Security-Token"], r.Header["Authorization"])
			_ = json.NewEncoder(w).Encode(map[string]any{"__type": "X", "message": words, "error": map[string]any{"message": words, "status": "X"}})
		}, "(hidden)"},
	} {
		keys, stop := answers(c.answer)
		for cloud, key := range keys {
			t.Run(name+" "+cloud, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := key.Open(ctx, common.Address{})
				refused(t, err, c.want, "")
			})
		}
		stop()
	}
}

func TestNobodyThere(t *testing.T) {
	c, _, _ := aws(t, secp256k1(t))
	_, err := kms.AWS("127.0.0.1:1", "alias/release").Open(t.Context(), common.Address{})
	refused(t, err, "cannot be reached", "look at the region")
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := c.key.Open(gone, common.Address{}); err == nil {
		t.Error("opened in no time")
	}
}
