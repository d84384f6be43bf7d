package diff_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/mrelease/mrelease/measure/diff"
)

const epoch = 1700000000

// entry is an entry of a layer with its content.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, ModTime: time.Unix(epoch, 0), Format: tar.FormatPAX}, content}
}

const (
	dpkg = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: libssl3\nStatus: install ok installed\nVersion: 3.0.11-1\nDescription: Package of\n Version: 9\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
	pyc  = "\xa7\r\r\n\x00\x00\x00\x00\x00\xf1Se\x10\x00\x00\x00code"
)

// files is the layer that the seeded faults change.
func files() []entry {
	link := file("usr/bin/python3", "")
	link.Typeflag, link.Linkname = tar.TypeSymlink, "python3.11"
	return []entry{
		file("usr/bin/python3.11", "\x7fELF interpreter"), link, file("app/app.py", "print(1)"), file("app/run.sh", "#!/bin/sh"),
		file("var/lib/dpkg/status", dpkg), file("var/log/dpkg.log", "a"), file("app/x.pyc", pyc), file("fspf.pb", "random"),
	}
}

func archive(t *testing.T, entries []entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func layer(t *testing.T, content []byte, opts ...tarball.LayerOption) v1.Layer {
	t.Helper()
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func baseLayer(t *testing.T) mutate.Addendum {
	return mutate.Addendum{Layer: layer(t, archive(t, []entry{file("etc/os-release", "12")})), History: v1.History{CreatedBy: "debootstrap", Created: v1.Time{Time: time.Unix(epoch-1000, 0)}}}
}

func ownLayer(t *testing.T, entries []entry) mutate.Addendum {
	return mutate.Addendum{Layer: layer(t, archive(t, entries)), History: v1.History{CreatedBy: "RUN apt-get install", Created: v1.Time{Time: time.Unix(epoch, 0)}}}
}

// image makes an image of layers with a program and an environment.
func image(t *testing.T, env []string, layers ...mutate.Addendum) v1.Image {
	t.Helper()
	img, err := mutate.Append(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: time.Unix(epoch, 0)}
	config.Config.Env, config.Config.Entrypoint = env, []string{"python3", "/app/app.py"}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

func env() []string { return []string{"PATH=/usr/bin", "SCONE_HEAP=1G"} }

func sealOf() diff.Options {
	return diff.Options{Files: []string{"fspf.pb", "/conf/fingerprint.txt"}, Annotations: []string{"io.mrelease.fingerprint"}}
}

func compare(t *testing.T, a, b v1.Image) diff.Report {
	t.Helper()
	r, err := diff.Compare(t.Context(), a, b, sealOf())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// all returns the changes of a report, a line each.
func all(r diff.Report) []string {
	var lines []string
	for _, f := range slices.Concat(r.Settings, r.Annotations) {
		lines = append(lines, fmt.Sprintf("%s: %s -> %s", f.Name, f.A, f.B))
	}
	for _, l := range r.Layers {
		for _, c := range l.Changes {
			lines = append(lines, fmt.Sprintf("%s %s: %s -> %s [%s]", c.Kind, c.Path, c.A, c.B, c.Cause))
		}
	}
	return lines
}

// Each seeded fault is named, and nothing else.
func TestSeededFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		change func([]entry) []entry
		want   string
	}{
		"one mtime": {func(e []entry) []entry { e[2].ModTime = time.Unix(epoch+7, 0); return e },
			"mtime /app/app.py: 2023-11-14T22:13:20Z -> 2023-11-14T22:13:27Z [modification times]"},
		"one time of an older mrelease": {func(e []entry) []entry { e[2].ModTime = time.Unix(315_619_200, 0); return e },
			"mtime /app/app.py: 2023-11-14T22:13:20Z -> 1980-01-02T00:00:00Z [one time for all files]"},
		"one time from a warm cache": {func(e []entry) []entry { e[2].ModTime = time.Unix(epoch-7, 0); return e },
			"mtime /app/app.py: 2023-11-14T22:13:20Z -> 2023-11-14T22:13:13Z [times of an earlier build]"},
		"one mode": {func(e []entry) []entry { e[3].Mode = 0o600; return e },
			"mode /app/run.sh: 0644 -> 0600 [modes or owners of the checkout]"},
		"one owner": {func(e []entry) []entry { e[3].Uid = 1000; return e },
			"owner /app/run.sh: 0:0 -> 1000:0 [modes or owners of the checkout]"},
		"one package version": {func(e []entry) []entry { e[4].content = strings.Replace(dpkg, "3.0.11-1", "3.0.13-1", 1); return e },
			"package deb libssl3: 3.0.11-1 -> 3.0.13-1 [packages without pinned versions]"},
		"one package more": {func(e []entry) []entry { e[4].content += "\nPackage: new\nVersion: 7\n"; return e },
			"package deb new:  -> 7 [packages without pinned versions]"},
		"interpreter byte": {func(e []entry) []entry { e[0].content = "\x7fELF interpretes"; return e },
			"content /usr/bin/python3.11: 16 bytes, sha256 dc890599c6be -> 16 bytes, sha256 027221789f58 []"},
		"link target": {func(e []entry) []entry { e[1].Linkname = "python3.12"; return e },
			"link /usr/bin/python3: python3.11 -> python3.12 []"},
		"link becomes a hard link": {func(e []entry) []entry { e[1].Typeflag, e[1].Linkname = tar.TypeLink, "python3.11"; return e },
			"type /usr/bin/python3: symbolic link -> hard link []"},
		"one file less": {func(e []entry) []entry { return slices.Delete(e, 2, 3) },
			"presence /app/app.py: file of 8 bytes, sha256 d287bb7f9d15 -> absent []"},
		"order": {func(e []entry) []entry { return append(append(slices.Clone(e[:1]), e[2:]...), e[1]) },
			"order /usr/bin/python3: before /app/app.py -> after /app/app.py [order of the files]"},
		"extended attribute": {func(e []entry) []entry {
			e[0].PAXRecords = map[string]string{"SCHILY.xattr.user.x": "1"}
			return e
		}, `xattrs /usr/bin/python3.11:  -> user.x="1" [modes or owners of the checkout]`},
		"another record": {func(e []entry) []entry { e[0].PAXRecords = map[string]string{"MRELEASE.x": "1"}; return e },
			`header /usr/bin/python3.11: USTAR -> PAX MRELEASE.x="1" [another writer of the archive]`},
		"log": {func(e []entry) []entry { e[5].content = "b"; return e },
			"content /var/log/dpkg.log: 1 bytes, sha256 ca978112ca1b -> 1 bytes, sha256 3e23e8160039 [logs of apt and dpkg]"},
		"bytecode": {func(e []entry) []entry { e[6].content = strings.Replace(pyc, "Se", "Te", 1); return e },
			"content /app/x.pyc: 20 bytes, sha256 f06d3f793959 -> 20 bytes, sha256 94e7c5892ed5 [Python bytecode]"},
	} {
		t.Run(name, func(t *testing.T) {
			a := image(t, env(), baseLayer(t), ownLayer(t, files()))
			b := image(t, env(), baseLayer(t), ownLayer(t, tt.change(files())))
			r := compare(t, a, b)
			if got := all(r); len(got) != 1 || got[0] != tt.want {
				t.Errorf("changes:\n%s\nwant\n%s", strings.Join(got, "\n"), tt.want)
			}
			if r.Config.Verdict != diff.Different || r.Manifest.Verdict != diff.Different {
				t.Errorf("verdicts %s, %s, want different", r.Config.Verdict, r.Manifest.Verdict)
			}
			if r.Layers[0].Index != 1 || r.Layers[0].Base || r.Layers[0].CreatedBy != "RUN apt-get install" {
				t.Errorf("layer %+v, want the second one, of this build", r.Layers[0])
			}
		})
	}
}

func TestSettings(t *testing.T) {
	own := ownLayer(t, files())
	a := image(t, env(), own)
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"heap":         {[]string{"PATH=/usr/bin", "SCONE_HEAP=2G"}, "env SCONE_HEAP: 1G -> 2G"},
		"order of env": {[]string{"SCONE_HEAP=1G", "PATH=/usr/bin"}, "env (order): PATH SCONE_HEAP -> SCONE_HEAP PATH"},
	} {
		if got := all(compare(t, a, image(t, tt.env, own))); len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	b := image(t, env(), own)
	config, err := b.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Config.Entrypoint[1] = "/app/main.py"
	config.Config.Labels = map[string]string{"org.opencontainers.image.version": "2"}
	config.Created = v1.Time{Time: time.Unix(epoch+1, 0)}
	config.History[0].CreatedBy = "RUN something"
	if b, err = mutate.ConfigFile(b, config); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"config.Entrypoint[1]: /app/app.py -> /app/main.py", "config.Labels.org.opencontainers.image.version:  -> 2",
		"created: 2023-11-14T22:13:20Z -> 2023-11-14T22:13:21Z", "history[0].created_by: RUN apt-get install -> RUN something",
	}
	if got := all(compare(t, a, b)); !slices.Equal(got, want) {
		t.Errorf("changes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestVerdicts(t *testing.T) {
	a := image(t, env(), baseLayer(t), ownLayer(t, files()))
	if r := compare(t, a, a); r.Config.Verdict != diff.Equal || r.Manifest.Verdict != diff.Equal || len(all(r))+len(r.Causes) != 0 {
		t.Errorf("an image and itself: %+v", r)
	}

	sealed := files()
	sealed[7].content = "other"
	b := mutate.Annotations(image(t, env(), baseLayer(t), ownLayer(t, sealed)), map[string]string{"io.mrelease.fingerprint": "k|t|m"}).(v1.Image)
	r := compare(t, a, b)
	if r.Config.Verdict != diff.Random || r.Manifest.Verdict != diff.Random {
		t.Errorf("two seals: %s, %s, want random by design\n%s", r.Config.Verdict, r.Manifest.Verdict, strings.Join(all(r), "\n"))
	}
	sealed[7].Mode = 0o600
	if r := compare(t, a, image(t, env(), baseLayer(t), ownLayer(t, sealed))); r.Config.Verdict != diff.Different {
		t.Errorf("a seal of another mode is %s", r.Config.Verdict)
	}

	content := archive(t, files())
	c := image(t, env(), mutate.Addendum{Layer: layer(t, content, tarball.WithCompressionLevel(1), tarball.WithMediaType(types.OCILayer))})
	d := image(t, env(), mutate.Addendum{Layer: layer(t, content, tarball.WithCompressionLevel(9), tarball.WithMediaType(types.OCILayer))})
	r = compare(t, c, d)
	if r.Config.Verdict != diff.Equal || r.Manifest.Verdict != diff.Different || len(r.Causes) != 1 || r.Causes[0].Name != "another compression" {
		t.Errorf("another compression: %s, %s, %v", r.Config.Verdict, r.Manifest.Verdict, r.Causes)
	}
}

func TestLayersAreMatched(t *testing.T) {
	base, own := baseLayer(t), ownLayer(t, files())
	moved := baseLayer(t)
	moved.Layer = layer(t, archive(t, []entry{file("etc/os-release", "13")}))
	r := compare(t, image(t, env(), base, own), image(t, env(), moved, own))
	if len(r.Layers) != 1 || !r.Layers[0].Base || len(r.Causes) != 1 || r.Causes[0].Name != "base image moved" {
		t.Errorf("another base: %+v, causes %v", r.Layers, r.Causes)
	}
	more := ownLayer(t, []entry{file("app/more", "x")})
	r = compare(t, image(t, env(), base, own), image(t, env(), base, more, own))
	if len(r.Layers) != 1 || r.Layers[0].A != "" || r.Layers[0].Index != 1 || r.Layers[0].Changes[0].Path != "/app/more" {
		t.Errorf("one layer more: %+v", r.Layers)
	}
}

// Entries that differ in nothing can still stand in archives that do.
func TestAnotherEncoding(t *testing.T) {
	content := archive(t, files())
	padded := append(slices.Clone(content), make([]byte, 512)...)
	a := image(t, env(), mutate.Addendum{Layer: layer(t, content)})
	b := image(t, env(), mutate.Addendum{Layer: layer(t, padded)})
	if got := all(compare(t, a, b)); len(got) != 1 || !strings.HasPrefix(got[0], "header /: the same entries") {
		t.Errorf("changes %q", got)
	}
}

// A flood of one kind hides nothing and fills nothing.
func TestManyChangesAreFolded(t *testing.T) {
	var x, y []entry
	for i := range 5000 {
		e := file(fmt.Sprintf("data/%04d", i), "x")
		x = append(x, e)
		e.ModTime = time.Unix(epoch+1, 0)
		y = append(y, e)
	}
	x, y = append(x, file("app/app.py", "1")), append(y, file("app/app.py", "2"))
	r := compare(t, image(t, env(), ownLayer(t, x)), image(t, env(), ownLayer(t, y)))
	if c := r.Layers[0].Changes; c[0].Path != "/app/app.py" || len(c) != 101 || r.Layers[0].Folded[diff.Mtime] != 4900 {
		t.Errorf("%d changes, first %v, folded %v", len(c), c[0], r.Layers[0].Folded)
	}
	var text strings.Builder
	if err := r.WriteText(&text, 3); err != nil {
		t.Fatal(err)
	}
	want := `config    different         sha256:`
	if !strings.HasPrefix(text.String(), want) || strings.Count(text.String(), "\n") != 9 || !strings.Contains(text.String(), "  and more: 4998 mtime\n") {
		t.Errorf("text:\n%s", text.String())
	}
	data, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(data), `{"schema":"mrelease.diff/v1","config":{"verdict":"different","a":"sha256:`) {
		t.Errorf("JSON: %.200s, %v", data, err)
	}
}

// A layer of a gigabyte is a stream: memory does not grow with it.
func TestBigLayerIsStreamed(t *testing.T) {
	if testing.Short() {
		t.Skip("hashes four gigabytes")
	}
	var peak uint64
	watch := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	a := image(t, env(), mutate.Addendum{Layer: zeros(t, 'a', watch)})
	b := image(t, env(), mutate.Addendum{Layer: zeros(t, 'b', watch)})
	if got := all(compare(t, a, b)); len(got) != 1 || !strings.HasPrefix(got[0], "content /big: 1073741825 bytes") {
		t.Errorf("changes %q", got)
	}
	if limit := uint64(64 << 20); peak > limit {
		t.Errorf("the heap grew to %d MB, want at most %d", peak>>20, limit>>20)
	}
}

// zeros is a layer with one file: a gigabyte of zeros and a last byte.
func zeros(t *testing.T, last byte, watch func()) v1.Layer {
	t.Helper()
	const size = 1 << 30
	var header bytes.Buffer
	e := file("big", "")
	e.Size = size + 1
	if err := tar.NewWriter(&header).WriteHeader(&e.Header); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		watch()
		end := append([]byte{last}, make([]byte, 511+1024)...)
		return io.NopCloser(io.MultiReader(bytes.NewReader(header.Bytes()), io.LimitReader(&zeroReader{watch: watch}, size), bytes.NewReader(end))), nil
	}, tarball.WithCompressionLevel(1))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

type zeroReader struct {
	watch func()
	reads int
}

func (z *zeroReader) Read(p []byte) (int, error) {
	if z.reads++; z.reads%1024 == 0 {
		z.watch()
	}
	clear(p)
	return len(p), nil
}

func TestCompareEndsWithItsContext(t *testing.T) {
	a, b := image(t, env(), ownLayer(t, files())), image(t, env(), ownLayer(t, files()[1:]))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := diff.Compare(ctx, a, b, sealOf()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context ended", err)
	}
}

func TestBrokenLayers(t *testing.T) {
	good := archive(t, files())
	for name, content := range map[string][]byte{
		"truncated": good[:520],
		"no tar":    bytes.Repeat([]byte("x"), 4096),
	} {
		a, b := image(t, env(), mutate.Addendum{Layer: layer(t, good)}), image(t, env(), mutate.Addendum{Layer: layer(t, content)})
		if _, err := diff.Compare(t.Context(), a, b, sealOf()); err == nil || !strings.Contains(err.Error(), "comparing layer 0: ") {
			t.Errorf("%s: %v, want an error of layer 0", name, err)
		}
	}
}
