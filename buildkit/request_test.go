package buildkit

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
)

// describe writes a request as lines that a change shows in.
func describe(opt client.SolveOpt) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, key := range slices.Sorted(maps.Keys(opt.FrontendAttrs)) {
		add("attr %s = %q", key, opt.FrontendAttrs[key])
	}
	for _, key := range slices.Sorted(maps.Keys(opt.LocalMounts)) {
		add("folder %s: %q", key, opt.LocalMounts[key].(treeFS).paths)
	}
	for _, key := range slices.Sorted(maps.Keys(opt.OCIStores)) {
		add("store %s", key)
	}
	for _, export := range opt.Exports {
		add("export %s", export.Type)
		for _, key := range slices.Sorted(maps.Keys(export.Attrs)) {
			add("export attr %s = %q", key, export.Attrs[key])
		}
	}
	add("proxy network %t", opt.ProxyNetwork)
	return strings.Join(lines, "\n") + "\n"
}

// requested returns the request for a source with one context file.
func requested(t *testing.T, src Source) string {
	t.Helper()
	src.Context = t.TempDir()
	for _, name := range []string{"Dockerfile", "Dockerfile.dockerignore", "file"} {
		if err := os.WriteFile(filepath.Join(src.Context, name), []byte("FROM base\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	src.Epoch = time.Unix(1_700_000_000, 0)
	if src.Contexts != nil {
		src.Contexts["docs"], src.Contexts["base:latest"] = src.Context, "oci-layout://"+src.Context+"@"+zero
	}
	in, err := src.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	opt, err := src.request(in, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return describe(opt)
}

const zero = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

func TestRequest(t *testing.T) {
	for name, c := range map[string]struct {
		src  Source
		want string
	}{
		"little": {Source{}, `attr attest:provenance = "mode=min,version=v1"
attr build-arg:SOURCE_DATE_EPOCH = "1700000000"
attr cmdline = "builtin"
attr filename = "Dockerfile"
attr platform = "linux/amd64"
folder context: ["Dockerfile" "Dockerfile.dockerignore" "file"]
folder dockerfile: ["Dockerfile" "Dockerfile.dockerignore"]
export oci
export attr compression = "uncompressed"
export attr tar = "false"
proxy network false
`},
		"everything": {Source{
			Target:      "app",
			Args:        map[string]string{"A": "1", "B": "2 and 3"},
			Contexts:    map[string]string{"tools": "docker-image://example.org/tools:1"},
			Bases:       map[string]string{"docker.io/library/debian:12": zero, "example.org:5000/a/b": zero},
			Secrets:     map[string][]byte{"token": []byte("value")},
			Annotations: map[string]string{"org.example.note": "a, b"},
			NoCache:     true,
			Network:     NetworkNone,
		}, `attr attest:provenance = "mode=min,version=v1"
attr build-arg:A = "1"
attr build-arg:B = "2 and 3"
attr build-arg:SOURCE_DATE_EPOCH = "1700000000"
attr cmdline = "builtin"
attr context:base = "oci-layout://context0@` + zero + `"
attr context:debian:12 = "docker-image://docker.io/library/debian@` + zero + `"
attr context:docs = "local:context1"
attr context:example.org:5000/a/b = "docker-image://example.org:5000/a/b@` + zero + `"
attr context:tools = "docker-image://example.org/tools:1"
attr filename = "Dockerfile"
attr force-network-mode = "none"
attr no-cache = ""
attr platform = "linux/amd64"
attr target = "app"
folder context: ["Dockerfile" "Dockerfile.dockerignore" "file"]
folder context1: ["Dockerfile" "Dockerfile.dockerignore" "file"]
folder dockerfile: ["Dockerfile" "Dockerfile.dockerignore"]
store context0
export oci
export attr annotation.org.example.note = "a, b"
export attr compression = "uncompressed"
export attr tar = "false"
proxy network false
`},
	} {
		if got := requested(t, c.src); got != c.want {
			t.Errorf("%s: the request is\n%s\nwant\n%s", name, got, c.want)
		}
	}
	if got := requested(t, Source{Network: NetworkRecorded}); !strings.Contains(got, "proxy network true") || strings.Contains(got, "force-network-mode") {
		t.Errorf("recorded network: the request is\n%s", got)
	}
}
