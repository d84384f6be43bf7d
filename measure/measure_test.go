package measure_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/measure"
)

const (
	// A fingerprint in the shape of those that iExec's builds of 2019 printed.
	key  = "3b62fef2f8ba5ad5ba39cbcd7c35b9e4a64a8e0fcbd96ba51c1f67a6a0cf9a76"
	tag  = "b873e72c7d9f4f1ea27d5b1d5e7151d8"
	hash = "b84bc68bae8cdc87dcf2a0d5f9a3d3b9a4b4ad4fd2e4a6d0ea0b8db36c4faf6d"

	other = "16e7c11e75448e31c94d023e40ece7429fb17481bc62f521c8f70da9c48110a1"
)

// program stands for what the image's program prints in hash mode.
type program struct {
	stdout, stderr string
	exitCode       int
	withHeap       string // stdout when a heap is set; empty: as stdout
	hangs          bool
}

func (p program) Run(ctx context.Context, _ v1.Image, env []string, stdout, stderr io.Writer) (int, error) {
	if !slices.Contains(env, "SCONE_HASH=1") {
		return 0, errors.New("not run in hash mode")
	}
	out := p.stdout
	if p.withHeap != "" && slices.Contains(env, "SCONE_HEAP=1073741824") {
		out = p.withHeap
	}
	io.WriteString(stdout, out)
	io.WriteString(stderr, p.stderr)
	if p.hangs {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return p.exitCode, nil
}

// Look shows images that have no program in them.
func (p program) Look(_ context.Context, images []v1.Image, look func([]fs.FS) error) error {
	return look(slices.Repeat([]fs.FS{fstest.MapFS{}}, len(images)))
}

// image has one layer per map; a file is its content.
func image(t *testing.T, layers ...map[string]string) v1.Image {
	t.Helper()
	img := empty.Image
	for _, files := range layers {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for name, content := range files {
			if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, content)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func legacy() measure.Spec {
	return measure.Spec{Format: measure.Legacy, File: "/conf/fingerprint.txt", Timeout: time.Minute}
}

func object() measure.Spec {
	return measure.Spec{
		Format:  measure.JSON,
		Object:  measure.Object{Framework: "SCONE", Version: "v5.9", Entrypoint: "node /app/app.js", HeapSize: 1 << 30},
		Timeout: time.Minute,
	}
}

func TestImage(t *testing.T) {
	fingerprint := key + "|" + tag + "|" + hash
	for name, tt := range map[string]struct {
		program program
		files   map[string]string
		spec    measure.Spec
		log     string
		want    string
		sources int
	}{
		"fingerprint file": {
			program: program{stdout: hash + "\n"}, spec: legacy(),
			files: map[string]string{"conf/fingerprint.txt": fingerprint + "\n"},
			want:  fingerprint, sources: 2,
		},
		"line of the build's output": {
			program: program{stdout: hash + "\n"}, spec: legacy(),
			log:  "#####\nMREnclave: " + fingerprint + "\n#####\n",
			want: fingerprint, sources: 2,
		},
		"all sources, output through a terminal": {
			program: program{stdout: hash + "\r\n", stderr: "[SCONE|WARN] x"}, spec: legacy(),
			files: map[string]string{"./conf/fingerprint.txt": fingerprint},
			log:   "<mrenclave>" + fingerprint + "</mrenclave>\r\n#12 0.3 MREnclave: " + fingerprint + "\n",
			want:  fingerprint, sources: 3,
		},
		"line of its own, after the announcement of 2020": {
			program: program{stdout: hash + "\n"}, spec: legacy(),
			log:  "Application's fingerprint (use this when deploying your app onchain):\r\n" + fingerprint + "\r\n",
			want: fingerprint, sources: 2,
		},
		"line of its own, unannounced, beside what is none": {
			program: program{stdout: hash + "\n"}, spec: legacy(),
			log:  "a | b\n" + key + "|" + tag + "\n  " + fingerprint + "\nsha " + fingerprint + " x\n" + hash + "\n",
			want: fingerprint, sources: 2,
		},
		"four parts": {
			program: program{stdout: hash}, spec: legacy(),
			files: map[string]string{"/conf/fingerprint.txt": fingerprint + "|python3 /app/app.py"},
			want:  fingerprint + "|python3 /app/app.py", sources: 2,
		},
		"object": {
			program: program{stdout: hash + "\n"}, spec: object(),
			want:    `{"framework":"SCONE","version":"v5.9","entrypoint":"node /app/app.js","heapSize":1073741824,"fingerprint":"` + hash + `"}`,
			sources: 2,
		},
		"none": {spec: measure.Spec{Format: measure.None}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Log = []byte(tt.log)
			got, err := measure.Image(t.Context(), tt.program, image(t, tt.files), tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			if got.Value != tt.want {
				t.Errorf("value = %s, want %s", got.Value, tt.want)
			}
			if tt.want != "" && got.MRENCLAVE.String() != hash {
				t.Errorf("MRENCLAVE = %s, want %s", got.MRENCLAVE, hash)
			}
			if len(got.Readings) != tt.sources {
				t.Errorf("readings = %v, want %d", got.Readings, tt.sources)
			}
		})
	}
}

func TestImageRefusesOutput(t *testing.T) {
	for name, tt := range map[string]struct {
		program program
		want    string
	}{
		"nothing":    {program{stdout: "\n"}, "printed nothing"},
		"noise":      {program{stdout: "hello\n" + hash + "\n"}, "printed something else"},
		"more":       {program{stdout: hash + "\nready\n"}, "printed more than the measurement"},
		"two hashes": {program{stdout: hash + "\n" + other + "\n"}, "printed more than one measurement"},
		"63 digits":  {program{stdout: hash[1:] + "\n"}, "has 63 characters"},
		"upper case": {program{stdout: strings.ToUpper(hash) + "\n"}, "want lower-case"},
		"exit code":  {program{stdout: hash + "\n", exitCode: 141}, "ended with exit code 141"},
		"endless":    {program{stdout: strings.Repeat("x", 1<<20)}, "printed something else"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := measure.Image(t.Context(), tt.program, image(t), legacy())
			var output *measure.OutputError
			if !errors.As(err, &output) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("err = %v, want an OutputError with %q", err, tt.want)
			}
			for _, fact := range output.Evidence() {
				if len(fact[1]) > 1000 {
					t.Errorf("%s of %d bytes in an error", fact[0], len(fact[1]))
				}
			}
		})
	}
}

func TestImageTimeLimit(t *testing.T) {
	spec := legacy()
	spec.Timeout = 10 * time.Millisecond
	_, err := measure.Image(t.Context(), program{stdout: "starting\n", hangs: true}, image(t), spec)
	var timeout *measure.TimeoutError
	if !errors.As(err, &timeout) || timeout.Stdout != "starting\n" {
		t.Errorf("err = %v, want a TimeoutError with what was printed", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = measure.Image(ctx, program{hangs: true}, image(t), legacy())
	if !errors.Is(err, context.Canceled) || errors.As(err, &timeout) {
		t.Errorf("err = %v, want the caller's cancellation", err)
	}
}

func TestImageShowsDisagreement(t *testing.T) {
	file := map[string]string{"conf/fingerprint.txt": key + "|" + tag + "|" + hash}
	for name, tt := range map[string]struct {
		program program
		spec    measure.Spec
		log     string
		files   map[string]string
		shows   []string
	}{
		"file and runtime": {program: program{stdout: other + "\n"}, spec: legacy(), files: file, shows: []string{other, file["conf/fingerprint.txt"]}},
		"file and output":  {program: program{stdout: hash + "\n"}, spec: legacy(), files: file, log: "MREnclave: " + key + "|" + tag[1:] + "0|" + hash, shows: []string{hash, tag[1:] + "0"}},
		"two heaps":        {program: program{stdout: hash + "\n", withHeap: other + "\n"}, spec: object(), shows: []string{hash, other, "1073741824"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Log = []byte(tt.log)
			_, err := measure.Image(t.Context(), tt.program, image(t, tt.files), tt.spec)
			var mismatch *measure.MismatchError
			if !errors.As(err, &mismatch) {
				t.Fatalf("err = %v, want a MismatchError", err)
			}
			var all strings.Builder
			for _, fact := range mismatch.Evidence() {
				all.WriteString(fact[0] + "=" + fact[1] + "\n")
			}
			for _, s := range tt.shows {
				if !strings.Contains(all.String(), s) {
					t.Errorf("evidence lacks %s:\n%s", s, all.String())
				}
			}
		})
	}
}

// What a script announces is a fingerprint, however it looks.
func TestImageNamesTheMalformedPartOfAnAnnouncedLine(t *testing.T) {
	spec := legacy()
	spec.Log = []byte("Application's fingerprint (use this when deploying your app onchain):\n" + key[1:] + "|" + tag + "|" + hash + "\n")
	_, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t), spec)
	var format *measure.FormatError
	if !errors.As(err, &format) || format.Part != "KEY" {
		t.Errorf("err = %v, want a FormatError of KEY", err)
	}
}

func TestImageNamesTheMalformedPart(t *testing.T) {
	for name, tt := range map[string]struct{ text, part string }{
		"63-digit key":   {key[1:] + "|" + tag + "|" + hash, "KEY"},
		"long tag":       {key + "|" + tag + "0|" + hash, "TAG"},
		"upper-case":     {key + "|" + tag + "|" + strings.ToUpper(hash), "MRENCLAVE"},
		"two parts":      {key + "|" + tag, "fingerprint"},
		"five parts":     {key + "|" + tag + "|" + hash + "|a|b", "fingerprint"},
		"empty program":  {key + "|" + tag + "|" + hash + "|", "ENTRYPOINT"},
		"second line":    {key + "|" + tag + "|" + hash + "|python3\nx", "ENTRYPOINT"},
		"short hash":     {hash[:63], "MRENCLAVE"},
		"object without": {`{"framework":"SCONE"}`, "version"},
		"empty file":     {"", "MRENCLAVE"},
	} {
		t.Run(name, func(t *testing.T) {
			img := image(t, map[string]string{"conf/fingerprint.txt": tt.text})
			_, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, img, legacy())
			var format *measure.FormatError
			if !errors.As(err, &format) || format.Part != tt.part {
				t.Errorf("err = %v, want a FormatError about %s", err, tt.part)
			}
			if !strings.Contains(err.Error(), "/conf/fingerprint.txt") {
				t.Errorf("err = %v, want it to name the file", err)
			}
		})
	}
}

