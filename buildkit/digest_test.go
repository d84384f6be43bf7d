package buildkit_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/buildkit"
)

// plain makes a source that names one of everything.
func plain(t *testing.T) buildkit.Source {
	t.Helper()
	dir, docs, layout := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, dir, files{"Dockerfile": "FROM debian:12\n", "run": "#!/bin/sh\n", "folder/file": "1", ".dockerignore": "*.log\n", "a.log": "x"})
	check(t, os.Chmod(filepath.Join(dir, "run"), 0o755))
	check(t, os.Symlink("folder/file", filepath.Join(dir, "link")))
	write(t, docs, files{"page": "2"})
	return buildkit.Source{
		Context: dir,
		Target:  "app",
		Args:    map[string]string{"A": "1", "B": "2"},
		Contexts: map[string]string{
			"docs":                     docs,
			"tools":                    "docker-image://example.org/tools:1",
			"docker.io/library/busy:1": "oci-layout://" + layout + "@sha256:" + hex.EncodeToString(make([]byte, 32)),
		},
		Bases:   map[string]string{"debian:12": "sha256:" + hex.EncodeToString(make([]byte, 32))},
		Secrets: map[string][]byte{"token": []byte("value")},
		Epoch:   epoch,
		Created: epoch.Add(time.Hour),
		Purpose: map[string]string{"enclave": "16M"},
	}
}

func digest(t *testing.T, src buildkit.Source) v1.Hash {
	t.Helper()
	got, err := src.Digest(t.Context())
	check(t, err)
	return got
}

// encode encodes fields as the documentation of Source.Digest has them.
func encode(values ...string) (encoded []byte) {
	for _, value := range values {
		encoded = binary.BigEndian.AppendUint64(encoded, uint64(len(value)))
		encoded = append(encoded, value...)
	}
	return encoded
}

func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// Whoever computes the digest from its documentation gets it.
func TestDigestIsTheDocumentedOne(t *testing.T) {
	zero := "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	want := sum(string(encode(
		"mrelease sources 2", "linux/amd64", "FROM debian:12\n", "app", "host", "1700000000", "1700003600",
		"2", "A", "1", "B", "2", // Args
		"1", "debian:12", zero, // Bases
		"1", "enclave", "16M", // Purpose
		"1", "token", // secrets
		"3", // named contexts
		"busy:1", "layout", zero,
		"docs", "folder", "1", "page", "file", sum("2"),
		"tools", "image", "example.org/tools:1",
		"6", // the context
		".dockerignore", "file", sum("*.log\n"),
		"Dockerfile", "file", sum("FROM debian:12\n"),
		"folder", "folder",
		"folder/file", "file", sum("1"),
		"link", "link", "folder/file",
		"run", "executable", sum("#!/bin/sh\n"),
	)))
	got := digest(t, plain(t))
	equal(t, "digest", got, v1.Hash{Algorithm: "sha256", Hex: want})
	// The encoding is a promise: releases of earlier versions are found by it.
	equal(t, "digest", got.Hex, "6b404ca438c4230c53e7e9599d0a11d301e4117d4e405bbc04e9e19dd41c51c7")
}

