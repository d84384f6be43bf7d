package lock_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mrelease/mrelease/measure"
	"github.com/mrelease/mrelease/measure/lock"
	"github.com/mrelease/mrelease/measure/sgx"
)

const status = "Package: libfoo\nStatus: install ok installed\nVersion: 1.2-3\n"

func files() map[string]string {
	return map[string]string{
		"usr/bin/python3": "interpreter", "usr/lib/libfoo.so": "library", "var/lib/dpkg/status": status, "app/app.py": "print(1)",
	}
}

func image(t *testing.T, files map[string]string, env ...string) v1.Image {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.Config(img, v1.Config{Env: append([]string{"PATH=/usr/bin"}, env...), Entrypoint: []string{"python3"}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func describe(t *testing.T, img v1.Image, facts lock.Facts) lock.Lock {
	t.Helper()
	l, err := lock.Describe(t.Context(), img, facts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const (
	base   = "pkg:docker/python@3.12-slim?digest=sha256:1111&platform=linux%2Famd64"
	first  = "sha256:1111"
	second = "sha256:2222"
)

func facts(m byte) lock.Facts {
	return lock.Facts{
		MRENCLAVE: &measure.MRENCLAVE{m},
		Settings:  map[string]string{"format": "legacy", "seal": "dockerfile"},
		Materials: map[string]string{base: first, "docker-image://scontain/tools": first, "https://example.org/x": first},
	}
}

func TestDescribe(t *testing.T) {
	got, err := describe(t, image(t, files(), "SCONE_HEAP=1024M"), facts(1)).Encode()
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/enclave.lock")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("lock:\n%s\nwant\n%s", got, want)
	}
}

// Each seeded fault is named, with what follows from it.
func TestDrift(t *testing.T) {
	accepted := describe(t, image(t, files(), "SCONE_HEAP=1G"), facts(1))
	for name, tt := range map[string]struct {
		file, content, heap string
		facts               lock.Facts
		want                []string
	}{
		"nothing": {heap: "1G", facts: facts(1)},
		"heap": {heap: "2G", facts: facts(2), want: []string{
			"heap 1G -> 2G", "MRENCLAVE changed: 01… -> 02… (it follows from the changes above)"}},
		"interpreter byte": {file: "usr/bin/python3", content: "interpretes", heap: "1G", facts: facts(2), want: []string{
			"/usr/bin/python3 changed: 9666… -> fd79…", "/usr changed: 7ae5… -> 1d2a… (/usr/bin/python3 changed)",
			"MRENCLAVE changed: 01… -> 02… (it follows from the changes above)"}},
		"a library that is not loaded at the start": {file: "usr/lib/libfoo.so", content: "x", heap: "1G", facts: facts(1), want: []string{
			"/usr changed: 7ae5… -> 6841… (a file that the lock does not list)"}},
		"one package version": {file: "var/lib/dpkg/status", content: strings.Replace(status, "1.2-3", "1.2-4", 1), heap: "1G", facts: facts(1), want: []string{
			"package libfoo 1.2-3 -> 1.2-4"}},
		"the app's own file, which is not measured": {file: "app/app.py", content: "print(2)", heap: "1G", facts: facts(1)},
		"the app's own file, which is measured": {file: "app/app.py", content: "print(2)", heap: "1G", facts: facts(2), want: []string{
			"MRENCLAVE changed: 01… -> 02… (nothing else that is locked changed: the app's own files are measured, or a tool does not give the same result twice)"}},
		"base": {heap: "1G", facts: moved(facts(1), base), want: []string{
			"base image moved: python:3.12-slim: sha256:1111 -> sha256:2222 (the reference names another image now; build.bases in mrelease.yaml pins it)"}},
		"toolchain": {heap: "1G", facts: moved(facts(1), "docker-image://scontain/tools"), want: []string{
			"toolchain moved: scontain/tools: sha256:1111 -> sha256:2222 (enclave.toolchain has another digest)"}},
		"a download":          {heap: "1G", facts: moved(facts(1), "https://example.org/x")},
		"materials not known": {heap: "1G", facts: lock.Facts{MRENCLAVE: &measure.MRENCLAVE{1}, Settings: facts(1).Settings}},
	} {
		t.Run(name, func(t *testing.T) {
			changed := files()
			if tt.file != "" {
				changed[tt.file] = tt.content
			}
			now := describe(t, image(t, changed, "SCONE_HEAP="+tt.heap), tt.facts)
			var got []string
			for _, c := range lock.Drift(accepted, now) {
				got = append(got, shorten(c.String()))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("changes:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			var drift *lock.DriftError
			if err := lock.Check("enclave.lock", accepted, now); errors.As(err, &drift) != (len(tt.want) > 0) {
				t.Errorf("check: %v", err)
			}
		})
	}
}

func moved(f lock.Facts, uri string) lock.Facts {
	f.Materials[uri] = second
	return f
}

// shorten keeps the beginning of hashes: 01… or 9c3a….
func shorten(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		if len(w) == 64 {
			words[i] = strings.TrimSuffix(w[:4], "00") + "…"
		}
	}
	return strings.Join(words, " ")
}

// The unsealed digest changes with every commit: it is told, and is no drift.
func TestUnsealedIsNoDrift(t *testing.T) {
	a, b := describe(t, image(t, files()), facts(1)), describe(t, image(t, files()), facts(1))
	a.Unsealed, b.Unsealed = &v1.Hash{Algorithm: "sha256", Hex: "aa"}, &v1.Hash{Algorithm: "sha256", Hex: "bb"}
	if changes := lock.Drift(a, b); len(changes) != 1 || changes[0].Measured {
		t.Errorf("changes %v", changes)
	}
	if err := lock.Check("", a, b); err != nil {
		t.Error(err)
	}
}

func TestFoldersOfTheConfigurationAreLocked(t *testing.T) {
	f := facts(1)
	f.Folders = []string{"/app", "/usr/lib"}
	l := describe(t, image(t, files()), f)
	if got := slices.Sorted(maps.Keys(l.Folders)); !slices.Equal(got, []string{"/app", "/usr", "/usr/lib"}) {
		t.Errorf("folders %v", got)
	}
}

func TestFiles(t *testing.T) {
	l := describe(t, image(t, files()), facts(1))
	path := filepath.Join(t.TempDir(), lock.Name)
	if _, err := lock.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := l.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	again, err := lock.ReadFile(path)
	if err != nil || len(lock.Drift(l, again)) > 0 {
		t.Errorf("read back: %v, %v", err, lock.Drift(l, again))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good, err := os.ReadFile("testdata/enclave.lock")
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, now string) string { return strings.Replace(string(good), old, now, 1) }
	for name, tt := range map[string]struct {
		text, problem string
		line          int
	}{
		"a conflict":          {replace("  \"settings\"", "<<<<<<< HEAD\n  \"settings\""), "cannot be read", 4},
		"another schema":      {replace("lock/v1", "lock/v2"), "has schema", 2},
		"an unknown key":      {replace(`"bases"`, `"basis"`), "cannot be read", 9},
		"a key twice":         {replace(`    "format": "legacy",`, `    "format": "json",`+"\n"+`    "format": "legacy",`), "is not as mrelease", 5},
		"keys out of order":   {replace(`    "format": "legacy",`+"\n"+`    "heap": "1G",`, `    "heap": "1G",`+"\n"+`    "format": "legacy",`), "is not as mrelease", 5},
		"a number":            {replace(`"1G"`, `1`), "cannot be read", 6},
		"other white space":   {replace("    \"format\"", "\t\"format\""), "is not as mrelease", 5},
		"a second document":   {string(good) + "{}", "is not as mrelease", 25},
		"a short MRENCLAVE":   {replace("00\",\n", "\",\n"), "cannot be read", 3},
		"a bad digest":        {replace("  \"settings\"", "  \"unsealed\": \"md5:12\",\n  \"settings\""), "cannot be read", 4},
		"nothing":             {"", "cannot be read", 1},
		"the beginning of it": {string(good[:100]), "cannot be read", 3},
	} {
		_, err := lock.Parse([]byte(tt.text))
		var malformed *lock.Error
		if !errors.As(err, &malformed) || malformed.Line != tt.line || !strings.HasPrefix(malformed.Problem, tt.problem) {
			t.Errorf("%s: %v, line %d; want %q in line %d", name, err, malformed.Line, tt.problem, tt.line)
		}
	}
}

func FuzzParse(f *testing.F) {
	good, err := os.ReadFile("testdata/enclave.lock")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":"mrelease.lock/v1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := lock.Parse(data)
		var malformed *lock.Error
		if err != nil && (!errors.As(err, &malformed) || malformed.Line > 1+bytes.Count(data, []byte("\n"))) {
			t.Errorf("%q: %v names no line", data, err)
		}
		if err != nil {
			return
		}
		if again, err := l.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q is written as %q, %v", data, again, err)
		}
	})
}

// Who asks for a security version must not get an older enclave.
func TestSecurityVersion(t *testing.T) {
	with := func(version string) lock.Lock {
		return lock.Lock{Settings: map[string]string{lock.SVN: version}}
	}
	var violated *sgx.PolicyError
	var malformed *lock.Error
	for _, tt := range []struct {
		older, now lock.Lock
		want       any
	}{
		{with("3"), with("3"), nil},
		{with("3"), with("10"), nil},
		{lock.Lock{}, with("0"), nil},
		{with("10"), with("9"), &violated},
		{with("1"), lock.Lock{}, &violated},
		{with("65536"), with("1"), &malformed},
		{with("1"), with("-1"), &malformed},
	} {
		err := tt.now.CheckSecurityVersion(tt.older)
		if tt.want == nil && err != nil || tt.want != nil && !errors.As(err, tt.want) {
			t.Errorf("%v after %v: got %v, want %T", tt.now.Settings, tt.older.Settings, err, tt.want)
		}
	}
}
