package keyservice

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// AWS is a stand-in for AWS KMS in one region. Requests must carry Signature Version 4 by
// its credentials.
type AWS struct {
	Region    string
	AccessKey string
	Secret    string
	Session   string          // token of temporary credentials; empty: they are not temporary
	Keys      map[string]*Key // by alias, without alias/
	Throttle  func() bool     // whether to refuse a request for now; nil: none is
}

const account = "111122223333"

// ARN returns the key's ARN by its alias.
func (a *AWS) ARN(alias string) string {
	return "arn:aws:kms:" + a.Region + ":" + account + ":key/" + uuid(alias)
}

// AliasARN returns the ARN of an alias.
func (a *AWS) AliasARN(alias string) string {
	return "arn:aws:kms:" + a.Region + ":" + account + ":alias/" + alias
}

// awsError is an answer that is an error: type and message of the AWS JSON protocol.
type awsError struct{ kind, message string }

func (e *awsError) Error() string { return e.kind + ": " + e.message }

// ServeHTTP answers TrentService.GetPublicKey and TrentService.Sign of AWS JSON 1.1.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var answer any
	if err == nil {
		err = a.admit(r, body)
	}
	if err == nil {
		answer, err = a.answer(r.Header.Get("X-Amz-Target"), body)
	}
	status := http.StatusOK
	if err != nil {
		var refused *awsError
		if !errors.As(err, &refused) {
			refused, status = &awsError{"KMSInternalException", err.Error()}, http.StatusInternalServerError
		} else {
			status = http.StatusBadRequest
		}
		answer = map[string]string{"__type": refused.kind, "message": refused.message}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", uuid(time.Now().String()))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // who asked may have gone
}

// admit checks Signature Version 4, by its description, not by the code that signs.
func (a *AWS) admit(r *http.Request, body []byte) error {
	if a.Throttle != nil && a.Throttle() {
		return &awsError{"ThrottlingException", "Rate exceeded"}
	}
	fields, err := authorization(r.Header.Get("Authorization"))
	if err != nil {
		return err
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[0] != a.AccessKey {
		return &awsError{"UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	if scope[2] != a.Region || scope[3] != "kms" || scope[4] != "aws4_request" {
		return &awsError{"InvalidSignatureException", fmt.Sprintf("Credential should be scoped to a valid region, not '%s'. ", scope[2])}
	}
	if token := r.Header.Get("X-Amz-Security-Token"); subtle.ConstantTimeCompare([]byte(token), []byte(a.Session)) != 1 {
		return &awsError{"UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || at.Format("20060102") != scope[1] || time.Since(at).Abs() > 5*time.Minute {
		return &awsError{"InvalidSignatureException", "Signature expired: " + r.Header.Get("X-Amz-Date") + " is not within 5 minutes of now"}
	}
	signed := strings.Split(fields["SignedHeaders"], ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "x-amz-date") || !slices.Contains(signed, "x-amz-target") || a.Session != "" && !slices.Contains(signed, "x-amz-security-token") {
		return &awsError{"IncompleteSignatureException", "Host and all x-amz- headers must be signed"}
	}
	canonical := canonicalRequest(r, signed, body)
	if want := a.signature(scope, at, canonical); subtle.ConstantTimeCompare([]byte(want), []byte(fields["Signature"])) != 1 {
		// The real one repeats the request, with the session's token in it.
		return &awsError{"InvalidSignatureException", "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'" + canonical + "'\n"}
	}
	return nil
}

func authorization(header string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return nil, &awsError{"MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	return fields, nil
}

func canonicalRequest(r *http.Request, signed []string, body []byte) string {
	var b strings.Builder
	query, _ := url.ParseQuery(r.URL.RawQuery) // an answer to nonsense does not matter
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, path, query.Encode())
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(strings.Fields(value), " "))
	}
	fmt.Fprintf(&b, "\n%s\n%x", strings.Join(signed, ";"), sha256.Sum256(body))
	return b.String()
}

func (a *AWS) signature(scope []string, at time.Time, canonical string) string {
	key := []byte("AWS4" + a.Secret)
	for _, part := range scope[1:] {
		key = mac(key, part)
	}
	text := fmt.Sprintf("AWS4-HMAC-SHA256\n%s\n%s\n%x", at.Format("20060102T150405Z"), strings.Join(scope[1:], "/"), sha256.Sum256([]byte(canonical)))
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func (a *AWS) answer(target string, body []byte) (any, error) {
	var question struct {
		KeyID, MessageType, SigningAlgorithm string
		Message                              []byte
	}
	if err := json.Unmarshal(body, &question); err != nil {
		return nil, &awsError{"SerializationException", "not JSON"}
	}
	alias, key, err := a.find(question.KeyID)
	if err != nil {
		return nil, err
	}
	key.Lock()
	defer key.Unlock()
	action, known := map[string]string{"TrentService.GetPublicKey": "kms:GetPublicKey", "TrentService.Sign": "kms:Sign"}[target]
	if !known {
		return nil, &awsError{"UnknownOperationException", ""}
	}
	if err := key.usable(a.ARN(alias), action); err != nil {
		return nil, err
	}
	spec := fmt.Sprintf("ECC_NIST_P%d", key.bits())
	if key.isSecp256k1() {
		spec = "ECC_SECG_P256K1"
	}
	if action == "kms:GetPublicKey" {
		der, err := key.publicKey()
		return map[string]any{
			"KeyId": a.ARN(alias), "PublicKey": der, "KeySpec": spec, "CustomerMasterKeySpec": spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": []string{"ECDSA_SHA_256"},
		}, err
	}
	if question.MessageType != "DIGEST" || question.SigningAlgorithm != "ECDSA_SHA_256" || len(question.Message) != sha256.Size {
		return nil, &awsError{"ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256."}
	}
	der, err := key.sign(question.Message)
	return map[string]any{"KeyId": a.ARN(alias), "Signature": der, "SigningAlgorithm": "ECDSA_SHA_256"}, err
}

// usable says in the words of AWS why a key cannot be used.
func (k *Key) usable(arn, action string) error {
	switch {
	case k.Denied:
		return &awsError{"AccessDeniedException", "User: arn:aws:sts::" + account + ":assumed-role/release/job is not authorized to perform: " + action + " on resource: " + arn + " because no identity-based policy allows the " + action + " action"}
	case k.State == Disabled:
		return &awsError{"DisabledException", arn + " is disabled."}
	case k.State == Deleting:
		return &awsError{"KMSInvalidStateException", arn + " is pending deletion."}
	}
	return nil
}

func (a *AWS) find(id string) (alias string, key *Key, err error) {
	for alias, key := range a.Keys {
		if slices.Contains([]string{uuid(alias), a.ARN(alias), "alias/" + alias, a.AliasARN(alias)}, id) {
			return alias, key, nil
		}
	}
	switch region := strings.Split(id+":::::", ":")[3]; {
	case region != "" && region != a.Region:
		return "", nil, &awsError{"NotFoundException", "Invalid arn " + region}
	case strings.HasPrefix(id, "alias/"):
		return "", nil, &awsError{"NotFoundException", "Alias " + a.AliasARN(strings.TrimPrefix(id, "alias/")) + " is not found."}
	}
	return "", nil, &awsError{"NotFoundException", "Key '" + id + "' does not exist"}
}
