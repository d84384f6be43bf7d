//go:build interop

package interop

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/mrelease/mrelease/sandbox/sigstore"
)

// heard is what a server says.
type heard struct {
	status int
	kind   string // its Content-Type
	body   []byte
}

// ask sends a request.
func ask(t *testing.T, url, kind string, body []byte) heard {
	t.Helper()
	return askWith(t, url, body, http.Header{"Content-Type": {kind}})
}

func askWith(t *testing.T, url string, body []byte, header http.Header) (a heard) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	must(t, err)
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	a.body, err = io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	a.status, a.kind = resp.StatusCode, resp.Header.Get("Content-Type")
	return a
}

// standsIn compares what Sigstore's own servers and the stand-ins say to the same requests.
func (s *stage) standsIn(t *testing.T, o *servers) {
	t.Run("certificates", func(t *testing.T) { s.sameCertificates(t, o) })
	t.Run("refusals of Fulcio", func(t *testing.T) { s.sameRefusals(t, o) })
	t.Run("timestamps", func(t *testing.T) { s.sameTimestamps(t, o) })
	t.Run("entries", func(t *testing.T) { s.sameEntries(t, o) })
}

// certificateRequest is that of Fulcio's API, where a key proves to be there by signing the
// subject of the token.
func certificateRequest(t *testing.T, token, subject string, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	sum := sha256.Sum256([]byte(subject))
	proof, err := ecdsa.SignASN1(rand.Reader, by, sum[:])
	must(t, err)
	return certificateRequestOf(t, token, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), proof)
}

func certificateRequestOf(t *testing.T, token, key string, proof []byte) []byte {
	t.Helper()
	return []byte(encode(t, map[string]any{
		"credentials":      map[string]any{"oidcIdentityToken": token},
		"publicKeyRequest": map[string]any{"publicKey": map[string]any{"content": key}, "proofOfPossession": proof},
	}))
}

// Where certificates are asked for.
const (
	certificatesPath = "/api/v2/signingCert"
	olderPath        = "/api/v1/signingCert"
)

// sameCertificates compares what both certify of the same jobs and the same key.
func (s *stage) sameCertificates(t *testing.T, o *servers) {
	key := newECDSA(t)
	for _, shape := range []string{sigstore.GitHub, sigstore.GitLab} {
		for _, ref := range []string{"refs/tags/v1.0.0", "refs/heads/feature/a"} {
			token, err := s.Sigstore.Token(shape, jobRepository, ref)
			must(t, err)
			request := certificateRequest(t, token, subjectOf(t, token), key, key)
			theirs, ours := ask(t, o.Fulcio+certificatesPath, "application/json", request), ask(t, s.Sigstore.Fulcio+certificatesPath, "application/json", request)
			if theirs.status != http.StatusOK || ours.status != theirs.status || ours.kind != theirs.kind {
				t.Fatalf("Fulcio: %d %s %s; the stand-in: %d %s %s", theirs.status, theirs.kind, theirs.body, ours.status, ours.kind, ours.body)
			}
			same(t, shape+" at "+ref, saidBy(t, chainOf(t, theirs.body)), saidBy(t, chainOf(t, ours.body)))
		}
	}
	s.sameOlder(t, o, key)
}

// sameOlder compares the API that older clients ask.
func (s *stage) sameOlder(t *testing.T, o *servers, key *ecdsa.PrivateKey) {
	t.Helper()
	token, err := s.Sigstore.Token(sigstore.GitHub, jobRepository, jobRef)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	for _, subject := range []string{subjectOf(t, token), "another"} {
		sum := sha256.Sum256([]byte(subject))
		proof, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		must(t, err)
		request := []byte(encode(t, map[string]any{"publicKey": map[string]any{"content": der, "algorithm": "ecdsa"}, "signedEmailAddress": proof}))
		header := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
		theirs, ours := askWith(t, o.Fulcio+olderPath, request, header), askWith(t, s.Sigstore.Fulcio+olderPath, request, header)
		if theirs.status >= 400 {
			same(t, "the older API, proof of "+subject, refusedWith(t, theirs), refusedWith(t, ours))
			continue
		}
		if ours.status != theirs.status || ours.kind != theirs.kind {
			t.Errorf("the older API: Fulcio: %d %s; the stand-in: %d %s %s", theirs.status, theirs.kind, ours.status, ours.kind, ours.body)
			continue
		}
		same(t, "the older API", saidBy(t, []string{string(theirs.body)}), saidBy(t, []string{string(ours.body)}))
	}
}

