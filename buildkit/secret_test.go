package buildkit_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

const secret = "correct-horse-battery-staple"

// holders returns the files below a folder that hold a text, compressed or not.
func holders(t *testing.T, dir, text string) (found []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(data), text) || strings.Contains(unzip(data), text) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

func unzip(data []byte) string {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	return string(must(io.ReadAll(r)))
}

// The search itself must find what it is for.
func TestHoldersFindsWhatIsThere(t *testing.T) {
	b := shared(t)
	got := build(t, b, source(t, "FROM scratch\nCOPY file /\n", files{"file": secret}))
	if found := holders(t, got.dir, secret); len(found) != 1 {
		t.Errorf("found %q, want the layer", found)
	}
}

func TestSecretsReachTheStepAndNothingElse(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	var progress bytes.Buffer
	b := openUnclosed(t, buildkit.Options{State: state, Progress: buildkit.Progress{Writer: &progress, Mode: "plain"}})
	src := source(t, `FROM program
RUN --mount=type=secret,id=token ["/program", "sum", "/run/secrets/token"]
RUN --mount=type=secret,id=token ["/program", "cat", "/run/secrets/token"]
RUN ["/program", "write", "/made", "by a step"]
`, nil)
	src.Secrets = map[string][]byte{"token": []byte(secret + "\n")}
	got := build(t, b, src)
	shut(t, b)

	contains(t, "log", got.log, sum(secret+"\n"), "***\n")
	contains(t, "progress", progress.String(), sum(secret+"\n"), "***\n")
	for where, text := range map[string]string{"log": got.log, "progress": progress.String()} {
		if strings.Contains(text, secret) {
			t.Errorf("the %s holds the secret", where)
		}
	}
	for where, dir := range map[string]string{"layout": got.dir, "state folder": state} {
		if found := holders(t, dir, secret); len(found) > 0 {
			t.Errorf("the %s holds the secret: %q", where, found)
		}
	}
}

func TestSecretsAreMaskedInErrors(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state")
	b := openUnclosed(t, buildkit.Options{State: state})
	src := source(t, `FROM program
RUN --mount=type=secret,id=token,env=TOKEN ["/program", "environment"]
RUN --mount=type=secret,id=token ["/program", "cat", "/run/secrets/token", "/missing"]
`, nil)
	src.Secrets = map[string][]byte{"token": []byte(secret)}
	log, err := fail(t, b, src)
	shut(t, b)
	contains(t, "log", log, "TOKEN=***\n", "open /missing", "\n***\n")
	var failed *buildkit.BuildError
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	for _, text := range append(slices.Clone(failed.Output), err.Error(), log) {
		if strings.Contains(text, secret) {
			t.Errorf("%q holds the secret", text)
		}
	}
	if found := holders(t, state, secret); len(found) > 0 {
		t.Errorf("the state folder holds the secret: %q", found)
	}
}

func TestAMissingSecretFailsTheBuild(t *testing.T) {
	src := source(t, "FROM program\nRUN --mount=type=secret,id=token,required ["+`"/program", "print"]`+"\n", nil)
	_, err := fail(t, shared(t), src)
	contains(t, "error", err.Error(), "token")
}
