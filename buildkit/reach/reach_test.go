package reach_test

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mrelease/mrelease/buildkit/reach"
)

// The command lines are those of BuildKit's own client.
func TestCommand(t *testing.T) {
	for address, want := range map[string]string{
		"docker-container://buildkitd":                                "docker exec -i buildkitd buildctl dial-stdio",
		"docker-container://buildkitd?context=far":                    "docker --context=far exec -i buildkitd buildctl dial-stdio",
		"kube-pod://buildkitd-0":                                      "kubectl exec -i buildkitd-0 -- buildctl dial-stdio",
		"kube-pod://b-0?context=c@d&namespace=ci&container=buildkitd": "kubectl --context=c@d --namespace=ci exec --container=buildkitd -i b-0 -- buildctl dial-stdio",
		"ssh://host":         "ssh -- host buildctl dial-stdio",
		"ssh://me@host:2222": "ssh -l me -p 2222 -- host buildctl dial-stdio",
		"ssh://me@host/run/user/1000/buildkit/buildkitd.sock": "ssh -l me -- host buildctl --addr unix:///run/user/1000/buildkit/buildkitd.sock dial-stdio",
		"ssh://me:secret@host":                                "",
		"ssh://-oProxyCommand=touch%20x":                      "",
		"ssh://-l@host":                                       "",
		"ssh://host/a;b":                                      "",
		"ssh://host?x=y":                                      "",
		"ssh://":                                              "",
		"docker-container://--privileged":                     "",
		"docker-container://a/b":                              "",
		"docker-container://a?host=b":                         "",
		"docker-container://a?context=-c":                     "",
		"docker-container://me@a":                             "",
		"kube-pod://-a":                                       "",
		"kube-pod://a?container=-x":                           "",
		"kube-pod://a?namespace=b&namespace=c":                "",
		"podman-container://a":                                "",
		"npipe:////./pipe/buildkitd":                          "",
	} {
		u, err := url.Parse(address)
		if err != nil {
			if want != "" {
				t.Errorf("%s: %v", address, err)
			}
			continue
		}
		command, err := reach.Command(u)
		if got := strings.Join(command, " "); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v, want %q", address, got, err, want)
		}
	}
}

// script writes a program into a folder.
func script(t *testing.T, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestConnection(t *testing.T) {
	t.Setenv("LICENSE_TO_TEST", "secret")
	r := reach.Runner{Path: "relative:" + script(t, "ssh", `echo "$1 ${LICENSE_TO_TEST:-withheld}"; exec cat`), Withhold: []string{"LICENSE_TO_TEST"}}
	c, err := r.Connect([]string{"ssh", "host"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "and back\n"); err != nil {
		t.Fatal(err)
	}
	const want = "host withheld\nand back\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(got); !os.IsTimeout(err) {
		t.Errorf("a read beyond its deadline: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// What a program says when it fails is the error, of which the end counts.
func TestProgramThatFails(t *testing.T) {
	r := reach.Runner{Path: script(t, "ssh", `printf '%5000s\n' x >&2; echo "Permission denied (publickey)." >&2; exit 255`)}
	c, err := r.Connect([]string{"ssh", "host"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if text, err := io.ReadAll(c); err == nil || err.Error() != "ssh: Permission denied (publickey)." || !bytes.Equal(text, nil) {
		t.Errorf("%q, %v", text, err)
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	if _, err := (reach.Runner{Path: t.TempDir()}).Connect([]string{"kubectl"}); err == nil || err.Error() != "kubectl, which reaches it, is not installed" {
		t.Error(err)
	}
}

// A program that goes on when its input has ended is killed.
func TestProgramThatDoesNotEnd(t *testing.T) {
	c, err := reach.Runner{Path: script(t, "ssh", `trap "" TERM PIPE; exec sleep 3600`)}.Connect([]string{"ssh"})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := c.Close(); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}
