package request_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/request"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wallet returns the wallet of a key.
func wallet(t *testing.T, key *ecdsa.PrivateKey) node.Wallet {
	t.Helper()
	w, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(key)))
	must(t, err)
	return w
}

// recordedSigner is the wallet of the recording.
func recordedSigner(t *testing.T) node.Wallet {
	t.Helper()
	key, err := crypto.HexToECDSA("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
	must(t, err)
	return wallet(t, key)
}

// fixtureKey puts the key of the recording into a folder, as its beneficiary's.
func fixtureKey(t *testing.T, beneficiary common.Address) (folder string, k request.Key) {
	t.Helper()
	text, err := os.ReadFile("result/testdata/beneficiary_key.pem")
	must(t, err)
	folder = t.TempDir()
	must(t, os.WriteFile(request.FilesOf(folder, beneficiary).Private, text, 0o644))
	k, made, err := request.NewKey(folder, beneficiary)
	if err != nil || made {
		t.Fatalf("made %v, %v", made, err)
	}
	return folder, k
}

type exchange struct {
	Method, URL, ReqBody string
	Status               int
	ResBody              string
	ReqHeaders           map[string]string
}

// replay is a service that answers as the recorded one did, to the same requests only.
func replay(t *testing.T, recorded []exchange) request.Service {
	t.Helper()
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil || len(recorded) == 0 {
			t.Errorf("%s %s: one request too many (%v)", r.Method, r.URL, err)
			return
		}
		e := recorded[0]
		recorded = recorded[1:]
		got := exchange{Method: r.Method, URL: r.URL.String(), ReqBody: string(body)}
		if got.Method != e.Method || got.URL != e.URL || got.ReqBody != e.ReqBody {
			t.Errorf("request\n got %+v\nwant %+v", got, e)
		}
		for _, name := range []string{"authorization", "content-type"} {
			if value := r.Header.Get(name); value != e.ReqHeaders[name] {
				t.Errorf("%s %s: %s is %q, want %q", e.Method, e.URL, name, value, e.ReqHeaders[name])
			}
		}
		w.WriteHeader(e.Status)
		_, _ = io.WriteString(w, e.ResBody)
	}))
	t.Cleanup(func() {
		server.Close()
		if len(recorded) > 0 {
			t.Errorf("%d requests were not made", len(recorded))
		}
	})
	return request.Service{URL: server.URL}
}

// What iExec's command line sends, sent again: the same bytes, signatures among them.
func TestWireOfTheCommandLine(t *testing.T) {
	text, err := os.ReadFile("testdata/sms-wire-sdk9.0.1.json")
	must(t, err)
	var wire []exchange
	must(t, json.Unmarshal(text, &wire))
	head, post, put := wire[0], wire[2], wire[4]
	there := head
	there.Status = http.StatusNoContent
	w := recordedSigner(t)
	_, k := fixtureKey(t, w.Address)

	if state, err := (request.Service{URL: "nowhere"}).CheckKey(t.Context(), k); err == nil {
		t.Errorf("an address that is none tells %s", state)
	}
	did, err := replay(t, []exchange{head, post, there}).PushKey(t.Context(), w, k, false)
	if err != nil || did != request.PushedNew {
		t.Errorf("pushing: %s, %v", did, err)
	}
	did, err = replay(t, []exchange{there, put, there}).PushKey(t.Context(), w, k, true)
	if err != nil || did != request.PushedReplaced {
		t.Errorf("replacing: %s, %v", did, err)
	}
	must(t, replay(t, []exchange{wire[5], wire[6], wire[7]}).PushSecret(t.Context(), w, "my-secret", []byte("hello secret")))
}

func TestPushKey(t *testing.T) {
	w := recordedSigner(t)
	head := func(status int) exchange {
		return exchange{Method: "HEAD", URL: "/secrets/web2?ownerAddress=" + w.Address.Hex() + "&secretName=iexec-result-encryption-public-key", Status: status}
	}
	_, k := fixtureKey(t, w.Address)
	if state, err := replay(t, []exchange{head(404)}).CheckKey(t.Context(), k); err != nil || state != request.KeyAbsent {
		t.Errorf("absent: %s, %v", state, err)
	}
	if state, err := replay(t, []exchange{head(204)}).CheckKey(t.Context(), k); err != nil || state != request.KeyUnknown {
		t.Errorf("unknown: %s, %v", state, err)
	}
	var other *request.OtherKeyError
	if _, err := replay(t, []exchange{head(204)}).PushKey(t.Context(), w, k, false); !errors.As(err, &other) || other.State != request.KeyUnknown {
		t.Errorf("got %v", err)
	}
	stranger, err := crypto.GenerateKey()
	must(t, err)
	var wrong *request.KeyError
	if _, err := replay(t, nil).PushKey(t.Context(), wallet(t, stranger), k, false); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
	var failed *request.ServiceError
	if _, err := replay(t, []exchange{head(400)}).CheckKey(t.Context(), k); !errors.As(err, &failed) || !failed.IsRefusal() {
		t.Errorf("got %v", err)
	}
}