func TestDigestCoversTheSource(t *testing.T) {
	file := func(name, text string) func(*testing.T, *buildkit.Source) {
		return func(t *testing.T, src *buildkit.Source) { write(t, src.Context, files{name: text}) }
	}
	changes := map[string]func(*testing.T, *buildkit.Source){
		"nothing":      func(*testing.T, *buildkit.Source) {},
		"byte":         file("folder/file", "2"),
		"new file":     file("new", ""),
		"Dockerfile":   file("Dockerfile", "FROM debian:12\n\n"),
		"ignored file": file(".dockerignore", "*.txt\n"),
		"removed file": func(t *testing.T, src *buildkit.Source) {
			check(t, os.Remove(filepath.Join(src.Context, "folder/file")))
		},
		"executable bit":  func(t *testing.T, src *buildkit.Source) { check(t, os.Chmod(filepath.Join(src.Context, "run"), 0o644)) },
		"name":            rename("folder/file", "folder/f"),
		"folder":          rename("folder", "f"),
		"link":            relink("link", "run"),
		"link for a file": relink("folder/file", "1"),
		"named folder":    func(t *testing.T, src *buildkit.Source) { write(t, src.Contexts["docs"], files{"page": "3"}) },
		"named image":     func(_ *testing.T, src *buildkit.Source) { src.Contexts["tools"] = "docker-image://example.org/tools:2" },
		"named layout": func(_ *testing.T, src *buildkit.Source) {
			src.Contexts["docker.io/library/busy:1"] = "oci-layout:///@sha256:" + sum("")
		},
		"argument":         func(_ *testing.T, src *buildkit.Source) { src.Args["A"] = "3" },
		"new argument":     func(_ *testing.T, src *buildkit.Source) { src.Args["C"] = "" },
		"argument's name":  func(_ *testing.T, src *buildkit.Source) { src.Args = map[string]string{"A": "1", "C": "2"} },
		"pin":              func(_ *testing.T, src *buildkit.Source) { src.Bases["debian:12"] = "sha256:" + sum("") },
		"purpose":          func(_ *testing.T, src *buildkit.Source) { src.Purpose["enclave"] = "32M" },
		"new secret":       func(_ *testing.T, src *buildkit.Source) { src.Secrets["other"] = nil },
		"created":          func(_ *testing.T, src *buildkit.Source) { src.Created = src.Created.Add(time.Second) },
		"epoch":            func(_ *testing.T, src *buildkit.Source) { src.Epoch = src.Epoch.Add(time.Second) },
		"target":           func(_ *testing.T, src *buildkit.Source) { src.Target = "other" },
		"no network":       func(_ *testing.T, src *buildkit.Source) { src.Network = buildkit.NetworkNone },
		"recorded network": func(_ *testing.T, src *buildkit.Source) { src.Network = buildkit.NetworkRecorded },
	}
	seen := map[v1.Hash]string{}
	for name, change := range changes {
		src := plain(t)
		change(t, &src)
		got := digest(t, src)
		if other, ok := seen[got]; ok {
			t.Errorf("a change of %s and one of %s have the same digest", name, other)
		}
		seen[got] = name
	}
}

func rename(from, to string) func(*testing.T, *buildkit.Source) {
	return func(t *testing.T, src *buildkit.Source) {
		check(t, os.Rename(filepath.Join(src.Context, from), filepath.Join(src.Context, to)))
	}
}

func relink(name, target string) func(*testing.T, *buildkit.Source) {
	return func(t *testing.T, src *buildkit.Source) {
		path := filepath.Join(src.Context, name)
		check(t, os.Remove(path))
		check(t, os.Symlink(target, path))
	}
}

func TestDigestDoesNotCoverTheRest(t *testing.T) {
	changes := map[string]func(*testing.T, *buildkit.Source){
		"ignored file":   func(t *testing.T, src *buildkit.Source) { write(t, src.Context, files{"a.log": "y", "b.log": ""}) },
		"annotations":    func(_ *testing.T, src *buildkit.Source) { src.Annotations = map[string]string{"a": "b"} },
		"cache":          func(_ *testing.T, src *buildkit.Source) { src.NoCache = true },
		"credentials":    func(_ *testing.T, src *buildkit.Source) { src.Keychain = authn.DefaultKeychain },
		"secret's value": func(_ *testing.T, src *buildkit.Source) { src.Secrets["token"] = []byte("other") },
		"network":        func(_ *testing.T, src *buildkit.Source) { src.Network = buildkit.NetworkHost },
		"fraction":       func(_ *testing.T, src *buildkit.Source) { src.Epoch = src.Epoch.Add(time.Millisecond) },
		"spelling of a reference": func(_ *testing.T, src *buildkit.Source) {
			src.Bases = map[string]string{"docker.io/library/debian:12": src.Bases["debian:12"]}
		},
		"place of the Dockerfile": func(t *testing.T, src *buildkit.Source) {
			dir := t.TempDir()
			write(t, dir, files{"D": "FROM debian:12\n"})
			src.Dockerfile = filepath.Join(dir, "D")
		},
	}
	want := digest(t, plain(t))
	for name, change := range changes {
		src := plain(t)
		change(t, &src)
		if got := digest(t, src); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
