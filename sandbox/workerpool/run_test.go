package workerpool_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/sandbox/world"
)

// push makes an image of the base image and a program in Python, and pushes it.
func push(t *testing.T, w *world.World, program string) (ref string, digest common.Hash) {
	t.Helper()
	index, err := layout.ImageIndexFromPath("../../build/base")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	base, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	if err := archive.WriteHeader(&tar.Header{Name: "app/app.py", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(program))}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(archive, program)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file.Config.Entrypoint, file.Config.Cmd = []string{"python3", "/app/app.py"}, nil
	if img, err = mutate.ConfigFile(img, file); err != nil {
		t.Fatal(err)
	}
	return upload(t, w, img)
}

func upload(t *testing.T, w *world.World, img v1.Image) (ref string, digest common.Hash) {
	t.Helper()
	tag, err := name.NewTag(w.Registry + "/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	hash, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(hash.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return tag.String(), common.Hash(raw)
}

func hello(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/hello-python/src/app.py")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// download gets a task's result from the gateway.
func download(t *testing.T, w *world.World, results []byte) []byte {
	t.Helper()
	var at struct{ Storage, Location string }
	if err := json.Unmarshal(results, &at); err != nil || at.Storage != "ipfs" {
		t.Fatalf("%s: %v", results, err)
	}
	resp, err := http.Get(w.Gateway + at.Location)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	return data
}

func unzip(t *testing.T, data []byte) map[string]string {
	t.Helper()
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

func TestImagesRun(t *testing.T) {
	w, told := start(t, nil)
	image, digest := push(t, w, hello(t))
	b := newBuyer(t, w, w.V6)
	app := b.app(image, digest, "key|tag|mrenclave")
	for params, want := range map[string]string{
		"python3 /app/app.py 2019":                          "Hello, 2019!\n",
		`{"iexec_args":"a 'b c'"}`:                          "Hello, a b c!\n",
		`{"iexec_args":"","iexec_result_encryption":false}`: "Hello, world!\n",
	} {
		begun := time.Now()
		_, tasks := b.buy(run{app: app, tag: poco.TEE(), params: params})
		if err := told.wait(t, tasks[0]); err != nil {
			t.Fatal(err)
		}
		t.Logf("done in %s", time.Since(begun))
		got := unzip(t, download(t, w, b.task(tasks[0]).Results))
		if got["result.txt"] != want || len(got) != 2 || got["computed.json"] == "" {
			t.Errorf("%s: result is %q, want %q", params, got, want)
		}
	}
}
