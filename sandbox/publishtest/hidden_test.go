package publishtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/publish/apps"
	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
)

// crowd lists the first bundle that it saw as often as referrers are read, before all.
type crowd struct{ first *v1.Descriptor }

func (c *crowd) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.Contains(r.URL.Path, "/referrers/") {
		return resp, err
	}
	var list v1.IndexManifest
	err = errors.Join(json.NewDecoder(resp.Body).Decode(&list), resp.Body.Close())
	if err != nil || len(list.Manifests) == 0 {
		return resp, err
	}
	if i := slices.IndexFunc(list.Manifests, func(d v1.Descriptor) bool { return strings.Contains(d.ArtifactType, "bundle") }); c.first == nil && i >= 0 {
		c.first = &list.Manifests[i]
	}
	if c.first == nil {
		return resp, errors.New("no bundle is listed")
	}
	list.Manifests = append(slices.Repeat([]v1.Descriptor{*c.first}, bounds.Referrers), list.Manifests...)
	text, err := json.Marshal(list)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return resp, err
}

// A revocation that a crowd of other statements hides is not said to be none; and an app
// that somebody registered of an image of their own holds up nobody, whatever its registry
// lists.
func TestAttackRevocationInACrowd(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	tag, err := name.NewTag(w.Registry + "/crowd:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	client, key := registry.Client{}, signingKey(t)
	pushed, err := client.Push(t.Context(), tag, image(t, "ours"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Sign(t.Context(), pushed, key); err != nil {
		t.Fatal(err)
	}
	app := apps.Registration{Address: common.HexToAddress("0x01"), App: poco.App{Multiaddr: []byte(tag.String()), Checksum: common.HexToHash(strings.TrimPrefix(pushed.DigestStr(), "sha256:"))}}
	if err := record.CheckRevocation(t.Context(), client, key.PublicKey, 134, app); err != nil {
		t.Fatalf("before: %v", err)
	}
	hidden := registry.Client{Transport: &crowd{}}
	if _, err := hidden.Statements(t.Context(), pushed, key.PublicKey); err != nil { // sees the signature
		t.Fatal(err)
	}
	revocation := record.Revocation{Version: "1.0.0", Reason: "greets nobody", ChainID: 134, App: record.Address(app.Address)}
	if _, err := client.State(t.Context(), pushed, key, revocation.Attestation()); err != nil {
		t.Fatal(err)
	}
	var revoked *record.RevokedError
	if err := record.CheckRevocation(t.Context(), client, key.PublicKey, 134, app); !errors.As(err, &revoked) {
		t.Errorf("revoked: %v", err)
	}
	var larger *bounds.Error
	if err := record.CheckRevocation(t.Context(), hidden, key.PublicKey, 134, app); !errors.As(err, &larger) {
		t.Errorf("in a crowd: %v, want that not all was read", err)
	}
	var unsigned *registry.UnsignedError
	if err := record.CheckRevocation(t.Context(), hidden, signingKey(t).PublicKey, 134, app); !errors.As(err, &unsigned) {
		t.Errorf("a stranger's: %v, want that it is not signed", err)
	}
}
