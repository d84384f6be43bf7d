package secrets_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/mrelease/mrelease/node"
	"github.com/mrelease/mrelease/sandbox/secrets"
	"github.com/mrelease/mrelease/sandbox/world"
)

// The app of the recorded traffic, and its owner.
var app = common.HexToAddress("0x1A22c87811fD64718987FD77a1b678F5B8B256f3")

func owner(_ context.Context, contract common.Address) (common.Address, error) {
	if contract != app {
		return common.Address{}, errors.New("no contract there")
	}
	return wallet(1).Address, nil
}

func wallet(account int) node.Wallet {
	w, err := node.ParseKey(hex.EncodeToString(crypto.FromECDSA(world.Key(account))))
	if err != nil {
		panic(err)
	}
	return w
}

// request asks the service and returns status and body.
func request(s http.Handler, method, url, body, authorization string) (int, string) {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("Authorization", authorization)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// Made with ethers 6: the key is 32 times 0x11.
func TestKnownAnswer(t *testing.T) {
	const (
		path      = "/requesters/0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A/secrets/my-secret"
		signature = "0x62ae5513a4667b8bd4b890d11186208b0aa4992567fbd50d13bf0d1fe3a5676d24beb6cfaada17fccb5062f3fca35e62eb6c24a880c46a7a31d17c90dc7a41411c"
	)
	s := secrets.New(owner)
	if status, body := request(s, "POST", path, "hullo", signature); status != http.StatusUnauthorized || body != `{"data":null,"error":["Invalid authorization"]}` {
		t.Errorf("another value: %d %s, want 401", status, body)
	}
	if status, body := request(s, "POST", path, "hello", signature); status != http.StatusNoContent {
		t.Errorf("got %d %s, want 204", status, body)
	}
	value, ok := s.Value("requester", common.HexToAddress("0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"), "my-secret")
	if !ok || value != "hello" {
		t.Errorf("stored %q, %t", value, ok)
	}
}

func TestRecordedRequestsOfTheCLI(t *testing.T) {
	var recorded []struct {
		Method, URL, ReqBody, ResBody, Authorization string
		Status                                       int
	}
	data, err := os.ReadFile("testdata/wire-sdk9.0.1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	s := secrets.New(owner)
	for i, x := range recorded {
		status, body := request(s, x.Method, x.URL, x.ReqBody, x.Authorization)
		if x.Method == http.MethodHead { // has no body on the wire
			body = ""
		}
		if status != x.Status || body != x.ResBody {
			t.Errorf("request %d, %s %s: got %d %s, want %d %s", i, x.Method, x.URL, status, body, x.Status, x.ResBody)
		}
	}
}

// sign signs for a secret; the dataset's has no name.
func sign(t *testing.T, w node.Wallet, address common.Address, name *string, value string) string {
	t.Helper()
	message := append(crypto.Keccak256([]byte("IEXEC_SMS_DOMAIN")), address.Bytes()...)
	if name != nil {
		message = append(message, crypto.Keccak256([]byte(*name))...)
	}
	message = append(message, crypto.Keccak256([]byte(value))...)
	sig, err := w.SignText(t.Context(), crypto.Keccak256(message))
	if err != nil {
		t.Fatal(err)
	}
	return hexutil.Encode(sig)
}

func TestRules(t *testing.T) {
	own, other, one := wallet(1), wallet(2), "1"
	ownPath := func(name string) string { return "/requesters/" + own.Address.Hex() + "/secrets/" + name }
	web2 := "/secrets/web2?ownerAddress=" + own.Address.Hex() + "&secretName=token"
	token, name, bad := "token", "name", "a.b"
	long := strings.Repeat("x", 4097)
	for label, tt := range map[string]struct {
		method, url, value, signature string
		status                        int
	}{
		"wallet's own":               {"POST", web2, "v", sign(t, own, own.Address, &token, "v"), 204},
		"wallet's, by another":       {"POST", web2, "v", sign(t, other, own.Address, &token, "v"), 401},
		"wallet's, unsigned":         {"POST", web2, "v", "", 401},
		"wallet's, empty":            {"POST", web2, "", sign(t, own, own.Address, &token, ""), 400},
		"wallet's, too long":         {"POST", web2, long, sign(t, own, own.Address, &token, long), 413},
		"change of none":             {"PUT", web2, "v", sign(t, own, own.Address, &token, "v"), 404},
		"app's owner":                {"POST", "/apps/" + app.Hex() + "/secrets", "v", sign(t, own, app, &one, "v"), 204},
		"app's owner, as SDK 7 asks": {"POST", "/apps/" + app.Hex() + "/secrets/1", "v", sign(t, own, app, &one, "v"), 204},
		"app's, by another":          {"POST", "/apps/" + app.Hex() + "/secrets", "v", sign(t, other, app, &one, "v"), 401},
		"app that is none":           {"POST", "/apps/" + own.Address.Hex() + "/secrets", "v", sign(t, own, own.Address, &one, "v"), 401},
		"dataset's owner":            {"POST", "/secrets/web3?secretAddress=" + app.Hex(), "v", sign(t, own, app, nil, "v"), 204},
		"requester's, too long":      {"POST", ownPath("name"), long, sign(t, own, own.Address, &name, long), 400},
		"requester's, bad name":      {"POST", ownPath("a.b"), "v", sign(t, own, own.Address, &bad, "v"), 400},
		"question of a bad name":     {"HEAD", ownPath("a.b"), "", "", 400},
		"question of none":           {"HEAD", ownPath("name"), "", "", 404},
		"bad address":                {"HEAD", "/apps/0x1/secrets", "", "", 400},
		"unknown path":               {"GET", "/secrets", "", "", 404},
	} {
		s := secrets.New(owner)
		if status, body := request(s, tt.method, tt.url, tt.value, tt.signature); status != tt.status {
			t.Errorf("%s: got %d %s, want %d", label, status, body, tt.status)
		}
	}
}

// Only a wallet's own secret can be changed, and only by asking for it.
func TestSecretsAreSetOnce(t *testing.T) {
	s, w, name := secrets.New(owner), wallet(1), "1"
	web2 := fmt.Sprintf("/secrets/web2?ownerAddress=%s&secretName=1", w.Address)
	requester := fmt.Sprintf("/requesters/%s/secrets/1", w.Address)
	for _, tt := range []struct {
		method, url, value string
		status             int
	}{
		{"POST", web2, "first", 204}, {"POST", web2, "second", 409}, {"PUT", web2, "second", 204},
		{"POST", requester, "first", 204}, {"POST", requester, "second", 409}, {"PUT", requester, "second", 405},
	} {
		if status, _ := request(s, tt.method, tt.url, tt.value, sign(t, w, w.Address, &name, tt.value)); status != tt.status {
			t.Errorf("%s %s %s: %d, want %d", tt.method, tt.url, tt.value, status, tt.status)
		}
	}
	for scope, want := range map[string]string{"web2": "second", "requester": "first"} {
		if value, _ := s.Value(scope, w.Address, "1"); value != want {
			t.Errorf("the secret of scope %s is %q, want %q", scope, value, want)
		}
	}
}
