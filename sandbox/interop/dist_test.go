//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What make dist signs, cosign verifies, and for nothing else.
func TestDistSignatures(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	s.writeNowhere(t)
	programs, with, out := t.TempDir(), t.TempDir(), filepath.Join(s.dir, "release")
	const file = "mrelease_1.0.0_linux_amd64"
	must(t, os.Symlink(filepath.Join(s.bin, "dist"), filepath.Join(programs, file)))
	for _, name := range []string{"README.md", "SECURITY.md", "CHANGELOG.md", "LICENSE", "THIRD-PARTY", "man/mrelease.1", "completion/mrelease.bash", "completion/mrelease.fish", "completion/_mrelease"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(with, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(with, name), []byte(name+"\n"), 0o644))
	}
	program{name: filepath.Join(s.bin, "dist"), dir: s.dir, args: []string{
		"-version", "1.0.0", "-commit", strings.Repeat("c0", 20), "-source", "https://example.org/source",
		"-programs", programs, "-with", with, "-out", out, "-sums", filepath.Join(s.dir, "release.sums"),
	}}.run(t)
	program{name: filepath.Join(s.bin, "attest"), dir: s.dir, args: []string{"cosign.key", out}, env: []string{"COSIGN_PASSWORD=" + cosignPassword}}.run(t)

	for _, c := range []struct {
		command []string
		bundle  string
		file    string
		fails   bool
	}{
		{[]string{"verify-blob"}, "SHA256SUMS.sigstore.json", "SHA256SUMS", false},
		{[]string{"verify-blob"}, "SHA256SUMS.sigstore.json", file, true},
		{[]string{"verify-blob-attestation", "--type", "slsaprovenance1"}, "mrelease_1.0.0.intoto.sigstore.json", file, false},
		{[]string{"verify-blob-attestation", "--type", "slsaprovenance1"}, "mrelease_1.0.0.intoto.sigstore.json", "SHA256SUMS", true},
	} {
		verify := s.cosignRun(append(c.command, "--key", "cosign.pub", "--insecure-ignore-tlog", "--new-bundle-format",
			"--trusted-root", "root.json", "--bundle", filepath.Join(out, c.bundle), filepath.Join(out, c.file)))
		verify.fails = c.fails
		verify.run(t)
	}
}
