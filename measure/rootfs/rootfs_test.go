package rootfs

import (
	"archive/tar"
	"bytes"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// image makes an image of layers. A layer's entry is a name and a content; a
// content that begins with "->" makes a symbolic link, with "=>" a hard link,
// and a name that ends with / a folder.
func image(t *testing.T, layers ...[][2]string) v1.Image {
	t.Helper()
	img := empty.Image
	for _, entries := range layers {
		content := pack(t, entries)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil })
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

func pack(t *testing.T, entries [][2]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e[0], Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(e[1]))}
		if to, ok := strings.CutPrefix(e[1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		} else if to, ok := strings.CutPrefix(e[1], "=>"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, to, 0
		} else if strings.HasSuffix(e[0], "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func read(t *testing.T, img v1.Image) *FS {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	fs, err := Read(t.Context(), layers)
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestLayersHideWhatIsBelow(t *testing.T) {
	lower := [][2]string{{"a/", ""}, {"a/1", "lower"}, {"a/2", "lower"}, {"b/1", "lower"}, {"c/1", "lower"}, {"d", "lower"}}
	for name, tt := range map[string]struct {
		upper [][2]string
		want  string
	}{
		"nothing":                    {nil, "/a /a/1 /a/2 /b/1 /c/1 /d"},
		"a whiteout":                 {[][2]string{{"a/.wh.1", ""}}, "/a /a/2 /b/1 /c/1 /d"},
		"a folder's whiteout":        {[][2]string{{".wh.a", ""}}, "/b/1 /c/1 /d"},
		"a whiteout and a new one":   {[][2]string{{".wh.a", ""}, {"a/3", "upper"}}, "/a /a/3 /b/1 /c/1 /d"},
		"an emptied folder":          {[][2]string{{"a/.wh..wh..opq", ""}, {"a/3", "upper"}}, "/a /a/3 /b/1 /c/1 /d"},
		"a file in a folder's place": {[][2]string{{"a", "upper"}}, "/a /b/1 /c/1 /d"},
		"a link in a folder's place": {[][2]string{{"a", "->b"}}, "/a /b/1 /c/1 /d"},
		"a root cannot be emptied":   {[][2]string{{".wh..wh..opq", ""}, {"e", ""}}, "/a /a/1 /a/2 /b/1 /c/1 /d /e"},
		"the last of a name":         {[][2]string{{"a", "file"}, {"a/", ""}, {"d/", ""}, {"d", "->b"}, {"d/x", ""}}, "/a /a/1 /a/2 /b/1 /b/x /c/1 /d"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := read(t, image(t, lower, tt.upper))
			if got := strings.Join(slices.Sorted(maps.Keys(fs.Files)), " "); got != tt.want {
				t.Errorf("files %s, want %s", got, tt.want)
			}
		})
	}
	fs := read(t, image(t, lower, [][2]string{{"d", "upper"}}))
	if fs.Files["/d"].Sum != read(t, image(t, [][2]string{{"d", "upper"}})).Files["/d"].Sum {
		t.Error("the lower file counts")
	}
}

func TestPackages(t *testing.T) {
	fs := read(t, image(t, [][2]string{
		{"var/lib/dpkg/status", "Package: old\nVersion: 1\n"},
		{"usr/lib/python3/dist-packages/six-1.16.dist-info/METADATA", "Metadata-Version: 2.1\nName: six\nVersion: 1.16\n\nName: not this\n\n"},
		{"lib/apk/db/installed", "C:Q1x\nP:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.36\n"},
	}, [][2]string{
		{"var/lib/dpkg/status", "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"},
		{"var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 2024a\n"},
	}))
	want := map[string]string{"deb libc6": "2.36", "deb tzdata": "2024a", "pip six": "1.16", "apk musl": "1.2.5-r0", "apk busybox": "1.36"}
	if !maps.Equal(fs.Packages, want) {
		t.Errorf("packages %v, want %v", fs.Packages, want)
	}
}

func TestProgram(t *testing.T) {
	fs := read(t, image(t, [][2]string{
		{"bin", "->usr/bin"}, {"lib", "->usr/lib"}, {"lib64", "->usr/lib"},
		{"opt/starter/python3", "starter"}, {"opt/starter/real/python3.11", "real"},
		{"usr/bin/python3", "->python3.11"},
		{"usr/bin/python3.11", string(program("/lib64/ld.so", "", "libm.so.6", "libapp.so"))},
		{"usr/lib/ld.so", "linker"},
		{"usr/lib/libm.so.6", "->libm-2.36.so"},
		{"usr/lib/libm-2.36.so", string(program("", "$ORIGIN/own", "libc.so.6"))},
		{"usr/lib/own/libc.so.6", "own"},
		{"usr/lib/libc.so.6", "not this one"},
		{"srv/libapp.so.1", "library"},
		{"srv/deep/libapp.so", "=>srv/libapp.so.1"},
		{"usr/bin/script", "#!/usr/bin/env python3\nprint(1)"},
		{"usr/bin/env", "env"},
		{"loop", "->loop"},
	}))
	env := []string{"PATH=/opt/starter:/usr/bin:/bin"}
	python := "/opt/starter/python3 /opt/starter/real/python3.11 /srv/libapp.so.1 /usr/bin/python3.11 /usr/lib/ld.so /usr/lib/libm-2.36.so /usr/lib/own/libc.so.6"
	for name, tt := range map[string]struct {
		config v1.Config
		want   string
	}{
		"on the search path":    {v1.Config{Env: env, Entrypoint: []string{"python3", "/app.py"}}, python},
		"an absolute path":      {v1.Config{Env: env, Cmd: []string{"/bin/env"}}, "/usr/bin/env"},
		"a relative path":       {v1.Config{WorkingDir: "/usr/lib", Entrypoint: []string{"../bin/env"}}, "/usr/bin/env"},
		"a script":              {v1.Config{Env: []string{"PATH=/usr/bin"}, Entrypoint: []string{"script"}}, "/srv/libapp.so.1 /usr/bin/env /usr/bin/python3.11 /usr/bin/script /usr/lib/ld.so /usr/lib/libm-2.36.so /usr/lib/own/libc.so.6"},
		"with a library folder": {v1.Config{Env: append([]string{"LD_LIBRARY_PATH=/usr/lib"}, env...), Entrypoint: []string{"/usr/lib/libm.so.6"}}, "/usr/lib/libc.so.6 /usr/lib/libm-2.36.so"},
		"preloaded":             {v1.Config{Env: []string{"LD_PRELOAD=/usr/lib/libc.so.6"}, Entrypoint: []string{"/bin/env"}}, "/usr/bin/env /usr/lib/libc.so.6"},
		"none":                  {v1.Config{}, ""},
		"not there":             {v1.Config{Entrypoint: []string{"/nothing"}}, ""},
		"a loop":                {v1.Config{Entrypoint: []string{"/loop"}}, ""},
	} {
		if got := strings.Join(fs.Program(tt.config), " "); got != tt.want {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want)
		}
	}
}