// same fails when a stand-in says something else than Sigstore's own server.
func same(t *testing.T, what string, theirs, ours map[string]string) {
	t.Helper()
	if maps.Equal(theirs, ours) {
		return
	}
	for name, value := range theirs {
		if other, found := ours[name]; !found || other != value {
			t.Errorf("%s: %s is %q, by the stand-in %q", what, name, value, other)
		}
	}
	for name, value := range ours {
		if _, found := theirs[name]; !found {
			t.Errorf("%s: %s is %q by the stand-in only", what, name, value)
		}
	}
}

// base64Lines are the contents of PEM.
var base64Lines = regexp.MustCompile(`(?m)^[0-9A-Za-z+/=]+\n`)

// chainOf returns the chain of an answer, as it is there.
func chainOf(t *testing.T, body []byte) []string {
	t.Helper()
	var said struct {
		Embedded struct {
			Chain struct{ Certificates []string }
		} `json:"signedCertificateEmbeddedSct"`
	}
	must(t, json.Unmarshal(body, &said))
	if len(said.Embedded.Chain.Certificates) == 0 {
		t.Fatalf("there is no certificate in %s", body)
	}
	return said.Embedded.Chain.Certificates
}

// saidBy is what the first certificate of a chain says, but for who certified it and when,
// and how the chain is written.
func saidBy(t *testing.T, chain []string) map[string]string {
	t.Helper()
	block, _ := pem.Decode([]byte(chain[0]))
	if block == nil {
		t.Fatalf("there is no certificate in %s", chain[0])
	}
	c, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	all := map[string]string{
		"chain": base64Lines.ReplaceAllString(fmt.Sprintf("%d: %s", len(chain), strings.Join(chain, "|")), ""), "subject": c.Subject.String(), "algorithm": c.SignatureAlgorithm.String(),
		"lifetime": c.NotAfter.Sub(c.NotBefore).String(), "begins": fmt.Sprint(time.Since(c.NotBefore) < 10*time.Second && !c.NotBefore.After(time.Now())),
	}
	for _, e := range c.Extensions {
		value := fmt.Sprintf("%t %q", e.Critical, e.Value)
		switch e.Id.String() {
		case "1.3.6.1.4.1.11129.2.4.2", "2.5.29.35": // the promise of the log, the key of the authority
			value = fmt.Sprintf("%t", e.Critical)
		}
		all[e.Id.String()] = value
	}
	return all
}

func subjectOf(t *testing.T, token string) string {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	must(t, err)
	var claims struct{ Sub string }
	must(t, json.Unmarshal(body, &claims))
	return claims.Sub
}

