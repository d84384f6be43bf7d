package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"

	"github.com/mrelease/mrelease/publish/record"
	"github.com/mrelease/mrelease/publish/registry"
	"github.com/mrelease/mrelease/publish/registry/signing"
)

var update = flag.Bool("update", false, "write the golden file")

// madeFrom has everything that a provenance can state.
func madeFrom() record.Source {
	s := unsigned(common.Address{}).Source
	s.Unsealed = &v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("e", 64)}
	s.Materials = []record.Material{
		{URI: "https://example.com/get?a=1&b=2", Digest: record.Digest{Hash: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("1", 64)}}},
		{URI: "pkg:docker/debian@13?platform=linux%2Famd64", Digest: record.Digest{Hash: v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("2", 64)}}},
	}
	return s
}

// pushed returns an image in a registry of its own.
func pushed(t *testing.T) name.Digest {
	t.Helper()
	s := httptest.NewServer(testregistry.New(testregistry.WithReferrersSupport(true), testregistry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	tag, err := name.NewTag(strings.TrimPrefix(s.URL, "http://") + "/app:1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	digest, err := registry.Client{}.Push(t.Context(), tag, empty.Image)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func signingKey(t *testing.T) *signing.Key {
	t.Helper()
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return []byte("password"), nil })
	if err != nil {
		t.Fatal(err)
	}
	key, err := signing.LoadKey(keys.PrivateBytes, []byte("password"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// statement reads what an image's only referrer states.
func statement(t *testing.T, image name.Digest) []byte {
	t.Helper()
	index, err := remote.Referrers(image)
	if err != nil {
		t.Fatal(err)
	}
	list, err := index.IndexManifest()
	if err != nil || len(list.Manifests) != 1 {
		t.Fatalf("referrers %v, %v; want one", list, err)
	}
	referrer, err := remote.Image(image.Digest(list.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := referrer.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layer, err := remote.Layer(image.Digest(manifest.Layers[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	var bundle struct {
		DSSEEnvelope struct{ Payload []byte } `json:"dsseEnvelope"`
	}
	if err := errors.Join(json.NewDecoder(content).Decode(&bundle), content.Close()); err != nil {
		t.Fatal(err)
	}
	return bundle.DSSEEnvelope.Payload
}

// What is on the wire stays as it is: others read it, and a later version of
// mrelease must find what an earlier one attested.
func TestProvenanceOnTheWire(t *testing.T) {
	image := pushed(t)
	if _, err := (registry.Client{}).Attest(t.Context(), image, signingKey(t), madeFrom().Provenance("1.0.0")); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := json.Indent(&got, statement(t, image), "", "  "); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(got.String(), image.RegistryStr(), "registry.example", 1) + "\n"
	golden := "testdata/provenance.json"
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || text != string(want) {
		t.Errorf("%v; got\n%s\nwant\n%s", err, text, want)
	}
}

// Each part of a source that is in a provenance makes another one.
func TestProvenanceSaysWhatTheRecordSays(t *testing.T) {
	client, image, key := registry.Client{}, pushed(t), signingKey(t)
	if _, err := client.Attest(t.Context(), image, key, madeFrom().Provenance("1.0.0")); err != nil {
		t.Fatal(err)
	}
	other := v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	for what, change := range map[string]func(*record.Source){
		"commit":                func(s *record.Source) { s.Commit = "" },
		"epoch":                 func(s *record.Source) { s.Epoch++ },
		"inputs":                func(s *record.Source) { s.Inputs = other },
		"unsealed":              func(s *record.Source) { s.Unsealed = nil },
		"URI of a material":     func(s *record.Source) { s.Materials[0].URI = "https://example.com/" },
		"digest of a material":  func(s *record.Source) { s.Materials[1].Digest = record.Digest{Hash: other} },
		"material that is left": func(s *record.Source) { s.Materials = s.Materials[:1] },
	} {
		s := madeFrom()
		change(&s)
		var wrong *registry.UnattestedError
		if err := client.CheckAttestation(t.Context(), image, key.PublicKey, s.Provenance("1.0.0")); !errors.As(err, &wrong) || len(wrong.Got) != 1 {
			t.Errorf("another %s: %v, want an UnattestedError that says what is attested", what, err)
		}
	}
	if err := client.CheckAttestation(t.Context(), image, key.PublicKey, madeFrom().Provenance("1.0.1")); err == nil {
		t.Error("another version is taken for the attested one")
	}
	if err := client.CheckAttestation(t.Context(), image, key.PublicKey, madeFrom().Provenance("1.0.0")); err != nil {
		t.Error(err)
	}
}

// A run at another commit of the same inputs says what the first run said.
func TestKeepCommit(t *testing.T) {
	attested := func(s record.Source) json.RawMessage {
		data, err := json.Marshal(s.Provenance("1.0.0").Predicate)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first, second, none, foreign := madeFrom(), madeFrom(), madeFrom(), madeFrom()
	second.Commit, none.Commit = strings.Repeat("d", 40), ""
	foreign.Inputs.Hex = strings.Repeat("0", 64)
	for name, tt := range map[string]struct {
		attested []json.RawMessage
		now      record.Source
		want     string
	}{
		"nothing attested":     {nil, second, second.Commit},
		"another commit":       {[]json.RawMessage{attested(first)}, second, first.Commit},
		"the tree was changed": {[]json.RawMessage{attested(none)}, second, ""},
		"the same of two":      {[]json.RawMessage{attested(first), attested(second)}, second, second.Commit},
		"other inputs":         {[]json.RawMessage{attested(foreign)}, second, second.Commit},
		"another build type":   {[]json.RawMessage{[]byte(`{"buildDefinition":{"buildType":"https://example.com/"}}`), []byte(`[]`)}, second, second.Commit},
	} {
		tt.now.KeepCommit(tt.attested)
		if tt.now.Commit != tt.want {
			t.Errorf("%s: commit %q, want %q", name, tt.now.Commit, tt.want)
		}
	}
}

// A commit of git is a material by the name that git has for it.
func TestDigestOfAMaterial(t *testing.T) {
	commit, sum := strings.Repeat("c", 40), strings.Repeat("1", 64)
	for text, ok := range map[string]bool{
		"sha1:" + commit: true, "sha256:" + sum: true, "sha1:" + sum: false, "sha1:" + commit[1:]: false, "sha1:" + strings.ToUpper(commit): false,
		"sha256:" + commit: false, "sha256:": false, commit: false, "": false, "md5:" + commit: false, "sha1:" + commit + "\n": false,
	} {
		var source record.Source
		err := source.ReadAnnotations(map[string]string{registry.MaterialsAnnotation: `[{"uri":"git://example.com/a","digest":` + strconv.Quote(text) + `}]`})
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !ok {
			continue
		}
		again, err := json.Marshal(source.Materials)
		if err != nil || string(again) != `[{"uri":"git://example.com/a","digest":"`+text+`"}]` {
			t.Errorf("%s is written as %s, %v", text, again, err)
		}
		predicate, err := json.Marshal(source.Provenance("1.0.0").Predicate)
		algorithm, hex, _ := strings.Cut(text, ":")
		if want := `"digest":{"` + algorithm + `":"` + hex + `"}`; err != nil || !strings.Contains(string(predicate), want) {
			t.Errorf("%s is attested as %s, %v", text, predicate, err)
		}
	}
}
