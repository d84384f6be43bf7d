package settings_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mrelease/mrelease/settings"
)

func TestPlaceOfAProblem(t *testing.T) {
	for where, want := range map[string]string{
		"mrelease.yaml:3:15": "mrelease.yaml 3 15", "a:b/m.yml:7": "a:b/m.yml 7 0", "mrelease.yaml": "mrelease.yaml 0 0",
		"a.yaml, b.yaml": " 0 0", "environment MRELEASE_CHAIN": " 0 0", "flag --chain": " 0 0", "chains": " 0 0", "": " 0 0",
		"m.yaml:99999999999999999999:1": "m.yaml 9223372036854775807 1",
	} {
		file, line, column := settings.Problem{Where: where}.Place()
		if got := fmt.Sprint(file, " ", line, " ", column); got != want {
			t.Errorf("%q: %q, want %q", where, got, want)
		}
	}
}

// A value that another one took the place of is nobody's problem; one that did not is.
func TestProblemsOfWhatCounts(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	bad, good := write("bad.yaml", "image: https://BAD\norder: {price: x}\n"), write("good.yaml", "image: localhost:1/a\norder: {price: 1}\n")
	for _, c := range []struct {
		files []string
		flags map[string]string
		env   string
		want  int
	}{
		{[]string{bad}, nil, "", 2},
		{[]string{good, bad}, nil, "", 2},
		{[]string{bad, good}, nil, "", 0},
		{[]string{bad}, map[string]string{"image": "localhost:1/a"}, "", 1},
		{[]string{bad}, map[string]string{"image": "localhost:1/a"}, "7", 0},
		{[]string{bad}, map[string]string{"image": "localhost:1/A"}, "7", 1},
	} {
		read := settings.Read(settings.Sources{Files: c.files, Flags: c.flags, Getenv: func(name string) string {
			return map[string]string{"MRELEASE_ORDER_PRICE": c.env}[name]
		}})
		if len(read.Problems) != c.want {
			t.Errorf("%v, %v, %q: %v, want %d", c.files, c.flags, c.env, read.Problems, c.want)
		}
	}
}

func TestMisspelt(t *testing.T) {
	got := settings.Misspelt([]string{
		"MRELEASE_WALET_PASSWORD=secret", "MRELEASE_BUILD_CONTXT=x", "MRELEASE_STAT=", "MRELEASE_SOMETHING_ELSE=x", "PATH=/bin",
		"MRELEASE_WALLET_PASSWORD=secret", "MRELEASE_BUILD_CONTEXT=.", "MRELEASE_ENCLAVE_ALLOW_DEBUG=true", "MRELEASE_ORDER_TAG=tee", "MRELEASE_JUNIT=x", "MRELEASE_SANDBOX=x",
		"MRELEASE_BUILD_ARGS=A=secret", "MRELEASE_CHAINS_SANDBOX_RPC=secret", "MRELEASE_BUILD_CONTEXTS=x",
	})
	want := []string{
		"environment MRELEASE_BUILD_ARGS is not read: build.args is set in a file (--config)",
		"environment MRELEASE_BUILD_CONTEXTS is not read: build.contexts is set in a file (--config)",
		"environment MRELEASE_BUILD_CONTXT is not read: did you mean MRELEASE_BUILD_CONTEXT?",
		"environment MRELEASE_CHAINS_SANDBOX_RPC is not read: chains is set in a file (--config)",
		"environment MRELEASE_WALET_PASSWORD is not read: did you mean MRELEASE_WALLET_PASSWORD?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