// sameRefusals compares what both say to those whom they certify nothing.
func (s *stage) sameRefusals(t *testing.T, o *servers) {
	token, err := s.Sigstore.Token(sigstore.GitHub, jobRepository, jobRef)
	must(t, err)
	audience, err := s.Sigstore.TokenUntil(time.Now().Add(time.Hour), sigstore.GitHub, "somebody", jobRepository, jobRef)
	must(t, err)
	expired, err := s.Sigstore.TokenUntil(time.Now().Add(-time.Minute), sigstore.GitHub, "sigstore", jobRepository, jobRef)
	must(t, err)
	stranger, err := otherSigstore(t).Token(sigstore.GitHub, jobRepository, jobRef)
	must(t, err)
	key, other, subject := newECDSA(t), newECDSA(t), subjectOf(t, token)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	weakDER, err := x509.MarshalPKIXPublicKey(weak.Public())
	must(t, err)
	for name, request := range map[string][]byte{
		"another audience":   certificateRequest(t, audience, subject, key, key),
		"an expired token":   certificateRequest(t, expired, subject, key, key),
		"another issuer":     certificateRequest(t, stranger, subject, key, key),
		"no token":           certificateRequest(t, "", subject, key, key),
		"an altered token":   certificateRequest(t, token[:len(token)-8]+"AAAAAAAA", subject, key, key),
		"another key":        certificateRequest(t, token, subject, key, other),
		"another subject":    certificateRequest(t, token, subject+"x", key, key),
		"no key":             certificateRequestOf(t, token, "none", []byte("proof")),
		"a key that is weak": certificateRequestOf(t, token, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: weakDER})), []byte("proof")),
		"no proof":           certificateRequestOf(t, token, "", nil),
	} {
		theirs, ours := ask(t, o.Fulcio+certificatesPath, "application/json", request), ask(t, s.Sigstore.Fulcio+certificatesPath, "application/json", request)
		if theirs.status < 400 {
			t.Errorf("%s: Fulcio takes it", name)
		}
		same(t, name, refusedWith(t, theirs), refusedWith(t, ours))
	}
}

// refusedWith is what a server says that refuses.
func refusedWith(t *testing.T, a heard) map[string]string {
	t.Helper()
	var said struct {
		Code    int
		Message string
	}
	must(t, json.Unmarshal(a.body, &said))
	return map[string]string{"status": fmt.Sprint(a.status), "kind": a.kind, "code": fmt.Sprint(said.Code), "message": said.Message}
}

// sameTimestamps compares what both timestamp authorities say.
func (s *stage) sameTimestamps(t *testing.T, o *servers) {
	sum := sha256.Sum256([]byte("artifact"))
	const query = "application/timestamp-query"
	asked := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true}
	request, err := asked.Marshal()
	must(t, err)
	bare := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:]}
	without, err := bare.Marshal()
	must(t, err)
	weak := timestamp.Request{HashAlgorithm: crypto.SHA1, HashedMessage: sum[:20]}
	old, err := weak.Marshal()
	must(t, err)
	for name, c := range map[string]struct {
		kind string
		body []byte
	}{"a request": {query, request}, "one without certificates": {query, without}, "SHA-1": {query, old}, "no request": {query, []byte("none")}, "another type": {"text/plain", request}} {
		same(t, name, stamped(t, ask(t, o.TSA, c.kind, c.body)), stamped(t, ask(t, s.Sigstore.TSA, c.kind, c.body)))
	}
}

// types are those that a server takes, which Sigstore's names in any order.
var types = regexp.MustCompile(`\[application/.*\]`)

// stamped is what an authority says, but for when and with which key.
func stamped(t *testing.T, a heard) map[string]string {
	t.Helper()
	all := map[string]string{"status": fmt.Sprint(a.status), "kind": a.kind}
	if a.status >= 400 {
		all["message"] = types.ReplaceAllString(strings.TrimSpace(string(a.body)), "[TYPES]")
		return all
	}
	stamp, err := timestamp.ParseResponse(a.body)
	must(t, err)
	all["policy"], all["accuracy"], all["algorithm"] = stamp.Policy.String(), stamp.Accuracy.String(), stamp.HashAlgorithm.String()
	all["message"], all["certificates"] = fmt.Sprintf("%x", stamp.HashedMessage), fmt.Sprint(len(stamp.Certificates))
	all["ordering"], all["qualified"], all["extensions"] = fmt.Sprint(stamp.Ordering), fmt.Sprint(stamp.Qualified), fmt.Sprint(len(stamp.Extensions))
	return all
}

