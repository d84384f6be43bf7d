package workerpool_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/poco"
	"github.com/mrelease/mrelease/request/result"
	"github.com/mrelease/mrelease/sandbox/fault"
	"github.com/mrelease/mrelease/sandbox/worker"
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

// tester is a program that does what its arguments say.
const tester = `import json, os, sys, time
out, args = os.environ["IEXEC_OUT"], sys.argv[1:]
computed = {"deterministic-output-path": out + "/result.txt"}
if args[0] == "exit":
    print("no luck")
    sys.exit(int(args[1]))
if args[0] == "sleep":
    time.sleep(60)
if args[0] == "silent":
    sys.exit(0)
if args[0] == "link":
    os.symlink("/etc/passwd", out + "/result.txt")
else:
    if args[0] == "call":
        computed = {"callback-data": args[1]}
    text = " ".join(args)
    if args[0] == "env":
        text = " ".join(os.environ.get(name, "none") for name in args[1:])
    if args[0] == "read":
        text = open(os.path.join(os.environ["IEXEC_IN"], os.environ[args[1]])).read()
    with open(out + "/result.txt", "w") as f:
        f.write(text)
with open(out + "/computed.json", "w") as f:
    json.dump(computed, f)
`

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

// pushSecret gives the secret service a secret, signed as it wants it.
func (b *buyer) pushSecret(w *world.World, path string, of common.Address, name, value string) {
	b.t.Helper()
	message := crypto.Keccak256(crypto.Keccak256([]byte("IEXEC_SMS_DOMAIN")), of[:], crypto.Keccak256([]byte(name)), crypto.Keccak256([]byte(value)))
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, w.Secrets+path, strings.NewReader(value))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", hexutil.Encode(b.sign(common.Hash(accounts.TextHash(message)))))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		b.t.Fatalf("pushing secret: %s", resp.Status)
	}
}

// runner is an app in a world whose workers run images.
type runner struct {
	*buyer
	world *world.World
	told  ends
	app   common.Address
}

func (r *runner) buys(t *testing.T, params string) (task, error) {
	t.Helper()
	return r.ask(t, run{app: r.app, tag: poco.TEE(), params: params})
}

// ask buys a run, and returns the task when it ended, and why it has no result.
func (r *runner) ask(t *testing.T, wanted run) (task, error) {
	t.Helper()
	_, tasks := r.buy(wanted)
	err := r.told.wait(t, tasks[0])
	return r.task(tasks[0]), err
}

// clear buys a run whose result is not encrypted, and returns its file.
func (r *runner) clear(t *testing.T, params string) string {
	t.Helper()
	got, err := r.buys(t, params)
	if err != nil {
		t.Fatal(err)
	}
	files := unzip(t, download(t, r.world, got.Results))
	if digest := sha256.Sum256([]byte(files["result.txt"])); got.Status != completed || got.ResultDigest != digest || len(files) != 2 {
		t.Errorf("task is %+v, with %q", got, files)
	}
	return files["result.txt"]
}

func TestImagesRun(t *testing.T) {
	w, told := start(t, nil)
	image, digest := push(t, w, tester)
	b := newBuyer(t, w, w.V6)
	r := &runner{b, w, told, b.app(image, digest, "key|tag|mrenclave")}
	t.Run("as the params say", r.followParams)
	t.Run("with secrets and files", r.haveInputs)
	t.Run("and encrypt", r.encrypt)
	t.Run("and call back", r.callBack)
	t.Run("or do not", r.fail)
	t.Run("and meet faults", r.meetFaults)
}

func (r *runner) followParams(t *testing.T) {
	for params, want := range map[string]string{
		"python3 /app/app.py in 2019":                           "in 2019",
		`{"iexec_args":"a 'b c'"}`:                              "a b c",
		`{"iexec_args":"b","iexec_tee_post_compute_image":"a"}`: "b", // of version 5
	} {
		if got := r.clear(t, params); got != want {
			t.Errorf("%s: %q, want %q", params, got, want)
		}
	}
}

func (r *runner) haveInputs(t *testing.T) {
	r.pushSecret(r.world, "/apps/"+r.app.Hex()+"/secrets", r.app, "1", "the app's")
	r.pushSecret(r.world, "/requesters/"+r.me.Hex()+"/secrets/mine", r.me, "mine", "the requester's")
	want := "the app's the requester's /iexec_in 1 0"
	if got := r.clear(t, `{"iexec_args":"env IEXEC_APP_DEVELOPER_SECRET IEXEC_REQUESTER_SECRET_2 IEXEC_IN IEXEC_BOT_SIZE IEXEC_BOT_TASK_INDEX","iexec_secrets":{"2":"mine"}}`); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "words") }))
	defer files.Close()
	if got := r.clear(t, fmt.Sprintf(`{"iexec_args":"read IEXEC_INPUT_FILE_NAME_1","iexec_input_files":["%s/a/b.txt"]}`, files.URL)); got != "words" {
		t.Errorf("got %q", got)
	}
}

