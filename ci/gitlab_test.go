package ci_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/ci"
	"github.com/mrelease/mrelease/ci/citest"
	"github.com/mrelease/mrelease/printable"
)

func newGitLab(t *testing.T, more map[string]string) (r ci.Reporter, log *bytes.Buffer, w *printable.Writer) {
	t.Helper()
	t.Chdir(t.TempDir())
	log = &bytes.Buffer{}
	w = printable.NewWriter(log)
	return ci.New(func(name string) string {
		if name == "GITLAB_CI" {
			return "true"
		}
		return more[name]
	}, w), log, w
}

// What a build prints neither begins nor ends a section.
func TestAttackSections(t *testing.T) {
	r, log, w := newGitLab(t, nil)
	show := func() {
		open := regexp.MustCompile(`section_start:\d+:(\w+)`).FindStringSubmatch(log.String())
		for _, text := range append(hostile(),
			"section_start:1:evil\r\x1b[0Kevil\n", "section_end:1:"+open[1]+"\r\x1b[0K\n", "\x1b[0Ksection_end:1:"+open[1]+"[collapsed=true]\r\x1b[0K\n",
			"section_start:1:half", "\r\x1b[0K\n", "section_end:1:"+open[1], "\r", "\x1b", "[0K\n") {
			if _, err := w.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	end := r.Group("build")
	show()
	inner := r.Group("seal\r\n\x1b[0Ksection_end:1:x\r\x1b[0K")
	show()
	inner()
	show()
	end()
	show()
	r.Failed("section_start:1:evil\r\x1b[0K", nil)
	sections, err := citest.Sections(log.String())
	want := []string{"build", `seal\r\n\x1b[0Ksection_end:1:x\r\x1b[0K`, `end of seal\r\n\x1b[0Ksection_end:1:x\r\x1b[0K`, "end of build"}
	if err != nil || !slices.Equal(sections, want) {
		t.Errorf("GitLab sees %q, %v; want %q, in\n%q", sections, err, want, log)
	}
}

func TestSectionsHaveNamesThatNobodyKnows(t *testing.T) {
	r, log, _ := newGitLab(t, nil)
	for range 50 {
		r.Group("a")()
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`section_start:\d+:mrelease_(\w{20,})`).FindAllStringSubmatch(log.String(), -1) {
		names[m[1]] = true
	}
	if len(names) != 50 {
		t.Errorf("%d names for 50 sections", len(names))
	}
}

func TestDotenv(t *testing.T) {
	r, _, _ := newGitLab(t, nil)
	outputs := []ci.Output{
		{Name: "app-address", Value: "0x01"}, {Name: "tx-hash"}, {Name: "fingerprint", Value: `{"framework":"X=Y", "a":"#b"}`},
		{Name: "result-json", Value: "{\n\"a\":\"$HOME\"}", File: "result.json"},
	}
	if err := r.Ready(outputs...); err != nil {
		t.Fatal(err)
	}
	if err := r.Outputs(outputs); err != nil {
		t.Fatal(err)
	}
	report, err := os.ReadFile("dist/released.env")
	if err != nil {
		t.Fatal(err)
	}
	got, err := citest.Dotenv(string(report))
	want := map[string]string{"RELEASED_APP_ADDRESS": "0x01", "RELEASED_TX_HASH": "", "RELEASED_FINGERPRINT": `{"framework":"X=Y", "a":"#b"}`, "RELEASED_RESULT_JSON_PATH": "dist/result.json"}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("GitLab reads %q, %v; want %q", got, err, want)
	}
	if document, err := os.ReadFile("dist/result.json"); err != nil || string(document) != outputs[3].Value {
		t.Errorf("the document is %q, %v", document, err)
	}
	if left, err := filepath.Glob("dist/*.new"); err != nil || left != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// A value that GitLab would change or refuse is an error, before the work where it is
// known then.
func TestAttackDotenv(t *testing.T) {
	for _, value := range []string{"a\nRELEASED_DIGEST=evil", "a\r", " a", "a ", "$CI_JOB_TOKEN", "a\x00", "\xff", strings.Repeat("a", 6000)} {
		r, _, _ := newGitLab(t, nil)
		o := ci.Output{Name: "record-path", Value: value}
		if err := r.Outputs([]ci.Output{o}); err == nil || !strings.Contains(err.Error(), "dotenv") {
			t.Errorf("%q: %v", value, err)
		}
		if err := r.Ready(o); (err == nil) != (len(value) > 5000) {
			t.Errorf("ready for %q: %v", value, err)
		}
		if _, err := os.Stat("dist/released.env"); err == nil {
			t.Errorf("%q was written", value)
		}
	}
}

// Reports go where they are asked to go, and not through a link that a commit brought.
func TestAttackReports(t *testing.T) {
	elsewhere := t.TempDir()
	absolute := filepath.Join(elsewhere, "new", "a.env")
	r, _, _ := newGitLab(t, map[string]string{"MRELEASE_DOTENV": absolute, "MRELEASE_JUNIT": "reports/steps.xml"})
	if err := r.Ready(); err != nil {
		t.Fatal(err)
	}
	if err := r.Outputs([]ci.Output{{Name: "a", Value: "b"}}); err != nil {
		t.Error(err)
	}
	if err := r.JUnit([]byte("<a/>")); err != nil {
		t.Error(err)
	}
	for _, file := range []string{absolute, "reports/steps.xml"} {
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	}
	for name, prepare := range map[string]func() error{
		"a link":   func() error { return os.Symlink(elsewhere, "dist") },
		"a file":   func() error { return os.WriteFile("dist", nil, 0o600) },
		"a folder": func() error { return os.MkdirAll("dist/released.env", 0o700) },
	} {
		r, _, _ := newGitLab(t, nil)
		if err := prepare(); err != nil {
			t.Fatal(err)
		}
		if err := r.Ready(); err == nil || !strings.Contains(err.Error(), "dist/") {
			t.Errorf("%s: ready: %v", name, err)
		}
		if err := r.Outputs(nil); err == nil {
			t.Errorf("%s: written", name)
		}
	}
	r, _, _ = newGitLab(t, map[string]string{"MRELEASE_DOTENV": "a.env"})
	if err := errors.Join(os.WriteFile("wallet.json", []byte("a key"), 0o600), os.Symlink("wallet.json", "a.env.new")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.Ready(), r.Outputs(nil)); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile("wallet.json"); err != nil || string(text) != "a key" {
		t.Errorf("a key was written through a link: %q, %v", text, err)
	}
	if err := os.Symlink(elsewhere, "linked"); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITLAB_CI": "true", "MRELEASE_DOTENV": filepath.Join(here, "linked", "released.env")}
	r = ci.New(func(name string) string { return env[name] }, printable.NewWriter(io.Discard))
	if err := r.Ready(); err == nil {
		t.Error("an absolute path within the working directory leads out of it")
	}
	if left, err := filepath.Glob(filepath.Join(elsewhere, "released.env*")); err != nil || left != nil {
		t.Errorf("written through the link: %q, %v", left, err)
	}
}

// What GitLab cannot mask is told once, with what to do, and without the secret.
func TestMaskAdvice(t *testing.T) {
	for secret, want := range map[string]string{
		"goodenough-1": "", "short12": "fewer than 8", "two words1": "holds a space", "-----BEGIN\nKEY-----": "variable of type File", "pa$$word!": "Expand variable reference", "größer-als": "Expand variable reference",
	} {
		r, log, _ := newGitLab(t, nil)
		r.Mask(secret)
		r.Mask(secret)
		told := log.String()
		if want == "" && told != "" || strings.Count(told, want) != min(len(told), 1) && want != "" || strings.Contains(told, secret) {
			t.Errorf("%q: told %q, want %q", secret, told, want)
		}
	}
}
