package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// madeRelease is a release that was made, with what was asked for.
type madeRelease struct {
	release
	sums string
}

// A small program stands for those of all five systems.
func TestRelease(t *testing.T) {
	dir := t.TempDir()
	m := madeRelease{release{"1.2.3", strings.Repeat("c0", 20), "https://example.org/r", filepath.Join(dir, "programs"), filepath.Join(dir, "with"), filepath.Join(dir, "out")}, filepath.Join(dir, "release.sums")}
	for name, text := range map[string]string{"README.md": "readme", "LICENSE": "licence", "man/mrelease.1": ".TH", "man/mrelease-plan.1": ".TH", "completion/mrelease.bash": "b", "completion/_mrelease": "z", "completion/mrelease.fish": "f"} {
		file := filepath.Join(m.with, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o700))
		must(t, os.WriteFile(file, []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\nfunc main() {}\n"), 0o600))
	output(t, "go", "build", "-ldflags", "-s -w", "-o", filepath.Join(dir, "program"), filepath.Join(dir, "main.go"))
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	must(t, err)
	must(t, os.Mkdir(m.programs, 0o700))
	for _, name := range []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64.exe"} {
		must(t, os.WriteFile(filepath.Join(m.programs, "mrelease_1.2.3_"+name), program, 0o700))
	}
	must(t, m.make())
	must(t, m.writeSums(m.sums))
	m.check(t, 0)
}

// check looks at all files of a release: there is one for each system and form, all have
// what they must have, and nothing else. A program names more than some modules.
func (m madeRelease) check(t *testing.T, modules int) {
	t.Helper()
	programs, err := m.list()
	must(t, err)
	with, err := m.companions()
	must(t, err)
	want := []string{checksums, "mrelease_" + m.version + statementSuffix}
	for _, p := range programs {
		content, err := os.ReadFile(p.path)
		must(t, err)
		base := strings.TrimSuffix(p.name, ".exe")
		files := append([]file{{"mrelease" + strings.TrimPrefix(p.name, base), 0o755, content}}, with...)
		want = append(want, p.name, base+".spdx.json")
		m.checkBill(t, base, modules)
		if p.goos == "windows" {
			want = append(want, base+".zip")
			equal(t, base+".zip", m.readZip(t, base+".zip"), unpacked(base, files))
			continue
		}
		want = append(want, base+".tar.gz")
		equal(t, base+".tar.gz", m.readTar(t, base+".tar.gz"), unpacked(base, files))
		if p.goos == "linux" {
			deb, rpm := fmt.Sprintf("mrelease_%s-1_%s.deb", m.version, p.goarch), fmt.Sprintf("mrelease-%s-1.%s.rpm", m.version, map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[p.goarch])
			want = append(want, deb, rpm)
			equal(t, deb, m.readDeb(t, deb, p.goarch), installed(files))
			equal(t, rpm, m.readRPM(t, rpm), installed(files))
		}
	}
	found, err := os.ReadDir(m.out)
	must(t, err)
	var names []string
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the release has %q, want %q", names, want)
	}
	m.checkSums(t)
}

// form is how a file is in an archive: mode, owner, time, and digest of its content as
// it is once it is unpacked.
func form(mode int64, owner string, at time.Time, content []byte) string {
	return fmt.Sprintf("%o %s %s %x", mode, owner, at.UTC().Format(time.RFC3339), sha256.Sum256(content))
}

// unpacked are the files of an archive: all in one folder.
func unpacked(folder string, files []file) map[string]string {
	all := map[string]string{}
	for _, f := range files {
		all[path.Join(folder, f.name)] = form(int64(f.mode), "0:0", made, f.data)
	}
	return all
}

// installed are the files of a package, where systems look for them.
func installed(files []file) map[string]string {
	all := map[string]string{}
	for _, f := range files {
		base := path.Base(f.name)
		to := map[string]string{
			"mrelease": "/usr/bin/mrelease", "LICENSE": "/usr/share/doc/mrelease/copyright", "completion/_mrelease": "/usr/share/zsh/site-functions/_mrelease",
			"completion/mrelease.bash": "/usr/share/bash-completion/completions/mrelease", "completion/mrelease.fish": "/usr/share/fish/vendor_completions.d/mrelease.fish",
		}[f.name]
		switch {
		case to != "":
		case strings.HasPrefix(f.name, "man/"):
			to = "/usr/share/man/man1/" + base + ".gz"
		default:
			to = "/usr/share/doc/mrelease/" + base + ".gz"
		}
		all[to] = form(int64(f.mode), "root:root", made, f.data)
	}
	return all
}

func equal(t *testing.T, name string, got, want map[string]string) {
	t.Helper()
	for file := range want {
		if got[file] != want[file] {
			t.Errorf("%s has %s as %q, want %q", name, file, got[file], want[file])
		}
	}
	for file := range got {
		if want[file] == "" {
			t.Errorf("%s has %s too", name, file)
		}
	}
}

func (m madeRelease) readTar(t *testing.T, name string) map[string]string {
	t.Helper()
	return readEntries(t, bytes.NewReader(unzipped(t, m.read(t, name))), func(h *tar.Header) string { return fmt.Sprintf("%d:%d", h.Uid, h.Gid) })
}

