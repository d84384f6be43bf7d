package preflight

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestCompleteIgnoreFiles(t *testing.T) {
	for name, c := range map[string]struct {
		git, docker         string // "-" for none
		wantGit, wantDocker string
	}{
		"none": {"-", "-", "# What mrelease writes, and keys.\n/dist/\n/.secrets/\nUTC--*\n/cosign.key\n/keys/wallet.json\n",
			"# What changes from run to run, and keys.\n.git\ndist\n.secrets\n**/UTC--*\ncosign.key\nkeys/wallet.json\n"},
		"complete":    {"dist\n.secrets\n*.key\nwallet.json\nUTC--*\n", "*\n!src\n", "dist\n.secrets\n*.key\nwallet.json\nUTC--*\n", "*\n!src\n"},
		"a part":      {"*.key\n!cosign.key\ndist/", "dist\n*.key\n", "*.key\n!cosign.key\ndist/\n\n# What mrelease writes, and keys.\n/.secrets/\nUTC--*\n/cosign.key\n/keys/wallet.json\n", "dist\n*.key\n\n# What changes from run to run, and keys.\n.git\n.secrets\n**/UTC--*\nkeys/wallet.json\n"},
		"all allowed": {"*\n", "!*\n", "*\n", "!*\n\n# What changes from run to run, and keys.\n.git\ndist\n.secrets\n**/UTC--*\ncosign.key\nkeys/wallet.json\n"},
	} {
		dir := t.TempDir()
		put := func(file, text string) {
			if text != "-" {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		put(".gitignore", c.git)
		put(".dockerignore", c.docker)
		put("mrelease.yaml", "sign: {key: cosign.key}\nwallet: {keystore: keys/wallet.json}\n")
		for range 2 { // a second time there is nothing to add
			if _, err := CompleteIgnoreFiles(dir, filepath.Join(dir, "mrelease.yaml")); err != nil {
				t.Fatal(err)
			}
		}
		for file, want := range map[string]string{".gitignore": c.wantGit, ".dockerignore": c.wantDocker} {
			if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v; want %q", name, file, got, err, want)
			}
		}
	}
}

// A link that somebody committed is not written through.
func TestAttackIgnoreFileIsALink(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("years of work\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".gitignore", ".dockerignore"} {
		if err := os.Symlink(victim, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := CompleteIgnoreFiles(dir, filepath.Join(dir, "mrelease.yaml"))
	text, readErr := os.ReadFile(victim)
	if err != nil || readErr != nil || len(got) > 0 || string(text) != "years of work\n" {
		t.Errorf("%v, %v; %q, %v", got, err, text, fmt.Sprint(readErr))
	}
}
