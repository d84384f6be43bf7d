package printable_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/printable"
)

// A secret is hidden in whatever text it stands, in whatever form.
func TestAttackDisguises(t *testing.T) {
	for _, secret := range []string{"wallet-password-4f1c", "p/w+d?&=%ä", "abcd", "line one\nline two!", "with space", `{"key":"a<b>&\\c"}`} {
		for before := range 7 {
			for after := range 7 {
				text := strings.Repeat("x", before) + secret + strings.Repeat("\n", after)
				inJSON, err := json.Marshal(text)
				if err != nil {
					t.Fatal(err)
				}
				for form, shown := range map[string]string{
					"plain": text, "JSON": string(inJSON), "JSON of others": strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(inJSON)), "base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64 of URLs": base64.URLEncoding.EncodeToString([]byte(text)),
					"query": url.QueryEscape(text), "path": url.PathEscape(text), "hex": hex.EncodeToString([]byte(text)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(text))),
				} {
					hidden := printable.Hider(secret).Replace(shown)
					if !strings.Contains(hidden, "***") {
						t.Errorf("%q as %s: %q", text, form, hidden)
					}
					if decoded, err := base64.StdEncoding.DecodeString(hidden); err == nil && strings.Contains(string(decoded), secret) {
						t.Errorf("%q as %s: %q can be decoded", text, form, hidden)
					}
				}
			}
		}
	}
}

// What base64 breaks into lines is hidden line by line.
func TestAttackDisguisesInLines(t *testing.T) {
	secret := strings.Repeat("0123456789abcdef", 12) + "g"
	encoded := base64.StdEncoding.EncodeToString([]byte(secret + "\n"))
	for _, width := range []int{64, 76} {
		for from := 0; from < len(encoded); from += width {
			line := encoded[from:min(from+width, len(encoded))]
			if hidden := printable.Hider(secret).Replace(line); !strings.HasPrefix(hidden, "***") && len(line) > 8 {
				t.Errorf("lines of %d: %q is %q", width, line, hidden)
			}
		}
	}
}

func TestDisguisesOfShortSecrets(t *testing.T) {
	if all := printable.Disguises("abc"); len(all) != 0 {
		t.Errorf("got %q, which would hide other text", all)
	}
	if text := printable.Hider("", "abc").Replace("abc"); text != "abc" {
		t.Errorf("got %q", text)
	}
}
