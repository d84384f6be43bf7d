package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"time"
)

// write writes the files in the order of their names, so that the same packages make
// the same bytes.
func (c *collector) write(ctx context.Context, out string) (err error) {
	if triplets()[c.arch] == "" {
		return fmt.Errorf("there is no image for %q", c.arch)
	}
	if c.work, err = os.MkdirTemp("", "containerfiles-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.work)) }()
	if err := os.Chmod(c.work, 0o755); err != nil { // apt downloads as a user of its own
		return err
	}
	packages, err := c.get(ctx)
	if err != nil {
		return err
	}
	files := own()
	for _, name := range sorted(packages) {
		if err := c.take(ctx, files, name, packages[name]); err != nil {
			return fmt.Errorf("taking files of %s: %w", name, err)
		}
	}
	if err := bundle(files); err != nil {
		return err
	}
	return writeTar(out, files)
}

// entry is a file of the image. A folder's name ends with a slash.
type entry struct {
	mode    int64
	link    string
	content []byte
}

// own are the files that no package has. A shell's commands are those that jobs of CI
// systems use.
func own() map[string]entry {
	files := map[string]entry{
		"etc/passwd": {mode: 0o644, content: []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")},
		"etc/group":  {mode: 0o644, content: []byte("root:x:0:\nnogroup:x:65534:\n")},
		"tmp/":       {mode: 0o1777}, "root/": {mode: 0o700}, "var/cache/mrelease/": {mode: 0o700},
		"dev/": {mode: 0o755}, "proc/": {mode: 0o755}, "run/": {mode: 0o755}, "sys/": {mode: 0o755},
	}
	for _, name := range strings.Fields("cat chmod cp cut date dirname env false grep head id ln ls mkdir mktemp mv printf pwd rm rmdir sed sh sleep tail tar test touch tr true uname wc which") {
		files["bin/"+name] = entry{link: "busybox"}
	}
	return files
}

// take adds what is wanted of a package, and its licence.
func (c *collector) take(ctx context.Context, files map[string]entry, name, file string) error {
	content, err := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", file).Output()
	if err != nil {
		return err
	}
	patterns := append(c.wanted()[name], "usr/share/doc/"+name+"/copyright")
	taken := 0
	for in := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		at := path.Clean(h.Name)
		if h.Typeflag == tar.TypeDir || !c.matches(at, patterns) {
			continue
		}
		e := entry{mode: h.Mode & 0o755, link: h.Linkname} // nothing is setuid
		if e.content, err = io.ReadAll(in); err != nil {
			return err
		}
		files[at] = e
		taken++
	}
	if taken < 2 {
		return errors.New("it has none of the files that are looked for")
	}
	return nil
}

func (c *collector) matches(name string, patterns []string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(strings.ReplaceAll(pattern, "TRIPLET", triplets()[c.arch]), name); ok && err == nil {
			return true
		}
	}
	return false
}

// bundle makes one file of the certificates, as update-ca-certificates does where the
// package is installed.
func bundle(files map[string]entry) error {
	var all bytes.Buffer
	for _, name := range sorted(files) {
		if strings.HasPrefix(name, certificates) {
			all.Write(bytes.TrimSpace(files[name].content))
			all.WriteByte('\n')
			delete(files, name)
		}
	}
	if all.Len() == 0 {
		return errors.New("the package has no certificates")
	}
	files["etc/ssl/certs/ca-certificates.crt"] = entry{mode: 0o644, content: all.Bytes()}
	return nil
}

func writeTar(name string, files map[string]entry) (err error) {
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := tar.NewWriter(out)
	folders := map[string]bool{".": true, "/": true}
	for _, name := range sorted(files) {
		if err := writeFolders(w, path.Dir(strings.TrimSuffix(name, "/")), folders); err != nil {
			return err
		}
		if err := writeEntry(w, name, files[name]); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		folders[strings.TrimSuffix(name, "/")] = true
	}
	return w.Close()
}

// writeFolders writes the folders on the way to a file, once.
func writeFolders(w *tar.Writer, folder string, written map[string]bool) error {
	if written[folder] {
		return nil
	}
	written[folder] = true
	return errors.Join(writeFolders(w, path.Dir(folder), written), writeEntry(w, folder+"/", entry{mode: 0o755}))
}

func writeEntry(w *tar.Writer, name string, e entry) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: e.mode, Size: int64(len(e.content)), ModTime: time.Unix(0, 0)}
	switch {
	case strings.HasSuffix(name, "/"):
		h.Typeflag = tar.TypeDir
	case e.link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.link, 0o777
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(e.content)
	return err
}
