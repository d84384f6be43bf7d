package request_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/request"
)

// A service that repeats in its refusal what it was sent tells nobody.
func TestAttackServiceThatRepeatsTheSecret(t *testing.T) {
	const value = "correct horse battery staple"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error": ["no secret: %s, %s"]}`, value, base64.StdEncoding.EncodeToString([]byte(value)))
	}))
	defer server.Close()
	w := request.Signer{Address: common.Address{1}, SignHash: func(common.Hash) ([]byte, error) { return make([]byte, 65), nil }}
	err := request.Service{URL: server.URL}.PushSecret(t.Context(), w, "name", []byte(value))
	var refused *request.ServiceError
	if !errors.As(err, &refused) || !strings.HasPrefix(refused.Message, "no secret: ***") {
		t.Fatalf("%v", err)
	}
	if told := fmt.Sprint(err, refused.Evidence()); strings.Contains(told, "horse") || strings.Contains(told, "Y29ycmVjdCBob3JzZS") {
		t.Errorf("it tells: %s", told)
	}
}

// A secret does not go to a service elsewhere in clear text, nor is one asked after there.
func TestAttackSecretInClearText(t *testing.T) {
	w := request.Signer{Address: common.Address{1}, SignHash: func(common.Hash) ([]byte, error) {
		t.Error("a secret was signed")
		return make([]byte, 65), nil
	}}
	service := request.Service{URL: "http://192.0.2.1:1"} // of nobody (RFC 5737), and public
	_, err := service.PushAppSecret(t.Context(), w, common.Address{2}, []byte("value"))
	for _, err := range []error{err, service.PushSecret(t.Context(), w, "name", []byte("value"))} {
		var refused *request.ServiceError
		if !errors.As(err, &refused) || refused.Err != nil || !strings.Contains(refused.Message, "https://") {
			t.Errorf("got %v, and no refusal", err)
		}
	}
}
