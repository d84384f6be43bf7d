package request_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/mrelease/mrelease/node"
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
	w := recordedSigner(t)
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
	w := node.NewWallet(common.Address{1}, node.HashSigner(func(context.Context, common.Hash) ([]byte, error) {
		t.Error("a secret was signed")
		return make([]byte, 65), nil
	}))
	service := request.Service{URL: "http://192.0.2.1:1"} // of nobody (RFC 5737), and public
	_, err := service.PushAppSecret(t.Context(), w, common.Address{2}, []byte("value"))
	for _, err := range []error{err, service.PushSecret(t.Context(), w, "name", []byte("value"))} {
		var refused *request.ServiceError
		if !errors.As(err, &refused) || refused.Err != nil || !strings.Contains(refused.Message, "https://") {
			t.Errorf("got %v, and no refusal", err)
		}
	}
}

// Nor does one that repeats it where no body is: in the status, as a host, in what is no HTTP.
func TestAttackServiceThatRepeatsTheSecretElsewhere(t *testing.T) {
	const value = `{"horse":"staple"}`
	escaped := strings.ReplaceAll(value, `"`, `\"`)
	for name, answer := range map[string]string{
		"in the status":        "HTTP/1.1 503 " + value + "\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		"in no status":         "HTTP/1.1 " + value + "\r\n\r\n",
		"in what is no HTTP":   value + "\r\n\r\n",
		"as another host":      "HTTP/1.1 307 Moved\r\nLocation: http://" + hex.EncodeToString([]byte(value)) + ".example/\r\nContent-Length: 0\r\n\r\n",
		"escaped in its words": fmt.Sprintf("HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":[%q]}", "cannot read "+escaped),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // what breaks off is tried again, after a pause
			var told strings.Builder
			service := request.Service{URL: repeating(t, answer), Tell: func(text string) { told.WriteString(text) }}
			w := recordedSigner(t)
			_, err := service.PushAppSecret(t.Context(), w, common.Address{2}, []byte(value))
			var failed *request.ServiceError
			if !errors.As(err, &failed) {
				t.Fatal(err)
			}
			if text := fmt.Sprint(told.String(), err, failed.Evidence(), failed.Err); strings.Contains(text, "horse") || strings.Contains(text, hex.EncodeToString([]byte("horse"))) {
				t.Errorf("it tells %s", text)
			}
		})
	}
}

// repeating is a service that knows no secret, and answers who sends one with some bytes; it
// asks to come again once.
func repeating(t *testing.T, answer string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var asked atomic.Bool
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				r, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				text := answer
				if _, err := io.Copy(io.Discard, r.Body); err != nil || r.Method == http.MethodHead {
					text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
				}
				if strings.Contains(text, "Retry-After") && asked.Swap(true) {
					text = "HTTP/1.1 400 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
				}
				_, _ = io.WriteString(conn, text)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}
