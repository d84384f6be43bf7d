package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"regexp"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/internal/patient"
	"github.com/mrelease/mrelease/internal/redact"
	"github.com/mrelease/mrelease/outside"
)

// Google is a version of a key in Google Cloud KMS:
// projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V.
func Google(name string) Key {
	return Key{"Google Cloud KMS key " + name, func(ctx context.Context) (service, error) { return connectGoogle(ctx, name) }}
}

// googleKey is a version of a key in Google Cloud KMS, by its REST API of version 1.
type googleKey struct {
	base   string // URL that the name is appended to
	name   string
	tokens oauth2.TokenSource
	client *http.Client
	used   used
}

const scope = "https://www.googleapis.com/auth/cloudkms"

// algorithm is the one that Google has for keys on secp256k1. What is signed is any 32
// bytes, which it calls a SHA-256.
const algorithm = "EC_SIGN_SECP256K1_SHA256"

// universe is the domain of Google's services, or of a cloud that a partner runs.
var universe = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

func connectGoogle(ctx context.Context, name string) (*googleKey, error) {
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
	return newGoogleKey("https://cloudkms."+domain+"/v1/", name, found.TokenSource), nil
}

func newGoogleKey(base, name string, tokens oauth2.TokenSource) *googleKey {
	k := &googleKey{base: base, name: name, tokens: tokens}
	k.client = patient.Client(bounds.KeyService, outside.Service{Host: k.host(), Most: bounds.KeyServiceAnswer, Stay: true}, nil)
	return k
}

// host is that of the service, with the port where it has one.
func (k *googleKey) host() string {
	r, err := http.NewRequest(http.MethodGet, k.base, nil)
	if err != nil {
		return ""
	}
	return r.URL.Host
}

// checksum is a CRC32C of what goes to Google or comes from there, which it wants compared:
// bits may turn over in its own machines. JSON has it as text.
func checksum(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 10)
}

func (k *googleKey) publicKey(ctx context.Context) ([]byte, error) {
	var answer struct{ Name, Algorithm, Pem, PemCrc32c string }
	if err := k.ask(ctx, http.MethodGet, "/publicKey", nil, &answer); err != nil {
		return nil, err
	}
	if answer.Algorithm != algorithm {
		return nil, &refusal{problem: fmt.Sprintf("it is a key of algorithm %.60q, want %q", answer.Algorithm, algorithm), advice: "name a key that was made with --purpose asymmetric-signing --default-algorithm ec-sign-secp256k1-sha256 --protection-level hsm"}
	}
	if answer.Name != k.name || answer.PemCrc32c != checksum([]byte(answer.Pem)) {
		return nil, damaged("public key")
	}
	block, rest := pem.Decode([]byte(answer.Pem))
	if block == nil || block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, damaged("public key")
	}
	return block.Bytes, nil
}

func (k *googleKey) sign(ctx context.Context, hash common.Hash) ([]byte, error) {
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
	if err := k.ask(ctx, http.MethodPost, ":asymmetricSign", question, &answer); err != nil {
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

// ask makes a request about the key. Signing has no effect, so it is made again when it
// fails.
func (k *googleKey) ask(ctx context.Context, method, what string, question, answer any) error {
	token, err := k.tokens.Token()
	if err != nil {
		return &refusal{problem: "no access token is given: " + tokenProblem(err), advice: "log in to Google Cloud again, as who has roles/cloudkms.signerVerifier on the key"}
	}
	var body []byte
	if question != nil {
		if body, err = json.Marshal(question); err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, k.base+k.name+what, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making request: %w", err)
	}
	k.used.add(token.AccessToken)
	token.SetAuthHeader(r)
	r.Header.Set("Content-Type", "application/json")
	resp, err := k.client.Do(r)
	if err != nil {
		return k.silent(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return k.silent(err)
	}
	if resp.StatusCode != http.StatusOK {
		return k.refused(resp.StatusCode, data)
	}
	if err := bounds.CheckJSON(data); err != nil || json.Unmarshal(data, answer) != nil {
		return &refusal{problem: "what came back is no JSON of its API", advice: "find out what answers in the place of Google Cloud KMS"}
	}
	return nil
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
		r.advice = "correct the key's name: the version must be of an asymmetric key, with algorithm " + algorithm
	case "RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED":
		r.problem += " (asked several times)"
		r.advice = "wait and run the same command again: what is done is found"
	}
	return r
}

// silent is for who did not answer.
func (k *googleKey) silent(err error) error {
	var larger *bounds.Error
	if errors.As(err, &larger) {
		return &refusal{problem: "its answer is too large: " + larger.Error(), advice: "find out what answers in the place of Google Cloud KMS", err: err}
	}
	return &refusal{problem: "it cannot be reached, or did not answer: " + brief(redact.Error(err).Error()), advice: "look at the network, and run the same command again: what is done is found", err: err}
}

func (k *googleKey) hide(text string) string { return k.used.hide(text) }
