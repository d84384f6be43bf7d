package registry_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/publish/registry"
)

const (
	simpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	envelopeType  = "application/vnd.dsse.envelope.v1+json"
)

// older is a client that writes cosign's older layout.
var older = registry.Client{Layout: registry.Tags}

func tagOf(image name.Digest, suffix string) name.Tag {
	return image.Tag(strings.Replace(image.DigestStr(), ":", "-", 1) + suffix)
}

// layers returns what is under a tag of the older layout.
func layers(t *testing.T, tag name.Tag) []v1.Descriptor {
	t.Helper()
	image, err := remote.Image(tag)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Layers
}

// put writes layers under a tag, in the place of what is there.
func put(t *testing.T, tag name.Tag, all ...mutate.Addendum) {
	t.Helper()
	image, err := mutate.Append(mutate.MediaType(empty.Image, types.OCIManifestSchema1), all...)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
}

func layer(content, mediaType, signature string) mutate.Addendum {
	return mutate.Addendum{Layer: static.NewLayer([]byte(content), types.MediaType(mediaType)), Annotations: map[string]string{"dev.cosignproject.cosign/signature": signature}}
}

func read(t *testing.T, image name.Digest, d v1.Descriptor) string {
	t.Helper()
	l, err := remote.Layer(image.Digest(d.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	content, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	text, err := bounds.ReadAll(content, bounds.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheOlderLayout(t *testing.T) {
	digest, k := push(t, start(t)), key(t)
	says := registry.Attestation{Type: "https://example.com/says/v1", Predicate: map[string]uint64{"n": 1<<63 + 1}}
	for run, want := range []bool{true, false} {
		made, err := older.State(t.Context(), digest, k, registry.Signature(), says)
		if err != nil || made[0] != want || made[1] != want {
			t.Fatalf("run %d: %v, %v", run+1, made, err)
		}
	}
	if s, a := layers(t, tagOf(digest, ".sig")), layers(t, tagOf(digest, ".att")); len(s) != 1 || len(a) != 1 || s[0].MediaType != simpleSigning || a[0].MediaType != envelopeType {
		t.Errorf("the tags hold %v and %v", s, a)
	}
	for name, reader := range map[string]registry.Client{"one who knows no layout": {}, "one who knows it": older} {
		if err := reader.CheckSignature(t.Context(), digest, k.PublicKey); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := reader.CheckAttestation(t.Context(), digest, k.PublicKey, says); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var unsigned *registry.UnsignedError
	if err := (registry.Client{Layout: registry.Referrers}).CheckSignature(t.Context(), digest, k.PublicKey); !errors.As(err, &unsigned) || unsigned.Others != 0 {
		t.Errorf("among referrers: %v", err)
	}
	if _, err := older.Sign(t.Context(), digest, key(t)); err != nil {
		t.Fatal(err)
	}
	if s := layers(t, tagOf(digest, ".sig")); len(s) != 2 {
		t.Errorf("with another key's signature there are %d, want 2", len(s))
	}
}

// What somebody who may push puts under the tags is counted, and is no signature of the
// key, nor an attestation, also when the key made it for something else.
func TestAttackOlderLayout(t *testing.T) {
	tag, k := start(t), key(t)
	digest := push(t, tag)
	other, err := client.Push(t.Context(), tag.Tag("2.0.0"), release(t, hash(t, "other inputs")))
	if err != nil {
		t.Fatal(err)
	}
	says := registry.Attestation{Type: "https://example.com/says/v1", Predicate: "hello"}
	if _, err := older.State(t.Context(), other, k, registry.Signature(), says); err != nil {
		t.Fatal(err)
	}
	signed, attested := layers(t, tagOf(other, ".sig"))[0], layers(t, tagOf(other, ".att"))[0]
	claim, envelope, signature := read(t, other, signed), read(t, other, attested), signed.Annotations["dev.cosignproject.cosign/signature"]
	var parts struct{ Signatures []struct{ Sig string } }
	if err := json.Unmarshal([]byte(envelope), &parts); err != nil {
		t.Fatal(err)
	}
	sign := func(text string) string {
		raw, _, err := k.SignData(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	ours := strings.ReplaceAll(claim, other.DigestStr(), digest.DigestStr())
	blob := strings.ReplaceAll(ours, "cosign container image signature", "a note")
	put(t, tagOf(digest, ".sig"),
		layer(claim, simpleSigning, signature), // of another image
		layer(ours, simpleSigning, signature),  // changed
		layer(blob, simpleSigning, sign(blob)), // a text that the key signed, and that is no signature of an image
		layer(strings.Repeat("[", 1000), simpleSigning, sign(strings.Repeat("[", 1000))),
		layer(envelope, simpleSigning, parts.Signatures[0].Sig),
		layer(ours, simpleSigning, "?"),
	)
	put(t, tagOf(digest, ".att"),
		layer(envelope, envelopeType, ""), // about another image
		layer(claim, envelopeType, signature),
		layer(strings.Replace(envelope, `"payload":"`, `"payload":"AAAA`, 1), envelopeType, ""),
		layer(strings.Repeat(" ", bounds.Bundle+1), envelopeType, ""),
	)
	for name, reader := range map[string]registry.Client{"one who knows no layout": {}, "one who knows it": older} {
		said, err := reader.Statements(t.Context(), digest, k.PublicKey)
		if err != nil || said.Others != 9 || said.Unreadable != 1 {
			t.Errorf("%s: %+v, %v", name, said, err)
		}
		var unsigned *registry.UnsignedError
		if err := said.CheckSignature(); !errors.As(err, &unsigned) {
			t.Errorf("%s: the signature: %v", name, err)
		}
		var unattested *registry.UnattestedError
		if err := said.CheckAttestation(says); !errors.As(err, &unattested) {
			t.Errorf("%s: the attestation: %v", name, err)
		}
	}
	if made, err := older.State(t.Context(), digest, k, registry.Signature(), says); err != nil || !made[0] || !made[1] {
		t.Errorf("among them: %v, %v", made, err)
	}
	if err := client.CheckSignature(t.Context(), digest, k.PublicKey); err != nil {
		t.Errorf("among them: %v", err)
	}
}
