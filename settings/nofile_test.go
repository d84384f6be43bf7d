package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadError reads and checks a configuration for a release, in a folder of its own.
func loadError(t *testing.T, files map[string]string, from ...string) *Error {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(Sources{Files: from, Getenv: func(string) string { return "" }}, Purpose{Build: true, Publish: true})
	var found *Error
	if err != nil && !errors.As(err, &found) {
		t.Fatal(err)
	}
	return found
}

const whole = "image: localhost:1/a\nchain: bellecour\nsign: {key: k}\nwallet: {keystore: w}\n"

// Of a file that cannot be read nothing is known, so nothing else is claimed.
func TestUnreadFiles(t *testing.T) {
	for text, want := range map[string]string{
		"image: [a\n":                       "1:8: sequence end token",
		"chain: x\n\timage: a\n":            "2:1: begins with a tab",
		"image: a\nimage: b\n":              `2:1: mapping key "image" already defined`,
		"just text\n":                       "1:1: want keys and values, got text",
		"- a\n":                             "1:1: want keys and values, got a list",
		"\xff\xfei\x00m\x00a\x00g\x00e\x00": "is no text in UTF-8",
	} {
		found := loadError(t, map[string]string{"a.yaml": text, "Dockerfile": "FROM scratch\n"}, "a.yaml")
		if found == nil || len(found.Problems) != 1 || !strings.Contains(found.Problems[0].String(), want) {
			t.Errorf("%q: %v, want one problem: %s", text, found, want)
		}
	}
	for _, text := range []string{whole, "\ufeff" + whole, strings.ReplaceAll(whole, "\n", "\r\n")} {
		if found := loadError(t, map[string]string{"a.yaml": text, "Dockerfile": "FROM scratch\n"}, "a.yaml"); found != nil {
			t.Errorf("%q: %v", text, found.Problems)
		}
	}
}

func TestNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		cure  string
	}{
		"nothing":         {nil, "write one with mrelease init"},
		"another ending":  {map[string]string{"mrelease.yml": whole}, "; there is mrelease.yml"},
		"one for staging": {map[string]string{"staging-mrelease.yaml": whole}, "; there is staging-mrelease.yaml"},
	} {
		found := loadError(t, c.files)
		if found == nil || len(found.Problems) != 1 || !strings.Contains(found.Remedy(), c.cure) || !strings.Contains(found.Remedy(), "cd to") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// Who is blamed for a Dockerfile that is not there: who names it, else nobody's file.
func TestNoDockerfile(t *testing.T) {
	for text, want := range map[string]string{
		whole:                                  "Dockerfile: build.dockerfile: there is no such file",
		whole + "build: {dockerfile: other}\n": "a.yaml:5:21: build.dockerfile: other: there is no such file",
		whole + "build: {context: sub}\n":      "sub/Dockerfile: build.dockerfile: there is no such file",
		whole + "build: {context: nope}\n":     "a.yaml:5:18: build.context: nope: there is no such file",
		whole + "build: {context: a.yaml}\n":   "a.yaml:5:18: build.context: a.yaml is no folder",
		whole + "build: {dockerfile: sub}\n":   "a.yaml:5:21: build.dockerfile: sub is a folder",
		whole + "record: sub\n":                "record: sub is there and no file",
	} {
		found := loadError(t, map[string]string{"a.yaml": text, "b.yaml": "{}", "sub/dockerfile.txt": ""}, "a.yaml", "b.yaml")
		if found == nil || !strings.Contains(found.Problems[0].String()+found.Problems[len(found.Problems)-1].String(), want) {
			t.Errorf("%q: %+v, want %s", text, found, want)
		}
	}
	found := loadError(t, map[string]string{"a.yaml": whole, "dockerfile.dev": ""}, "a.yaml")
	if found == nil || !strings.Contains(found.Remedy(), "there is dockerfile.dev") {
		t.Errorf("%+v", found)
	}
}

// A build policy of buildx beside the Dockerfile is refused: nothing here evaluates it.
func TestNoPolicyIsPassedOver(t *testing.T) {
	for text, file := range map[string]string{
		whole:                             "Dockerfile.rego",
		whole + "build: {context: sub}\n": "sub/Dockerfile.rego",
		whole + "build: {dockerfile: app.file}\n": "app.file.rego",
	} {
		files := map[string]string{"a.yaml": text, "Dockerfile": "FROM a\n", "sub/Dockerfile": "FROM a\n", "app.file": "FROM a\n"}
		if found := loadError(t, files, "a.yaml"); found != nil {
			t.Errorf("%q without a policy: %+v", text, found)
		}
		files[file] = "package docker\n"
		found := loadError(t, files, "a.yaml")
		if found == nil || !strings.HasPrefix(found.Problems[0].String(), file+": build.dockerfile: is a build policy of docker buildx") {
			t.Errorf("%q with %s: %+v", text, file, found)
		}
	}
}

// A file of --config that is not there is told with those that are, and a project
// without iexec.json before anything is built.
func TestNoFileThatIsNamed(t *testing.T) {
	found := loadError(t, map[string]string{"a.yaml": whole, "Dockerfile": "FROM a\n"}, "b.yaml")
	if found == nil || !strings.Contains(found.Remedy(), "--config that is there") || !strings.Contains(found.Remedy(), "; there is a.yaml") {
		t.Errorf("%+v", found)
	}
	for text, want := range map[string]string{
		"project: other\n": "a.yaml:5:10: project: other/iexec.json: there is no such file",
		"project: iexec\n": "",
	} {
		found := loadError(t, map[string]string{"a.yaml": whole + text, "Dockerfile": "FROM a\n", "iexec/iexec.json": "{}"}, "a.yaml")
		if (found != nil) != (want != "") || found != nil && found.First() != want {
			t.Errorf("%q: %+v, want %q", text, found, want)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"image", "name", "chain", "chains", "build", "plan"}
	for name, want := range map[string]string{"nmae": "name", "iamge": "image", "chian": "chain", "bulid": "build", "chain2": "chain", "zzz": "", "man": "", "pln": "plan"} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
