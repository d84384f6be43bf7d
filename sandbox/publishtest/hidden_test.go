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
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

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

// A signature that a crowd hides, in either of the places where it can be, is not said to be
// missing; and one by another key is missing where there is no crowd.
func TestAttackSignatureInACrowd(t *testing.T) {
	t.Parallel()
	w := startWorld(t)
	p := publishRelease(t, w, w.V6, "crowded", "1.0.0")
	world, err := record.Connect(t.Context(), p.profile)
	if err != nil {
		t.Fatal(err)
	}
	look := func(name string, client registry.Client) error {
		world.Registry = client
		return p.link(t, world, name).Err
	}
	tags := registry.Client{Layout: registry.Tags}
	if _, err := tags.State(t.Context(), p.image, p.key, registry.Signature(), p.Source.Provenance(p.Version)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(look("signature", registry.Client{}), look("signature", tags)); err != nil {
		t.Fatalf("without a crowd: %v", err)
	}
	suffixes := map[string]string{"signature": ".sig", "provenance": ".att"}
	for _, suffix := range suffixes {
		crowdTag(t, p.image.Tag(strings.Replace(p.image.DigestStr(), ":", "-", 1)+suffix))
	}
	if _, err := (registry.Client{}).Sign(t.Context(), p.image, signingKey(t)); err != nil {
		t.Fatal(err)
	}
	referrers, err := remote.Referrers(p.image)
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var stranger *v1.Descriptor
	for i := range list.Manifests { // of which only the stranger's does not hold
		alone := onlyListed(list.Manifests[i])
		if said, err := alone.Statements(t.Context(), p.image, p.key.PublicKey); err == nil && said.Others == 1 {
			stranger = &list.Manifests[i]
		}
	}
	if stranger == nil {
		t.Fatal("a stranger's signature is not listed")
	}
	for name := range suffixes {
		for place, client := range map[string]registry.Client{"referrers": {Layout: registry.Referrers, Transport: &crowd{stranger}}, "cosign's tags": tags} {
			var unchecked *record.UncheckedError
			if err := look(name, client); !errors.As(err, &unchecked) || !strings.Contains(err.Error(), "above the bound of 1000") {
				t.Errorf("the %s in a crowd among %s: %v", name, place, err)
			}
		}
	}
	var unsigned *registry.UnsignedError
	if err := look("signature", onlyListed(*stranger)); !errors.As(err, &unsigned) {
		t.Errorf("a stranger's alone: %v", err)
	}
}

// crowdTag puts as many layers as are read before those under a tag of cosign's older layout.
func crowdTag(t *testing.T, tag name.Tag) {
	t.Helper()
	signed, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := signed.Layers()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := signed.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	claim := mutate.Addendum{Layer: static.NewLayer([]byte("a claim"), manifest.Layers[0].MediaType)}
	all := slices.Repeat([]mutate.Addendum{claim}, bounds.Referrers)
	for i, layer := range layers {
		all = append(all, mutate.Addendum{Layer: layer, Annotations: manifest.Layers[i].Annotations, MediaType: manifest.Layers[i].MediaType})
	}
	crowded, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), all...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, crowded); err != nil {
		t.Fatal(err)
	}
}

// onlyListed reads an image's referrers from a registry that lists one.
func onlyListed(d v1.Descriptor) registry.Client {
	return registry.Client{Layout: registry.Referrers, Transport: answering(func(r *http.Request) *http.Response {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return nil
		}
		text, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{d}})
		if err != nil {
			return nil
		}
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {string(types.OCIImageIndex)}}, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text)), Request: r}
	})}
}