func TestServiceThatIsNotThere(t *testing.T) {
	if testing.Short() {
		t.Skip("it is asked again for seconds")
	}
	server := httptest.NewServer(nil)
	server.Close()
	var failed *request.ServiceError
	_, err := request.Service{URL: server.URL + "/?key=s3cret"}.HasKey(t.Context(), common.Address{})
	if !errors.As(err, &failed) || failed.Status != 0 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

// A secret goes to the service, and to nobody that it names.
func TestAttackRedirectedSecret(t *testing.T) {
	w := recordedSigner(t)
	taken := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent on") }))
	defer taken.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Location", taken.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	var foreign *bounds.AddressError
	if err := (request.Service{URL: server.URL}).PushSecret(t.Context(), w, "name", []byte("value")); !errors.As(err, &foreign) {
		t.Errorf("got %v", err)
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	w := recordedSigner(t)
	for name, value := range map[string]string{
		"": "x", "a/b": "x", "a b": "x", strings.Repeat("n", 65): "x", "é": "x",
		"empty": "", "large": strings.Repeat("x", 4097), "binary": "\xff",
	} {
		var wrong *request.SecretError
		err := replay(t, nil).PushSecret(t.Context(), w, name, []byte(value))
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNewKey(t *testing.T) {
	folder, someone := filepath.Join(t.TempDir(), ".secrets", "beneficiary"), common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	k, made, err := request.NewKey(folder, someone)
	must(t, err)
	files := k.Files
	if !made || k.Private.N.BitLen() != 4096 || filepath.Base(files.Private) != "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266_key" || files.Public != files.Private+".pub" {
		t.Errorf("made %v: %+v", made, files)
	}
	for path, want := range map[string]fs.FileMode{files.Private: 0o600, files.Public: 0o600, folder: 0o700 | fs.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if all, err := os.ReadDir(folder); err != nil || len(all) != 2 {
		t.Errorf("the folder has %v, %v", all, err)
	}

	before, err := os.ReadFile(files.Private)
	must(t, err)
	must(t, os.Remove(files.Public))
	again, made, err := request.NewKey(folder, someone)
	if err != nil || made || !again.Private.Equal(k.Private) {
		t.Errorf("again: made %v, %v", made, err)
	}
	if after, err := os.ReadFile(files.Private); err != nil || string(after) != string(before) {
		t.Error("the key was written to")
	}
	if public, err := os.ReadFile(files.Public); err != nil || string(public) != string(k.Public()) {
		t.Errorf("the public half was not written again: %v", err)
	}
	read, err := request.ReadKey(folder, someone)
	if err != nil || read.Fingerprint() != k.Fingerprint() || len(k.Fingerprint()) != 64 {
		t.Errorf("read %s, %v", read.Fingerprint(), err)
	}
}

// Whatever is in the place of a key is not written to, and not taken for one.
func TestKeysThatAreNone(t *testing.T) {
	someone := common.HexToAddress("0x01")
	good, err := os.ReadFile("result/testdata/beneficiary_key.pem")
	must(t, err)
	for name, c := range map[string]struct{ private, public string }{
		"empty":              {"", ""},
		"no PEM":             {"hello", ""},
		"a certificate":      {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""},
		"locked":             {"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", ""},
		"the public half":    {"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", ""},
		"large":              {strings.Repeat("x", 65<<10), ""},
		"another other half": {string(good), "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE4f5fgcPZAYd0fUJMkPiBM8RCKqj7\n-----END PUBLIC KEY-----\n"},
		"no other half":      {string(good), "hello"},
	} {
		folder := t.TempDir()
		files := request.FilesOf(folder, someone)
		must(t, os.WriteFile(files.Private, []byte(c.private), 0o600))
		if c.public != "" {
			must(t, os.WriteFile(files.Public, []byte(c.public), 0o600))
		}
		var wrong *request.KeyError
		if _, made, err := request.NewKey(folder, someone); !errors.As(err, &wrong) || made {
			t.Errorf("%s: made %v, %v", name, made, err)
		}
		if text, err := os.ReadFile(files.Private); err != nil || string(text) != c.private {
			t.Errorf("%s: it was written to", name)
		}
	}
	folder := t.TempDir()
	must(t, os.WriteFile(request.FilesOf(folder, someone).Public, []byte("x"), 0o600))
	var wrong *request.KeyError
	if _, _, err := request.NewKey(folder, someone); !errors.As(err, &wrong) {
		t.Errorf("the private half alone is missing: %v", err)
	}
}

// Jobs that ask for a key at the same time get the same one.
func TestNewKeyAtOnce(t *testing.T) {
	folder, someone := t.TempDir(), common.HexToAddress("0x01")
	keys := make([]*rsa.PrivateKey, 2)
	var made, wait = make([]bool, len(keys)), sync.WaitGroup{}
	for i := range keys {
		wait.Go(func() {
			k, isNew, err := request.NewKey(folder, someone)
			if err != nil {
				t.Error(err)
			}
			keys[i], made[i] = k.Private, isNew
		})
	}
	wait.Wait()
	count := 0
	for i, k := range keys {
		if !k.Equal(keys[0]) {
			t.Error("there are several keys")
		}
		if made[i] {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d of them made it", count)
	}
}

// Nor are they in one another's way when each finds the public half missing, as each does
// that comes while it is written.
func TestNewKeyPublicHalfAtOnce(t *testing.T) {
	folder, someone := t.TempDir(), common.HexToAddress("0x01")
	if _, _, err := request.NewKey(folder, someone); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		must(t, os.Remove(request.FilesOf(folder, someone).Public))
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				if _, made, err := request.NewKey(folder, someone); err != nil || made {
					t.Errorf("made %t, %v", made, err)
				}
			})
		}
		wait.Wait()
	}
}

func FuzzReadPrivateKey(f *testing.F) {
	good, err := os.ReadFile("result/testdata/beneficiary_key.pem")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "key")
		must(t, os.WriteFile(file, text, 0o600))
		key, err := request.ReadPrivateKey(file)
		var wrong *request.KeyError
		if (key == nil) != errors.As(err, &wrong) {
			t.Errorf("%v, %v", key, err)
		}
	})
}