func TestImageWithoutSeal(t *testing.T) {
	_, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t), legacy())
	var none *measure.NoSealError
	if !errors.As(err, &none) || none.MRENCLAVE.String() != hash {
		t.Errorf("err = %v, want a NoSealError with the MRENCLAVE", err)
	}
	spec := legacy()
	spec.Claim = key + "|" + tag + "|" + hash
	if got, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t), spec); err != nil || got.Value != spec.Claim {
		t.Errorf("with the publisher's claim: %v, %v", got, err)
	}
}

func TestImageReadsTheTopmostFile(t *testing.T) {
	fingerprint := key + "|" + tag + "|" + hash
	stale := strings.Replace(fingerprint, key[:1], "0", 1)
	for name, tt := range map[string]struct {
		layers []map[string]string
		want   bool
	}{
		"overwritten":       {[]map[string]string{{"conf/fingerprint.txt": stale}, {"conf/fingerprint.txt": fingerprint}}, true},
		"in a lower layer":  {[]map[string]string{{"conf/fingerprint.txt": fingerprint}, {"app/x": ""}}, true},
		"removed":           {[]map[string]string{{"conf/fingerprint.txt": fingerprint}, {"conf/.wh.fingerprint.txt": ""}}, false},
		"folder removed":    {[]map[string]string{{"conf/fingerprint.txt": fingerprint}, {".wh.conf": ""}}, false},
		"folder replaced":   {[]map[string]string{{"conf/fingerprint.txt": fingerprint}, {"conf/.wh..wh..opq": ""}}, false},
		"removed and again": {[]map[string]string{{"conf/fingerprint.txt": stale}, {"conf/.wh..wh..opq": "", "conf/fingerprint.txt": fingerprint}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := measure.Image(t.Context(), program{stdout: hash + "\n"}, image(t, tt.layers...), legacy())
			var none *measure.NoSealError
			if tt.want && (err != nil || got.Value != fingerprint) {
				t.Errorf("value = %s, %v, want %s", got.Value, err, fingerprint)
			}
			if !tt.want && !errors.As(err, &none) {
				t.Errorf("value = %s, %v, want none", got.Value, err)
			}
		})
	}
}

func TestSyntheticMark(t *testing.T) {
	m, err := measure.ParseMRENCLAVE("53594e544845544943" + strings.Repeat("ab", 23))
	if err != nil || !m.IsSynthetic() {
		t.Errorf("%s, %v: not taken for synthetic", m, err)
	}
	if real, err := measure.ParseMRENCLAVE(hash); err != nil || real.IsSynthetic() {
		t.Errorf("%s, %v: taken for synthetic", real, err)
	}
}