// readEntries reads the files of an archive.
func readEntries(t *testing.T, archive io.Reader, owner func(*tar.Header) string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for in := tar.NewReader(archive); ; {
		h, err := in.Next()
		if err == io.EOF {
			return all
		}
		must(t, err)
		content, err := io.ReadAll(in)
		must(t, err)
		name := strings.TrimPrefix(h.Name, ".")
		if h.Typeflag == tar.TypeDir {
			if h.Mode != 0o755 || owner(h) != "root:root" || !h.ModTime.Equal(made) {
				t.Errorf("folder %s is of mode %o, %s, of %s", name, h.Mode, owner(h), h.ModTime)
			}
			continue
		}
		if strings.HasSuffix(name, ".gz") {
			content = unzipped(t, content)
		}
		all[name] = form(h.Mode, owner(h), h.ModTime, content)
	}
}

func (m madeRelease) readZip(t *testing.T, name string) map[string]string {
	t.Helper()
	content := m.read(t, name)
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	must(t, err)
	all := map[string]string{}
	for _, f := range archive.File {
		in, err := f.Open()
		must(t, err)
		data, err := io.ReadAll(in)
		must(t, err)
		all[f.Name] = form(int64(f.Mode()), "0:0", f.Modified, data) // a zip file names no owner
	}
	return all
}

// readDeb lets dpkg read a package.
func (m madeRelease) readDeb(t *testing.T, name, arch string) map[string]string {
	t.Helper()
	file := filepath.Join(m.out, name)
	for field, want := range map[string]string{"Package": "mrelease", "Version": m.version + "-1", "Architecture": arch, "Recommends": "git, runc, ca-certificates", "Depends": ""} {
		if got := string(bytes.TrimSpace(output(t, "dpkg-deb", "--field", file, field))); got != want {
			t.Errorf("%s: %s is %q, want %q", name, field, got, want)
		}
	}
	return readEntries(t, bytes.NewReader(output(t, "dpkg-deb", "--fsys-tarfile", file)), func(h *tar.Header) string { return h.Uname + ":" + h.Gname })
}

// readRPM lets rpm read a package, and unpack it.
func (m madeRelease) readRPM(t *testing.T, name string) map[string]string {
	t.Helper()
	file, dir := filepath.Join(m.out, name), t.TempDir()
	query := func(format string) string { return string(output(t, "rpm", "-qp", "--qf", format, file)) }
	if got, want := query("%{NAME} %{VERSION} %{RELEASE} %{LICENSE} %{BUILDHOST} %{BUILDTIME} [%{RECOMMENDS} ]"), fmt.Sprintf("mrelease %s 1 Apache-2.0 localhost %d git runc ca-certificates ", m.version, made.Unix()); got != want {
		t.Errorf("%s is %q, want %q", name, got, want)
	}
	unpack := exec.CommandContext(t.Context(), "bsdtar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(m.read(t, name))
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", name, err, out)
	}
	all := map[string]string{}
	for line := range strings.Lines(query("[%{FILENAMES} %{FILEMODES} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEMTIMES}\n]")) {
		var at, owner string
		var mode, seconds int64
		_, err := fmt.Sscan(line, &at, &mode, &owner, &seconds)
		must(t, err)
		content, err := os.ReadFile(filepath.Join(dir, at))
		must(t, err)
		if strings.HasSuffix(at, ".gz") {
			content = unzipped(t, content)
		}
		all[at] = form(mode&0o7777, owner, time.Unix(seconds, 0), content)
	}
	return all
}

// checkBill looks whether a bill of materials names the modules of the program.
func (m madeRelease) checkBill(t *testing.T, base string, modules int) {
	t.Helper()
	var bill struct {
		Packages []struct{ Name, VersionInfo string }
	}
	must(t, json.Unmarshal(m.read(t, base+".spdx.json"), &bill))
	if len(bill.Packages) < 2+modules || bill.Packages[0].Name != "mrelease" || bill.Packages[0].VersionInfo != m.version || bill.Packages[1].Name != "std" {
		t.Errorf("%s.spdx.json names %d packages: %+v", base, len(bill.Packages), bill.Packages[:min(3, len(bill.Packages))])
	}
}

// checkSums compares all three lists of checksums with the files.
func (m madeRelease) checkSums(t *testing.T) {
	t.Helper()
	all, err := m.assets()
	must(t, err)
	plain, sized := "", "# version "+m.version+"\n"
	var statement struct {
		Subject []struct {
			Name   string
			Digest struct{ SHA256 string }
		}
	}
	must(t, json.Unmarshal(m.read(t, "mrelease_"+m.version+statementSuffix), &statement))
	if len(statement.Subject) != len(all) {
		t.Fatalf("the statement is about %d files, want %d", len(statement.Subject), len(all))
	}
	for i, a := range all {
		content := m.read(t, a.name)
		sum := fmt.Sprintf("%x", sha256.Sum256(content))
		plain += fmt.Sprintf("%s  %s\n", sum, a.name)
		sized += fmt.Sprintf("%s  %d  %s\n", sum, len(content), a.name)
		if got := statement.Subject[i]; got.Name != a.name || got.Digest.SHA256 != sum {
			t.Errorf("the statement has %+v, want %s with %s", got, a.name, sum)
		}
	}
	kept, err := os.ReadFile(m.sums)
	must(t, err)
	if got := string(m.read(t, checksums)); got != plain || string(kept) != sized {
		t.Errorf("%s is\n%swant\n%s%s is\n%swant\n%s", checksums, got, plain, m.sums, kept, sized)
	}
}

func (m madeRelease) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.out, name))
	must(t, err)
	return content
}

func unzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	in, err := gzip.NewReader(bytes.NewReader(content))
	must(t, err)
	if !in.ModTime.IsZero() || in.Name != "" {
		t.Errorf("gzip's head has time %s and name %q", in.ModTime, in.Name)
	}
	all, err := io.ReadAll(in)
	must(t, err)
	return all
}

func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", c, err, &stderr)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
