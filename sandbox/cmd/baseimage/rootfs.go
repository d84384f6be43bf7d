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
	"syscall"
	"time"

	"github.com/mrelease/mrelease/sandbox/toolchain"
)

// packages are what a Dockerfile's RUN steps and the examples need.
const packages = "base-files,base-passwd,dash,coreutils,grep,sed,mawk,python3"

// epoch is the newest time that a file of the image has.
const epoch = 1700000000

// makeRootfs writes the first layer: what mmdebstrap extracts, without the
// machine that it ran on.
func makeRootfs(ctx context.Context, suite, file string) error {
	mirror, err := mirrorOf(ctx, suite)
	if err != nil {
		return err
	}
	extracted := file + ".extracted"
	if err := mmdebstrap(ctx, suite, extracted, mirror); err != nil {
		return err
	}
	return errors.Join(filterFile(extracted, file), os.Remove(extracted))
}

// mmdebstrap extracts the packages into a tar file; it does not configure them,
// which would need no less than the base system.
func mmdebstrap(ctx context.Context, suite, file, mirror string) error {
	args := []string{"--quiet", "--variant=extract", "--format=tar", "--architectures=amd64", "--include=" + packages, suite, file}
	if mirror != "" {
		args = append(args, mirror)
	}
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "mmdebstrap", args...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch))
	cmd.Stdout, cmd.Stderr = &output, &output
	// mmdebstrap removes its own folder when all of its processes are told to end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("mmdebstrap is not installed: apt-get install mmdebstrap")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("running mmdebstrap: %w\n%s", err, &output)
	}
	return nil
}

// mirrorOf asks apt where this machine gets the release from. Empty: apt does
// not know, and mmdebstrap shall take the distribution's own mirror.
func mirrorOf(ctx context.Context, suite string) (string, error) {
	targets, err := exec.CommandContext(ctx, "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages").Output()
	if err != nil {
		return "", fmt.Errorf("asking apt for its mirrors: %w", err)
	}
	for line := range strings.Lines(string(targets)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == suite && f[1] == "main" {
			return f[2], nil
		}
	}
	return "", nil
}

// suiteOf returns the code name of this machine's release.
func suiteOf(osRelease string) (string, error) {
	text, err := os.ReadFile(osRelease)
	if err != nil {
		return "", fmt.Errorf("finding this machine's release: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"`), nil
		}
	}
	return "", fmt.Errorf("%s has no VERSION_CODENAME: is this Debian?", osRelease)
}

func filterFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return filter(tar.NewReader(in), tar.NewWriter(out))
}

// filter copies the entries that belong to the image.
func filter(in *tar.Reader, out *tar.Writer) error {
	for {
		h, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return fmt.Errorf("reading what mmdebstrap made: %w", err)
		}
		name := path.Clean(h.Name)
		if name == "." || unwanted(name) {
			continue
		}
		if err := out.WriteHeader(entry(name, h)); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if _, err := io.Copy(out, in); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
}

// unwanted says of a path that it is about the machine or the package manager,
// or that no program reads it.
func unwanted(name string) bool {
	for _, file := range []string{"etc/hostname", "etc/resolv.conf", "etc/fstab", "etc/machine-id"} {
		if name == file {
			return true
		}
	}
	for _, folder := range []string{
		"dev", "etc/apt", "etc/dpkg", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log",
		"usr/share/doc", "usr/share/doc-base", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man",
	} {
		if strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}

// entry returns a header with nothing in it but what an image needs. The real
// interpreter moves to where the starter looks for it.
func entry(name string, h *tar.Header) *tar.Header {
	if isInterpreter(name) && h.Typeflag == tar.TypeReg {
		name = strings.TrimPrefix(toolchain.Programs, "/") + "/" + path.Base(name)
	}
	if h.Typeflag == tar.TypeDir {
		name += "/"
	}
	clean := &tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid}
	if h.Typeflag == tar.TypeLink {
		clean.Linkname = path.Clean(h.Linkname)
	}
	clean.ModTime = time.Unix(min(h.ModTime.Unix(), epoch), 0)
	return clean
}

// isInterpreter recognises usr/bin/python3.11, of whatever version.
func isInterpreter(name string) bool {
	ok, err := path.Match("usr/bin/python3.[0-9]*", name)
	return ok && err == nil
}
