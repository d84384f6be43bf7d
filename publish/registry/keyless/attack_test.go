package keyless

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/publish/registry/signing"
)

// A certificate authority that repeats the token in its refusal does not get it into a log,
// whose readers could sign as the job with it.
func TestAttackAuthorityThatRepeatsTheToken(t *testing.T) {
	who := signing.Identity{Subject: "https://ci.example/acme/app/.ci/release.yml@refs/heads/main", Issuer: "https://issuer.example"}
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	token := part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"iss":%q,"sub":"job","aud":"sigstore","exp":%d}`, who.Issuer, time.Now().Add(time.Hour).Unix())) + "." + part("a signature of the issuer")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "cannot take %s from %s", body, r.Header.Get("Authorization"))
	}))
	defer server.Close()
	s := &Signer{
		Party:    &Party{identity: who},
		o:        Options{Audience: Audience, Patience: time.Second, Token: func(context.Context, string) (string, error) { return token, nil }},
		services: services{authority: server.URL},
	}
	err := s.certify(t.Context())
	var refused *ServiceError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "***") {
		t.Fatal(err)
	}
	if told := fmt.Sprint(err, refused.Evidence()); strings.Contains(told, part("a signature of the issuer")) {
		t.Errorf("it tells the token: %s", told)
	}
}