func (r *runner) encrypt(t *testing.T) {
	const params = `{"iexec_args":"secret","iexec_result_encryption":true}`
	if got, err := r.buys(t, params); got.Status != active || err == nil || !strings.Contains(err.Error(), "no key of the beneficiary") {
		t.Errorf("without a key: %v, %+v", err, got)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const name = "iexec-result-encryption-public-key"
	text := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	r.pushSecret(r.world, "/secrets/web2?ownerAddress="+r.me.Hex()+"&secretName="+name, r.me, name, text)
	for format, want := range map[worker.Format]result.Format{worker.OAEP: result.OAEP, worker.ECB: result.ECB, worker.CBC: result.CBC} {
		r.world.SetFormat(format)
		got, err := r.buys(t, params)
		if err != nil {
			t.Fatal(err)
		}
		packed := download(t, r.world, got.Results)
		opened, err := result.Open(bytes.NewReader(packed), int64(len(packed)))
		if err != nil {
			t.Fatal(err)
		}
		var archive bytes.Buffer
		if err := opened.WriteArchive(&archive, key); err != nil {
			t.Fatal(err)
		}
		if files := unzip(t, archive.Bytes()); opened.Format != want || files["result.txt"] != "secret" || got.ResultDigest != sha256.Sum256([]byte("secret")) {
			t.Errorf("%s: read as %s, %q, digest %x", format, opened.Format, files, got.ResultDigest)
		}
	}
}

func (r *runner) callBack(t *testing.T) {
	got, err := r.ask(t, run{app: r.app, tag: poco.TEE(), params: `{"iexec_args":"call 0x1234"}`, callback: r.me})
	if err != nil || got.Status != completed || !bytes.Equal(got.ResultsCallback, []byte{0x12, 0x34}) || common.Hash(got.ResultDigest) != crypto.Keccak256Hash([]byte{0x12, 0x34}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// What is ordered to fail of the gateway fails there.
func (r *runner) meetFaults(t *testing.T) {
	got, err := r.buys(t, `{"iexec_args":"a"}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.world.Faults.Add(fault.Rule{Service: "gateway", Status: http.StatusOK, Body: "other bytes"}); err != nil {
		t.Fatal(err)
	}
	if data := download(t, r.world, got.Results); string(data) != "other bytes" {
		t.Errorf("the gateway serves %q", data)
	}
	for order, want := range map[string]int{`{"format":"5"}`: 204, `{"format":"6"}`: 400, `{"formats":"5"}`: 400} {
		resp, err := http.Post(r.world.Admin+"/results", "", strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s: %s", order, resp.Status)
		}
	}
	for order, want := range map[string]int{`{"chain":"sandbox","seconds":3000}`: 204, `{"chain":"mainnet"}`: 400} {
		resp, err := http.Post(r.world.Admin+"/time", "", strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s: %s", order, resp.Status)
		}
	}
}

func (r *runner) fail(t *testing.T) {
	plain := r.app
	image, digest := push(t, r.world, tester)
	parts := strings.SplitN(image, ":1", 2)
	var other *worker.ChecksumError
	for name, tt := range map[string]struct {
		image    string
		checksum common.Hash
		category uint64
		args     string
		want     string
		as       any
	}{
		"another digest":   {image: image, checksum: common.Hash{1}, want: "APP_DOWNLOAD_FAILED", as: &other},
		"no such image":    {image: parts[0] + ":2", checksum: digest, want: "APP_DOWNLOAD_FAILED"},
		"pinned by digest": {image: parts[0] + "@sha256:" + hex.EncodeToString(digest[:]), checksum: digest, want: "APP_DOWNLOAD_FAILED"},
		"without a tag":    {image: parts[0], checksum: digest, want: "APP_DOWNLOAD_FAILED"},
		"exit code":        {args: "exit 3", want: "no luck"},
		"too long":         {args: "sleep", category: r.chain.Workerpool.Short, want: "it took longer than the 5s of its category"},
		"no computed.json": {args: "silent", want: "RESULT_UPLOAD_FAILED: reading computed.json"},
		"result elsewhere": {args: "link", want: "RESULT_UPLOAD_FAILED"},
	} {
		t.Run(name, func(t *testing.T) {
			app := plain
			if tt.image != "" {
				app = r.buyer.app(tt.image, tt.checksum, "")
			}
			got, err := r.ask(t, run{app: app, tag: poco.TEE(), category: tt.category, params: fmt.Sprintf(`{"iexec_args":%q}`, tt.args)})
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.as != nil && !errors.As(err, tt.as) || got.Status != active {
				t.Errorf("%v, want %s; task is %+v", err, tt.want, got)
			}
		})
	}
}
