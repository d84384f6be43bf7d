package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mrelease/mrelease/bounds"
)

// Recognize says what a file holds that nobody but its owner should have: "a wallet", "a
// signing key" or "a result key"; empty for anything else. The name tells of keystores
// that geth and iExec's command line write (UTC--TIME--ADDRESS) and of what lies in
// .secrets; of a regular file no larger than a key the content does.
func Recognize(file string) string {
	info, err := os.Lstat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > bounds.Key {
		return ""
	}
	parts := strings.Split(filepath.ToSlash(file), "/")
	switch name := parts[len(parts)-1]; {
	case regexp.MustCompile(`^UTC--.+--(0x)?[0-9a-fA-F]{40}$`).MatchString(name):
		return "a wallet"
	case slices.Contains(parts[:len(parts)-1], ".secrets") && filepath.Ext(name) != ".pub" && name[0] != '.':
		return "a result key"
	}
	return recognizeContent(file)
}

func recognizeContent(file string) string {
	if !begins(file, "{", "-----BEGIN ENCRYPTED ") {
		return ""
	}
	text, err := bounds.ReadFile(file, bounds.Key)
	switch text = bytes.TrimSpace(text); {
	case err != nil:
		return ""
	case text[0] == '-':
		if pem := regexp.MustCompile(`^-----BEGIN ENCRYPTED (COSIGN|SIGSTORE) PRIVATE KEY-----`); pem.Match(text) {
			return "a signing key"
		}
		return ""
	}
	var wallet struct { // of version 3, and iExec's, whose key is in the clear
		Crypto     struct{ Ciphertext string }
		PrivateKey string
	}
	if bounds.CheckJSON(text) != nil || json.Unmarshal(text, &wallet) != nil {
		return ""
	}
	for _, digits := range []string{wallet.Crypto.Ciphertext, strings.TrimPrefix(wallet.PrivateKey, "0x")} {
		if key, err := hex.DecodeString(digits); err == nil && len(key) == 32 {
			return "a wallet"
		}
	}
	return ""
}

// begins reports whether a file begins, after white space, with one of these.
func begins(file string, starts ...string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, _ := f.Read(head) // of what cannot be read nothing is known
	text := strings.TrimLeft(string(head[:n]), " \t\r\n")
	return slices.ContainsFunc(starts, func(s string) bool { return strings.HasPrefix(text, s) })
}
