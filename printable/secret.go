package printable

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// minHidden keeps short values, which occur everywhere, from being hidden.
const minHidden = 4

// Disguises returns the texts in which a secret can be recognized: each of its lines,
// the whole and each line in base64 (of both alphabets, wherever in a longer text it
// stands), in hex, as part of a URL and in a string of JSON. The longest come first; those too short to
// be told from other text are left out.
func Disguises(secret string) []string {
	var all []string
	for _, plain := range append(strings.Split(secret, "\n"), secret) {
		if plain = strings.TrimSpace(plain); len(plain) < minHidden {
			continue
		}
		query, digits := url.QueryEscape(plain), hex.EncodeToString([]byte(plain))
		all = append(all, plain, query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(plain), digits, strings.ToUpper(digits))
		all = append(all, inBase64(plain)...)
		all = append(all, inJSON(plain)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// inJSON returns a secret as it stands in a string of JSON: a document in a document, as
// services quote what they were sent. Encoders escape < > & or do not.
func inJSON(secret string) []string {
	quoted, err := json.Marshal(secret)
	if err != nil { // which no string leads to
		return nil
	}
	text := string(quoted[1 : len(quoted)-1])
	return []string{text, strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text)}
}

// inBase64 returns what of a secret does not depend on what stands before and after
// it: three bytes make four digits, so it may begin at each of three places.
func inBase64(secret string) []string {
	var all []string
	for before := range 3 {
		whole := append(make([]byte, before), secret...)
		from := (before*8 + 5) / 6 // digits that have bits of what stands before
		to := len(whole) * 8 / 6   // digits that have bits of the secret only
		if to-from < minHidden {
			continue
		}
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			all = append(all, e.EncodeToString(whole)[from:to])
		}
	}
	settled := []byte(base64.RawStdEncoding.EncodeToString([]byte(secret)))[:len(secret)*8/6]
	for _, width := range []int{64, 76} { // of lines, as openssl and base64 break them
		for piece := range slices.Chunk(settled, width) {
			if len(piece) >= 2*minHidden {
				all = append(all, string(piece))
			}
		}
	}
	return all
}

// Hider returns what replaces each of the secrets, and each disguise of one, in a
// text by ***.
func Hider(secrets ...string) *strings.Replacer {
	var all []string
	for _, secret := range secrets {
		all = append(all, Disguises(secret)...)
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, text := range all {
		pairs = append(pairs, text, "***")
	}
	return strings.NewReplacer(pairs...)
}
