package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/redact"
)

// Google is a version of a key in Google Cloud KMS:
// projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V. Without the version it
// is the newest one that is enabled when the key is opened.
func Google(name string) Key {
	return Key{"Google Cloud KMS key " + name, func(ctx context.Context, u use) (service, error) { return connectGoogle(ctx, name, u) }}
}

// googleKey is a version of a key in Google Cloud KMS, by its REST API of version 1.
type googleKey struct {
	*caller
	base   string // URL that the name is appended to
	name   string
	tokens oauth2.TokenSource
	use    use
}

const scope = "https://www.googleapis.com/auth/cloudkms"

// universe is the domain of Google's services, or of a cloud that a partner runs.
var universe = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

func connectGoogle(ctx context.Context, name string, u use) (*googleKey, error) {
	// Tokens are asked for later, too, when the context of the opening has ended.
	asking := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Timeout: bounds.KeyService})
	found, err := google.FindDefaultCredentialsWithParams(asking, google.CredentialsParams{Scopes: []string{scope}})
	if err != nil {
		return nil, &refusal{problem: "there are no credentials: " + withoutTokens(err), advice: "log in to Google Cloud before (google-github-actions/auth does in a job of GitHub, gcloud auth application-default login elsewhere), as who has roles/cloudkms.signerVerifier on the key"}
	}
	domain, err := found.GetUniverseDomain()
	if err != nil || !universe.MatchString(domain) {
		return nil, &refusal{problem: fmt.Sprintf("the credentials name no domain of Google's services: %.100q", domain), advice: "log in to Google Cloud again"}
	}
	base := "https://cloudkms." + domain + "/v1/"
	return &googleKey{caller: newCaller("Google Cloud KMS", base), base: base, name: name, tokens: found.TokenSource, use: u}, nil
}

// checksum is a CRC32C of what goes to Google or comes from there, which it wants compared:
// bits may turn over in its own machines. JSON has it as text.
func checksum(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}

// versions is what stands between the name of a key and the number of a version.
const versions = "/cryptoKeyVersions/"

// mostVersions is how many enabled versions a key may have of which none is named.
const mostVersions = 50

// choose takes the newest version that is enabled, as cosign does, where none is named.
func (k *googleKey) choose(ctx context.Context) error {
	if strings.Contains(k.name, versions) {
		return nil
	}
	const advice = "name a version of the key that is enabled: …/cryptoKeys/K/cryptoKeyVersions/N"
	var answer struct {
		CryptoKeyVersions []struct{ Name string }
		NextPageToken     string
	}
	if err := k.ask(ctx, fmt.Sprintf("/cryptoKeyVersions?filter=state%%3DENABLED&pageSize=%d", mostVersions), nil, &answer); err != nil {
		r := refused(err)
		return &refusal{problem: "listing its versions: " + r.problem, advice: r.remedy() + "; a version that is named is not looked for (to list them takes roles/cloudkms.viewer)", err: err}
	}
	newest := uint64(0)
	for _, v := range answer.CryptoKeyVersions {
		number, ok := strings.CutPrefix(v.Name, k.name+versions)
		n, err := strconv.ParseUint(number, 10, 63)
		if !ok || err != nil {
			return damaged("list of versions")
		}
		newest = max(newest, n)
	}
	switch {
	case answer.NextPageToken != "":
		return &refusal{problem: fmt.Sprintf("it has more than %d versions that are enabled", mostVersions), advice: advice}
	case newest == 0:
		return &refusal{problem: "none of its versions is enabled", advice: advice}
	}
	k.name += versions + strconv.FormatUint(newest, 10)
	return nil
}

func (k *googleKey) publicKey(ctx context.Context) ([]byte, error) {
	if err := k.choose(ctx); err != nil {
		return nil, err
	}
	var answer struct{ Name, Algorithm, Pem, PemCrc32c string }
	if err := k.ask(ctx, "/publicKey", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Algorithm != k.use.google {
		return nil, &refusal{problem: fmt.Sprintf("it is a key of algorithm %.60q, want %q", answer.Algorithm, k.use.google), advice: k.use.googleAdvice()}
	}
	if answer.Name != k.name || answer.PemCrc32c != checksum([]byte(answer.Pem)) {
		return nil, damaged("public key")
	}
	der, ok := fromPEM(answer.Pem)
	if !ok {
		return nil, damaged("public key")
	}
	return der, nil
}

// fromPEM returns the bytes of a public key that is written in PEM, alone.
func fromPEM(text string) (der []byte, ok bool) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, false
	}
	return block.Bytes, true
}

