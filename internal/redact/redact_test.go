package redact_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/internal/redact"
)

func TestNothingOfAURLButItsHostIsShown(t *testing.T) {
	const secret = "s3cr3t"
	for _, raw := range []string{
		"https://user:" + secret + "@rpc.example/", "https://rpc.example/v3/" + secret, "https://rpc.example/?key=" + secret, "https://rpc.example/#" + secret,
	} {
		if got := redact.URL(raw); got != "https://rpc.example" {
			t.Errorf("%s is shown as %s", raw, got)
		}
		cause := errors.New("refused")
		err := redact.Error(fmt.Errorf("dialing: %w", &url.Error{Op: "Post", URL: raw, Err: cause}))
		if strings.Contains(err.Error(), secret) || !errors.Is(err, cause) {
			t.Errorf("error %v", err)
		}
	}
	if got := redact.URL(secret); strings.Contains(got, secret) {
		t.Errorf("a malformed URL is shown as %s", got)
	}
}

// Two services of one host are told apart, and what may be a key is not shown.
func TestAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"https://user:password@example.com:81/market/v2?key=abc#x": "https://example.com:81/market/v2",
		"https://example.com": "https://example.com",
		"example.com/market":  "(malformed URL)",
	} {
		if got := redact.Address(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}
