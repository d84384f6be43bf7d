package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mrelease/mrelease/buildkit"
)

// buildersOf reads a list of builders from a folder that has the files of TLS.
func buildersOf(t *testing.T, list string) (*Checker, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"m.yaml": "builders:\n" + list, "ca.pem": "x", "cert.pem": "x", "key.pem": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := Read(Sources{Files: []string{filepath.Join(dir, "m.yaml")}, Getenv: func(string) string { return "" }})
	c.checkBuilders()
	return c, dir
}

func TestBuilders(t *testing.T) {
	c, dir := buildersOf(t, `
  - tcp://a:1234
  - {address: "tcp://b:1234", ca: ca.pem, cert: cert.pem, key: key.pem, builds: 4}
  - address: kube-pod://buildkitd-0?namespace=ci
`)
	if err := c.Err(); err != nil {
		t.Fatal(c.Problems)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	want := []buildkit.Remote{
		{Address: "tcp://a:1234"},
		{Address: "tcp://b:1234", TLS: buildkit.TLS{CA: in("ca.pem"), Cert: in("cert.pem"), Key: in("key.pem")}, Builds: 4},
		{Address: "kube-pod://buildkitd-0?namespace=ci"},
	}
	if got := c.Settings.Builders.Remotes(); !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if files := c.Settings.KeyFiles(); !slices.Equal(files, []KeyFile{{"builders[1].key", in("key.pem")}}) {
		t.Errorf("the files that no build may have are %q", files)
	}
}

func TestBuildersThatAreWrong(t *testing.T) {
	for list, want := range map[string]string{
		"  - x\n":                       `builders[0].address: want unix:///SOCKET, tcp://HOST:PORT, ssh://HOST, docker-container://NAME or kube-pod://POD, got "x"`,
		"  - {}\n":                      "builders[0]: address is missing",
		"  - {adress: \"tcp://a:1\"}\n": "builders[0].adress: unknown key, did you mean address?",
		"  - [a]\n":                     "builders[0]: want keys and values, got a list",
		"  a: b\n":                      "builders: want a list of builders, got keys and values",
		"  - tcp://a:1\n  - {address: \"tcp://a:1\"}\n":                "builders[1].address: tcp://a:1 is that of builders[0] too",
		"  - ssh://me:secret@h\n":                                      "or one with a password",
		"  - {address: \"unix:///s\", ca: ca.pem}\n":                   "builders[0].ca: is for TLS, which is spoken with a builder at tcp:// only",
		"  - {address: \"tcp://a:1\", ca: none.pem}\n":                 "none.pem: there is no such file",
		"  - {address: \"tcp://a:1\", ca: .}\n":                        "is no file",
		"  - {address: \"tcp://a:1\", cert: cert.pem}\n":               "builders[0]: cert and key stand together",
		"  - {address: \"tcp://a:1\", cert: cert.pem, key: key.pem}\n": "builders[0]: ca is missing beside cert and key",
		"  - {address: \"tcp://a:1\", builds: 101}\n":                  "builders[0].builds: must be at most 100, got 101",
		"  - {address: \"tcp://a:1\", builds: -1}\n":                   "builders[0].builds: want a whole number that is not negative",
		strings.Repeat("  - tcp://a:1\n", 65):                          "builders: are 65, more than 64",
	} {
		c, _ := buildersOf(t, list)
		var said []string
		for _, p := range c.Problems {
			said = append(said, p.String())
		}
		if text := strings.Join(said, "\n"); !strings.Contains(text, want) || strings.Contains(text, "secret") || len(said) != 1 {
			t.Errorf("%q:\n%s\nwant %s", list, text, want)
		}
	}
}

// What is the same for all apps is no app's own, and no variable sets a list.
func TestBuildersAreCommon(t *testing.T) {
	c, _ := buildersOf(t, "  - tcp://a:1\napps:\n  - {name: a, builders: [\"tcp://b:1\"]}\n")
	if text := c.Err().(*Error).Evidence()[0][1]; !strings.HasPrefix(text, "apps[0].builders: is the same for all apps") {
		t.Error(text)
	}
	if told := Misspelt([]string{"MRELEASE_BUILDERS=tcp://a:1"}); len(told) != 1 || !strings.Contains(told[0], "builders is set in a file") {
		t.Errorf("told %q", told)
	}
}
