package buildkit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/mrelease/mrelease/bounds"
	"github.com/mrelease/mrelease/buildkit"
)

// scanner names an image whose program does as the arguments say.
func scanner(t *testing.T, args ...string) buildkit.Scan {
	t.Helper()
	return buildkit.Scan{Scanner: reference(t, programImage(t, v1.Config{Entrypoint: []string{"/program"}, Cmd: args, User: "1000"}))}
}

func TestScan(t *testing.T) {
	target := image(t, v1.Config{}, files{"etc/version": "12", "app/main.py": "print()"})
	got, err := shared(t).Scan(t.Context(), target, scanner(t, "list", "/run/src/core/sbom", "/run/out/sbom.spdx.json"), nil)
	check(t, err)
	for _, path := range []string{"etc/version", "app/main.py"} {
		contains(t, "what the scanner saw", string(got), path)
	}
	if strings.Contains(string(got), "program") {
		t.Errorf("the scanner saw its own image:\n%s", got)
	}
}

// A scanner has the variables of the protocol and of its image, and no network.
func TestScannersSurroundings(t *testing.T) {
	target := image(t, v1.Config{}, files{"f": "x"})
	var log bytes.Buffer
	_, err := shared(t).Scan(t.Context(), target, scanner(t, "environment"), &log)
	var wrong *buildkit.ScanError
	if !errors.As(err, &wrong) {
		t.Fatalf("%#v", err)
	}
	contains(t, "environment", log.String(), "BUILDKIT_SCAN_SOURCE=/run/src/core/sbom")
	contains(t, "environment", log.String(), "BUILDKIT_SCAN_DESTINATION=/run/out/")
	log.Reset()
	_, err = shared(t).Scan(t.Context(), target, scanner(t, "interfaces"), &log)
	if !errors.As(err, &wrong) {
		t.Fatalf("%#v", err)
	}
	equal(t, "interfaces", strings.TrimSpace(log.String()), "lo")
}

// What a scanner writes that is no document is refused before it is read.
func TestAttackScanner(t *testing.T) {
	target := image(t, v1.Config{}, files{"how": "files", "large": strings.Repeat("x", bounds.SBOM+1)})
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":      {[]string{"print"}, "wrote no file"},
		"two files":    {[]string{"twice", "/run/src/core/sbom/how", "/run/out/sbom.spdx.json"}, "wrote several files"},
		"another name": {[]string{"write", "/run/out/other.json", "{}"}, "wrote something else"},
		"a large file": {[]string{"copy", "/run/src/core/sbom/large", "/run/out/sbom.spdx.json"}, "too large"},
		"a link":       {[]string{"linkto", "/etc/passwd", "/run/out/sbom.spdx.json"}, "wrote something else"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shared(t).Scan(t.Context(), target, scanner(t, c.args...), nil)
			var wrong *buildkit.ScanError
			if !errors.As(err, &wrong) {
				t.Fatalf("%#v", err)
			}
			contains(t, "error", err.Error(), c.want)
		})
	}
	_, err := shared(t).Scan(t.Context(), target, scanner(t, "write", "/run/src/core/sbom/how", "x"), nil)
	var failed *buildkit.BuildError
	if !errors.As(err, &failed) {
		t.Fatalf("a scanner that writes to the image: %#v", err)
	}
	equal(t, "step", failed.Step, "scan image")
}

func TestScannerThatCannotBeUsed(t *testing.T) {
	open, target := (&registry{}).serve(t), image(t, v1.Config{}, files{"f": "x"})
	for name, c := range map[string]struct {
		scanner string
		want    buildkit.ToolchainProblem
	}{
		"missing":                 {"docker-image://" + open.host + "/scanner@sha256:" + sum("none"), buildkit.ToolchainMissing},
		"no server":               {"docker-image://127.0.0.1:1/scanner@sha256:" + sum("none"), buildkit.ToolchainUnreachable},
		"of another architecture": {reference(t, image(t, v1.Config{Entrypoint: []string{"/bin/sh"}}, files{"bin/sh": foreignProgram()})), buildkit.ToolchainForeign},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := shared(t).Scan(t.Context(), target, buildkit.Scan{Scanner: c.scanner}, nil)
			var unusable *buildkit.ToolchainError
			if !errors.As(err, &unusable) {
				t.Fatalf("%#v\n%v", err, err)
			}
			equal(t, "problem", unusable.Problem, c.want)
			contains(t, "error", err.Error(), "the scanner "+c.scanner[:strings.Index(c.scanner, "@")])
		})
	}
	_, err := shared(t).Scan(t.Context(), target, buildkit.Scan{Scanner: reference(t, programImage(t, v1.Config{}))}, nil)
	contains(t, "error", err.Error(), "names no program")
	for _, unpinned := range []string{"docker-image://example.com/scanner:1", "example.com/scanner@sha256:" + sum("none"), "", "oci-layout://folder@sha256:" + sum("none")} {
		if buildkit.CheckScanner(unpinned) == nil {
			t.Errorf("%q is taken", unpinned)
		}
	}
}