// sameEntries compares what both versions of the log say: to an entry, to the same once
// more, and to what is none.
func (s *stage) sameEntries(t *testing.T, o *servers) {
	key := newECDSA(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	must(t, err)
	digest := sha256.Sum256([]byte("artifact"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	must(t, err)
	other := sha256.Sum256([]byte("another"))
	entryV1 := func(digest [32]byte) []byte {
		return []byte(encode(t, map[string]any{"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": map[string]any{
			"data":      map[string]any{"hash": map[string]any{"algorithm": "sha256", "value": hex.EncodeToString(digest[:])}},
			"signature": map[string]any{"content": signature, "publicKey": map[string]any{"content": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}},
		}}))
	}
	entryV2 := func(digest [32]byte) []byte {
		return []byte(encode(t, map[string]any{"hashedRekordRequestV002": map[string]any{"digest": digest[:], "signature": map[string]any{
			"content": signature, "verifier": map[string]any{"publicKey": map[string]any{"rawBytes": der}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
		}}}))
	}
	for _, c := range []struct {
		name, theirs, ours string
		entry              func([32]byte) []byte
		read               func(*testing.T, heard) map[string]string
	}{
		{"Rekor 1", o.RekorV1 + "/api/v1/log/entries", s.Sigstore.RekorV1 + "/api/v1/log/entries", entryV1, loggedV1},
		{"Rekor 2", o.RekorV2 + "/api/v2/log/entries", s.Sigstore.RekorV2 + "/api/v2/log/entries", entryV2, loggedV2},
	} {
		for _, r := range []struct {
			what string
			body []byte
		}{{"an entry", c.entry(digest)}, {"the same", c.entry(digest)}, {"a signature of something else", c.entry(other)}, {"no entry", []byte("{}")}, {"no JSON", []byte("none")}} {
			if c.name == "Rekor 1" && r.what == "the same" {
				continue // Trillian's storage in memory takes an entry twice, unlike that in a database
			}
			same(t, c.name+", "+r.what, c.read(t, ask(t, c.theirs, "application/json", r.body)), c.read(t, ask(t, c.ours, "application/json", r.body)))
		}
	}
}

// ids are what an answer names the entry that is there.
var ids = regexp.MustCompile(`[0-9a-f]{64,}|index [0-9]+`)

// loggedV1 is what Rekor's first version says, but for place, time and key.
func loggedV1(t *testing.T, a heard) map[string]string {
	t.Helper()
	all := map[string]string{"status": fmt.Sprint(a.status), "kind": a.kind}
	if a.status >= 400 {
		all["message"] = ids.ReplaceAllString(refusedWith(t, a)["message"], "ID")
		return all
	}
	var entries models.LogEntry
	must(t, json.Unmarshal(a.body, &entries))
	all["entries"] = fmt.Sprint(len(entries))
	for _, e := range entries {
		all["body"] = fmt.Sprint(e.Body)
		all["verification"] = fmt.Sprint(len(e.Verification.SignedEntryTimestamp) > 0, len(*e.Verification.InclusionProof.RootHash), strings.Count(*e.Verification.InclusionProof.Checkpoint, "\n"))
	}
	return all
}

// loggedV2 is the same of the second version.
func loggedV2(t *testing.T, a heard) map[string]string {
	t.Helper()
	all := map[string]string{"status": fmt.Sprint(a.status), "kind": a.kind}
	if a.status >= 400 {
		all["message"] = ids.ReplaceAllString(refusedWith(t, a)["message"], "ID")
		all["code"] = refusedWith(t, a)["code"]
		return all
	}
	var e protorekor.TransparencyLogEntry
	must(t, protojson.Unmarshal(a.body, &e))
	all["body"], all["version"] = string(e.CanonicalizedBody), e.KindVersion.GetKind()+e.KindVersion.GetVersion()
	all["time"] = fmt.Sprint(e.IntegratedTime, e.InclusionPromise != nil)
	all["verification"] = fmt.Sprint(e.LogId.GetKeyId() != nil, e.InclusionProof.GetRootHash() != nil, strings.Count(e.InclusionProof.GetCheckpoint().GetEnvelope(), "\n"))
	return all
}