func (k *googleKey) sign(ctx context.Context, hash [32]byte) ([]byte, error) {
	var question struct {
		Digest struct {
			Sha256 []byte `json:"sha256"`
		} `json:"digest"`
		DigestCrc32c string `json:"digestCrc32c"`
	}
	question.Digest.Sha256, question.DigestCrc32c = hash[:], checksum(hash[:])
	var answer struct {
		Name                 string
		Signature            []byte
		SignatureCrc32c      string
		VerifiedDigestCrc32c bool
	}
	if err := k.ask(ctx, ":asymmetricSign", question, &answer); err != nil {
		return nil, err
	}
	if answer.Name != k.name || !answer.VerifiedDigestCrc32c || answer.SignatureCrc32c != checksum(answer.Signature) {
		return nil, damaged("signature")
	}
	return answer.Signature, nil
}

// damaged is for an answer whose checksums are not those of what is in it, or that is about
// something else.
func damaged(what string) error {
	return &refusal{problem: "its answer with the " + what + " was damaged on its way, or is of another key: name and checksums are not those that were asked for", advice: "wait and run the same command again: what is done is found"}
}

// ask makes a request about the key.
func (k *googleKey) ask(ctx context.Context, what string, question, answer any) error {
	token, err := k.tokens.Token()
	if err != nil {
		return &refusal{problem: "no access token is given: " + tokenProblem(err), advice: "log in to Google Cloud again, as who has roles/cloudkms.signerVerifier on the key"}
	}
	k.used.add(token.AccessToken)
	return k.caller.ask(ctx, request{
		url: k.base + k.name + what, header: http.Header{"Authorization": {token.Type() + " " + token.AccessToken}}, question: question, answer: answer, refused: k.refused,
	})
}

// tokenProblem says why there is no token. A service's whole answer is not shown: there are
// those that repeat what they were given.
func tokenProblem(err error) string {
	var answered *oauth2.RetrieveError
	if errors.As(err, &answered) && answered.Response != nil {
		return brief(fmt.Sprintf("%s %s %s", answered.Response.Status, answered.ErrorCode, answered.ErrorDescription))
	}
	return withoutTokens(err)
}

// opaque matches what may be a token: an answer of the service at which a job's token is
// exchanged is quoted by oauth2, and says why, and may repeat it.
var opaque = regexp.MustCompile(`[A-Za-z0-9_+=.-]{40,}`)

// withoutTokens is an error in a service's words, without what may be a token in them.
func withoutTokens(err error) string {
	return brief(opaque.ReplaceAllString(redact.Error(err).Error(), "(hidden)"))
}

// refused says what an error of Google's means (google.rpc.Status).
func (k *googleKey) refused(status int, data []byte) error {
	var answer struct {
		Error struct{ Message, Status string }
	}
	if bounds.CheckJSON(data) != nil || json.Unmarshal(data, &answer) != nil {
		answer.Error.Message = "nothing that its API knows"
	}
	r := &refusal{problem: fmt.Sprintf("it answered %d %s: %s", status, brief(answer.Error.Status), brief(answer.Error.Message))}
	switch answer.Error.Status {
	case "UNAUTHENTICATED":
		r.advice = "log in to Google Cloud again: the credentials are not taken, or have run out"
	case "PERMISSION_DENIED":
		r.advice = "give who is logged in roles/cloudkms.signerVerifier on the key, and enable the API cloudkms.googleapis.com in its project"
	case "NOT_FOUND":
		r.advice = "correct the key's name: project, location, key ring, key and version"
	case "FAILED_PRECONDITION":
		r.advice = "look at the version's state (gcloud kms keys versions describe): one that is disabled can be enabled, one that is to be destroyed restored, and one of another purpose signs nothing"
	case "INVALID_ARGUMENT":
		r.advice = "correct the key's name: the version must be of an asymmetric key, with algorithm " + k.use.google
	case "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED":
		wait(r)
	}
	return r
}
