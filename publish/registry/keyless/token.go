package keyless

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

// IdentityError says that the job is somebody else than the one that is to sign. Nothing
// was signed.
type IdentityError struct {
	What      string // issuer, identity, or audience
	Of        string // "token" or "certificate"
	Want, Got string
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("the %s of the %s is another one than the configuration expects", e.What, e.Of)
}

// Evidence returns both.
func (e *IdentityError) Evidence() [][2]string {
	return [][2]string{{"expected", e.Want}, {"actual", e.Got}}
}

// TokenError says that an identity token cannot be used.
type TokenError struct{ Problem string }

func (e *TokenError) Error() string { return "the identity token " + e.Problem }

// Evidence returns what is wrong; never the token.
func (e *TokenError) Evidence() [][2]string {
	return [][2]string{{"expected", "a token of this job (JWT)"}, {"actual", e.Problem}}
}

// claims are what a token says of the job. Its signature is the certificate authority's
// affair: here it is compared with what is expected, before anything is sent.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	Email    string   `json:"email"`
	Workflow string   `json:"job_workflow_ref"`  // GitHub: OWNER/REPOSITORY/FILE@REF
	Config   string   `json:"ci_config_ref_uri"` // GitLab: HOST/PROJECT//FILE@REF
}

// audience is one or several.
type audience []string

// UnmarshalJSON implements [json.Unmarshaler].
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

func readClaims(token string) (c claims, err error) {
	parts := strings.Split(token, ".")
	if token == "" {
		return c, &TokenError{"is empty"}
	}
	if len(parts) != 3 || len(token) > bounds.Key {
		return c, &TokenError{"is none: it has not the form of a JWT"}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = bounds.CheckJSON(body)
	}
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return c, &TokenError{"is none: its claims cannot be read"}
	}
	return c, nil
}

// check compares a token with who is expected to sign, and returns whom the certificate
// must name.
func (c claims) check(want signing.Identity, audience string, now time.Time) (signing.Identity, error) {
	if c.Issuer != want.Issuer {
		return want, &IdentityError{"issuer", "token", want.Issuer, c.Issuer}
	}
	if len(c.Audience) != 1 || c.Audience[0] != audience {
		return want, &IdentityError{"audience", "token", audience, strings.Join(c.Audience, ", ")}
	}
	if end := time.Unix(c.Expires, 0); !now.Before(end) {
		return want, &TokenError{"is expired since " + end.UTC().Format(time.RFC3339)}
	}
	return c.complete(want)
}

// complete adds the reference, where the expected identity has none, and compares the
// rest. Of a token that names no workflow only the certificate tells.
func (c claims) complete(want signing.Identity) (signing.Identity, error) {
	found := c.Workflow
	if c.Config != "" {
		found = c.Config
	}
	switch {
	case found == "" && c.Email != "" && c.Email != want.Subject:
		return want, &IdentityError{"identity", "token", want.Subject, c.Email}
	case found == "":
		return want, nil
	}
	workflow, ref, _ := strings.Cut(found, "@")
	expected, expectedRef, _ := strings.Cut(want.Subject, "@")
	place, https := strings.CutPrefix(expected, "https://")
	if c.Config == "" { // GitHub's names no host
		_, place, _ = strings.Cut(place, "/")
	}
	if !https || place != workflow || expectedRef != "" && expectedRef != ref {
		return want, &IdentityError{"identity", "token", want.Subject, found}
	}
	want.Subject = expected + "@" + ref
	return want, nil
}
