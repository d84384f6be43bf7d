package outside

import (
	"context"
	"errors"
	"testing"

	"github.com/mrelease/mrelease/bounds"
)

// A registry cannot have a login sent in clear text, or into this machine or its network.
func TestAttackRealm(t *testing.T) {
	places := map[string]place{
		"registry.example.com": public, "auth.example.com": public, "localhost": loopback, "127.0.0.1": loopback,
		"metadata": nowhere, "10.0.0.1": private, "10.0.0.2": private,
	}
	look := func(_ context.Context, host string) ([]place, error) {
		p, known := places[host]
		if !known {
			return nil, errors.New("no such host")
		}
		return []place{p}, nil
	}
	for _, tt := range []struct{ registry, realm, refused string }{
		{"registry.example.com", "https://auth.example.com/token", ""},
		{"registry.example.com", "https://registry.example.com/token", ""},
		{"registry.example.com", "https://unknown.example.com/token", ""}, // a proxy may know it
		{"127.0.0.1:5000", "http://127.0.0.1:5001/token", ""},
		{"localhost:5000", "http://127.0.0.1:5001/token", ""},
		{"10.0.0.1:5000", "http://10.0.0.2/token", ""},
		{"registry.example.com", "http://auth.example.com/token", bounds.Clear},
		{"registry.example.com", "http://registry.example.com/token", bounds.Clear},
		{"registry.example.com", "http://localhost:15445/token", "loopback"},
		{"registry.example.com", "https://localhost:15445/token", "loopback"},
		{"registry.example.com", "https://10.0.0.1/token", "private"},
		{"10.0.0.1:5000", "https://metadata/token", "link-local or reserved"},
		{"10.0.0.1:5000", "ftp://10.0.0.2/token", bounds.Clear},
	} {
		err := checkRealm(t.Context(), look, tt.registry, tt.realm)
		var refused *bounds.AddressError
		if errors.As(err, &refused) != (tt.refused != "") || tt.refused == "" && err != nil || tt.refused != "" && refused.Kind != tt.refused {
			t.Errorf("%s sends to %s: %v, want %q", tt.registry, tt.realm, err, tt.refused)
		}
	}
	for _, realm := range []string{"", "token", "https:///token", "https://user:password@auth.example.com/"} {
		if err := checkRealm(t.Context(), look, "registry.example.com", realm); err == nil {
			t.Errorf("%q is taken", realm)
		}
	}
}
